"""What a search has found so far, in best.json, from which an interrupted one continues."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from segue.errors import ParameterError
from segue.experiment.results import Candidate, best_first
from segue.storage import write_text
from segue.strict_json import dumps, loads


class Record(BaseModel):
    """The state of a search."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    metric: str
    """Validation metric that decides."""
    cases: int
    """Number of validation cases that decide."""
    spent_seconds: float = 0.0
    """Seconds that the search has taken, over all its processes."""
    candidates: dict[str, Candidate] = {}
    """The models by label, in the order in which they are considered."""
    chosen: str | None = None
    """The best model on validation, once it is known; only then the test part is used."""

    def trained(self) -> list[Candidate]:
        """Return what is trained, best first."""
        return [one for one in best_first(self.candidates.values()) if one.state == "trained"]

    def reconsidered(self) -> "Record":
        """Return the record with what was left out waiting again, since a resumed search may have more time."""
        again = {"state": "waiting", "note": ""}
        candidates = {
            label: one.model_copy(update=again) if one.state == "left out" else one
            for label, one in self.candidates.items()
        }
        return self.model_copy(update={"candidates": candidates, "chosen": None})

    def write(self, path: Path) -> None:
        """Write best.json.

        Raises:
            StorageError: the write failed.
        """
        write_text(path, dumps(self.model_dump(mode="json"), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Record | None":
        """Read best.json; None if there is none.

        Raises:
            ParameterError: it is damaged, or of another version.
        """
        try:
            return cls.model_validate(loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ValidationError) as error:
            raise ParameterError(
                f"--resume: {path} is damaged, or of another version of segue; start again with --overwrite"
            ) from error
