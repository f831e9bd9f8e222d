"""Facts about a training in the manifest of a model (``about``), which are checked before anything uses them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from segue.artifact import EVERYTHING, Artifact
from segue.data.reading import Reading
from segue.errors import ArtifactError
from segue.experiment.results import ModelResult
from segue.experiment.results_check import problem_of


class Epochs(BaseModel):
    """Epochs of one stage of a training."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    epochs: int = Field(ge=0, le=1_000_000)
    """Number of epochs; 0 skips the stage."""
    why: str
    """Where the number comes from, for example ``best of 7 on validation``."""


class _Protocol(BaseModel):
    hash: str | None = None
    fingerprint: str
    valid_metric: str | None = None


class _Data(BaseModel):
    fingerprint: str
    events: int
    sessions: int
    items: int
    first_time: str | None
    last_time: str | None


class _Update(BaseModel):
    events: int
    sessions: int
    items: int
    fingerprint: str | None = None


class _Tested(BaseModel):
    hash: str | None = None
    fingerprint: str | None = None
    metrics: dict[str, float | None] = {}


class _Facts(BaseModel):
    log: str | None = None
    seed: int = Field(ge=0, lt=2**63)
    key: str | None = None
    deterministic: bool = False
    protocol: _Protocol
    extra: dict[str, Any] = {}
    result: ModelResult | None = None
    trained_on: str | None = None
    data: _Data | None = None
    epochs: dict[str, Epochs] | None = None
    like: _Tested | None = None
    until: str | None = None
    updates: list[_Update] = []
    reading: Reading | None = None


class _Read(BaseModel):
    reading: Reading | None = None


class _RunProtocol(_Protocol):
    hash: str


class _RunFacts(_Facts):
    log: str | None
    key: str
    protocol: _RunProtocol
    result: ModelResult


class _ProductionFacts(_Facts):
    data: _Data
    epochs: dict[str, Epochs]
    like: _Tested | None


def check_facts(folder: Path, about: Mapping[str, Any]) -> None:
    """Check the facts about a model that a run or ``segue fit`` trained.

    Args:
        folder: the folder of the model, for messages.
        about: the facts, with at least ``protocol`` and ``seed``.

    Raises:
        ArtifactError: a fact is missing, or of another type.
    """
    kind: type[_Facts] = _Facts
    if about.get("trained_on") == EVERYTHING:
        kind = _ProductionFacts
    elif "result" in about:
        kind = _RunFacts
    with _damage_of(folder):
        kind.model_validate(about)


def reading_of(folder: Path) -> Reading | None:
    """Return how the log of a model was read; None if its manifest does not say.

    Every command on a model and a log reads the log in this way, unless its options say otherwise.

    Raises:
        ArtifactError: it is not a model, or its manifest is damaged.
    """
    facts = Artifact.facts(folder)
    with _damage_of(folder):
        return _Read.model_validate(facts).reading


def reading_fact(reading: Reading | None) -> dict[str, Any]:
    """Return how a log was read as a fact for the manifest; nothing if this is not known."""
    return {} if reading is None else {"reading": reading.model_dump()}


@contextmanager
def _damage_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ArtifactError(
            f"{folder / 'manifest.json'}: about.{problem_of(error)}; copy the whole folder again, "
            "or train the model again"
        ) from error
