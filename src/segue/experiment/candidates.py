"""The models that a search for the best one considers, in results.json and best.json."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from segue.experiment.run_folder import BEST
from segue.strict_json import Number, loads

State = Literal["waiting", "training", "trained", "stopped", "diverged", "left out"]
STATES: tuple[State, ...] = get_args(State)


class Candidate(BaseModel):
    """A model that a search for the best one considers."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    label: str
    """Name of the model in the run."""
    state: State = "waiting"
    """Whether it is trained; ``stopped`` is a network that fell behind, ``diverged`` one whose
    loss or weights are no longer finite, ``left out`` one that was not trained."""
    value: Number | None = None
    """Validation metric."""
    seconds: float = 0.0
    """Seconds of the fit."""
    ended_seconds: float | None = None
    """Seconds of the search after which its validation was known."""
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

    def continued(self) -> "Candidate":
        """Return it as a resumed search finds it: waiting, unless it was stopped or diverged."""
        if self.state in ("stopped", "diverged"):
            return self
        planned = {} if self.state != "left out" else {"epochs": None, "note": ""}
        return self.model_copy(update={"state": "waiting", **planned})

    @property
    def outcome(self) -> str:
        """What became of it, in words; empty for a model that was trained as planned."""
        return ", ".join(filter(None, ("" if self.state == "trained" else self.state, self.note)))


def best_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return candidates, what is trained first, the best ones before others."""
    return sorted(candidates, key=lambda one: -(one.value or 0.0) if one.state == "trained" else 1.0)


def chosen_in(folder: Path) -> str | None:
    """Return the model that a search for the best one chose; None if there was no search, or it has not chosen."""
    try:
        record = loads((folder / BEST).read_bytes())
    except (OSError, ValueError):
        return None
    chosen = record.get("chosen") if isinstance(record, dict) else None
    return chosen if isinstance(chosen, str) else None


class SearchResult(BaseModel):
    """What a search for the best model found."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    metric: str
    """Validation metric that decides."""
    verdict: list[str]
    """The choice, and why, in sentences."""
    candidates: list[Candidate]
    """What was considered, in the order of the search."""
