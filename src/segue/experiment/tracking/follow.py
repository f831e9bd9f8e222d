"""Follow the fit of a model: number its epochs, keep its curve, tell the trackers."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from segue.errors import MissingExtraError
from segue.experiment.model_specs import Entry
from segue.experiment.recipe import Recipe
from segue.experiment.results import Epoch, ModelResult
from segue.experiment.tracking.curve import Curve
from segue.experiment.tracking.tracker import Subject, Tracker
from segue.protocols.dataset import Dataset
from segue.training.runtime import EpochRecord

_TRACKERS = {
    "tensorboard": ("TensorBoard", ("tensorboard",)),
    "mlflow": ("MLflow", ("mlflow", "sqlalchemy", "alembic")),
}
"""By the name of the module here: its class, and what has to be installed."""

# MLflow reads both when it is imported: a run is told to nobody but the store.
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers whose libraries are not installed.

    Raises:
        MissingExtraError: there is one.
    """
    for name in names:
        if any(find_spec(library) is None for library in _TRACKERS[name][1]):
            raise MissingExtraError(f"--track {name}", "track")


class Fit:
    """One fit that is followed.

    Attributes:
        curve: the epochs so far, numbered over all stages.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.curve: list[Epoch] = []
        self._trackers = trackers

    def observe(self, stage: str, record: EpochRecord) -> None:
        """Take an epoch."""
        epoch = Epoch(
            epoch=len(self.curve) + 1,
            stage=stage,
            loss=record.loss,
            validation=record.validation,
            seconds=round(record.seconds, 3),
            kept=record.kept,
        )
        self.curve.append(epoch)
        for tracker in self._trackers:
            tracker.epoch(epoch)

    def result(self, row: ModelResult) -> None:
        """Take what came out of the test."""
        for tracker in self._trackers:
            tracker.result(row)


@contextmanager
def follow(out: Path, recipe: Recipe, data: Dataset, entry: Entry) -> Iterator[Fit]:
    """Follow the fit of one model of a run.

    Args:
        out: folder of the run.
        recipe: names the log, the seed and the trackers.
        data: the prepared log.
        entry: the model.

    Raises:
        StorageError: a tracker cannot write.
    """
    subject = Subject(
        out=out,
        label=entry.label,
        log=recipe.log_name,
        seed=recipe.seed,
        protocol=data.describe(),
        config=entry.model.config.model_dump(mode="json"),
    )
    with ExitStack() as stack:
        trackers: list[Tracker] = [Curve(subject)]
        for name in dict.fromkeys(recipe.track):
            trackers.append(_tracker(name, subject))
            stack.callback(trackers[-1].close)
        yield Fit(trackers)


def _tracker(name: str, subject: Subject) -> Tracker:
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    module = import_module(f"segue.experiment.tracking.{name}")
    tracker: Tracker = getattr(module, _TRACKERS[name][0])(subject)
    return tracker
