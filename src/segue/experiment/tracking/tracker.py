"""What is told of the fit of a model, and whoever listens."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from segue.experiment.results import Epoch, ModelResult


@dataclass(frozen=True)
class Subject:
    """The fit that is tracked.

    Attributes:
        out: folder of the run.
        label: name of the model in the run.
        log: name of the log.
        seed: seed of the run.
        protocol: the protocol with its hash.
        config: the parameters of the model.
    """

    out: Path
    label: str
    log: str
    seed: int
    protocol: Mapping[str, Any]
    config: Mapping[str, Any]


class Tracker(Protocol):
    """Is told of one fit, from its first epoch on also where the fit goes on with an interrupted one."""

    def epoch(self, epoch: Epoch) -> None:
        """Take an epoch."""

    def result(self, row: ModelResult) -> None:
        """Take what came out of the test."""

    def close(self) -> None:
        """Write down what is not written yet; the fit may have failed."""
