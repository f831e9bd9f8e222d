"""Track the fits of a run: curves/LABEL.jsonl in its folder, and TensorBoard or MLflow on request."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from segue.errors import require_extra
from segue.experiment.results import Epoch, ModelResult
from segue.experiment.run_folder import CURVES
from segue.storage import append_line, make_folder, remove
from segue.strict_json import dumps

_TRACKERS = {
    "tensorboard": ("TensorBoard", ("tensorboard",)),
    "mlflow": ("MLflow", ("mlflow", "sqlalchemy", "alembic")),
}
"""By module name in this package: the class, and the libraries that have to be installed."""

# MLflow reads both when it is imported: no telemetry, no chatter.
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}


@dataclass(frozen=True)
class TrackedFit:
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
    """Receives the course of one fit; a resumed fit reports its first epochs again."""

    def epoch(self, epoch: Epoch) -> None:
        """Log an epoch."""

    def result(self, row: ModelResult) -> None:
        """Log the test metrics."""

    def close(self) -> None:
        """Flush; the fit may have failed."""


class Curve:
    """Writes curves/LABEL.jsonl, one line of JSON per epoch, during training.

    A resumed fit reports its first epochs again, so the file is started anew and holds no epoch twice. A model that
    does not learn in epochs has no file.
    """

    def __init__(self, fit: TrackedFit) -> None:
        self._path = fit.out / CURVES / f"{fit.label}.jsonl"
        if self._path.exists():
            remove(self._path)

    def epoch(self, epoch: Epoch) -> None:
        """Append a line."""
        make_folder(self._path.parent)
        append_line(self._path, dumps(epoch.model_dump(mode="json")))

    def result(self, row: ModelResult) -> None:
        """Do nothing: the test metrics are in results.json."""

    def close(self) -> None:
        """Do nothing: each line is written at once."""


class Trackers:
    """Several trackers of one fit."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = trackers

    def epoch(self, epoch: Epoch) -> None:
        """Log an epoch."""
        for tracker in self._trackers:
            tracker.epoch(epoch)

    def result(self, row: ModelResult) -> None:
        """Log the test metrics."""
        for tracker in self._trackers:
            tracker.result(row)


@contextmanager
def track(fit: TrackedFit, names: Sequence[str]) -> Iterator[Trackers]:
    """Track a fit in its folder, and with the named trackers.

    Raises:
        StorageError: a tracker cannot write.
    """
    with ExitStack() as stack:
        trackers: list[Tracker] = [Curve(fit)]
        for name in dict.fromkeys(names):
            trackers.append(_tracker(name, fit))
            stack.callback(trackers[-1].close)
        yield Trackers(trackers)


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers whose libraries are not installed.

    Raises:
        MissingExtraError: there is one.
    """
    for name in names:
        require_extra(_TRACKERS[name][1], f"--track {name}", "track")


def _tracker(name: str, fit: TrackedFit) -> Tracker:
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    tracker: Tracker = getattr(import_module(f"segue.experiment.tracking.{name}"), _TRACKERS[name][0])(fit)
    return tracker
