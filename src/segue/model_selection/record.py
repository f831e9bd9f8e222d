"""What a search has found so far, in best.json, from which an interrupted one continues."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from segue.errors import ParameterError
from segue.experiment.candidates import Candidate, best_first
from segue.models.blend import Blend
from segue.storage import write_text
from segue.strict_json import dumps, loads


class Record(BaseModel):
    """The state of a search."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    metric: str
    """Validation metric that decides."""
    cases: int
    """Number of validation cases that decide."""
    models: dict[str, dict[str, Any]]
    """Parameters of the candidates by label."""
    spent_seconds: float = 0.0
    """Seconds that the search has taken, over all its processes."""
    candidates: dict[str, Candidate] = {}
    """The models by label, in the order in which they are considered."""
    chosen: str | None = None
    """The best model on validation, once it is known; only then the test part is used."""
    tests: int = 0
    """How often the test part was used: once, unless a search that is resumed after its end tests other models."""

    def outcomes(self) -> dict[str, str]:
        """Return what became of each model, by label."""
        return {label: one.state for label, one in self.candidates.items()}

    def trained(self) -> list[Candidate]:
        """Return what is trained, best first."""
        return [one for one in best_first(self.candidates.values()) if one.state == "trained"]

    def continued(self, models: Mapping[str, dict[str, Any]], metric: str, path: Path) -> "Record":
        """Return the record from which a search continues: of the same candidates, and further ones.

        What it trained is not in memory, and what it left out may have time now, so both wait again; what it stopped
        stays stopped.

        Args:
            models: parameters of the candidates by label.
            metric: validation metric that decides.
            path: file of the record, for messages.

        Raises:
            ParameterError: the search was started with other settings.
        """
        if metric != self.metric:
            raise ParameterError(
                f"--metric: the search of {path} was started with {self.metric}, got {metric}; resume with the same "
                "metric"
            )
        changed = [label for label, config in models.items() if self.models.get(label, config) != config]
        if changed:
            raise ParameterError(
                f"--set, --preset: the search of {path} was started with other parameters of {', '.join(changed)}; "
                "resume with the same ones"
            )
        known = {*models, Blend.name}
        candidates = {label: one.continued() for label, one in self.candidates.items() if label in known}
        return self.model_copy(update={"models": dict(models), "candidates": candidates, "chosen": None})

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
