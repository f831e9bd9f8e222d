"""What a search has found so far, in best.json, from which an interrupted one continues."""

from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from segue.errors import ParameterError
from segue.storage import write_text
from segue.strict_json import Number, dumps, loads

State = Literal["waiting", "training", "trained", "stopped", "left out"]
STATES: tuple[State, ...] = get_args(State)


class Candidate(BaseModel):
    """A model that is considered."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    label: str
    """Name of the model in the run."""
    state: State = "waiting"
    """Whether it is trained; ``stopped`` is a network that fell behind, ``left out`` one that was not trained."""
    value: Number | None = None
    """Validation metric."""
    seconds: float = 0.0
    """Seconds of the fit."""
    epochs: int | None = None
    """Number of epochs that a network is trained for."""
    start_seconds: float | None = None
    """Measured seconds before the first step of a network."""
    epoch_seconds: float | None = None
    """Measured seconds of one epoch of a network, its validation included."""
    case_seconds: float = 0.0
    """Measured seconds to rank one case."""
    note: str = ""
    """Why it was stopped or left out, or how its training was shortened."""


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
        found = [one for one in self.candidates.values() if one.state == "trained" and one.value is not None]
        return sorted(found, key=lambda one: -(one.value or 0.0))

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
