"""The curve of a training: curves/LABEL.jsonl, one line of JSON per epoch, written as training goes on."""

from pathlib import Path

from segue.experiment.folder import CURVES
from segue.experiment.results import Epoch, ModelResult
from segue.experiment.tracking.tracker import Subject
from segue.storage import append_line, make_folder, remove
from segue.strict_json import dumps


def curve_file(out: Path, label: str) -> Path:
    """Return where the curve of a model is."""
    return out / CURVES / f"{label}.jsonl"


class Curve:
    """Writes the curve of one fit.

    A fit that goes on with an interrupted one tells its first epochs again, so that the file begins anew and no epoch
    stands in it twice. A model that does not learn in epochs has no file.
    """

    def __init__(self, subject: Subject) -> None:
        self._path = curve_file(subject.out, subject.label)
        if self._path.exists():
            remove(self._path)

    def epoch(self, epoch: Epoch) -> None:
        """Add a line."""
        make_folder(self._path.parent)
        append_line(self._path, dumps(epoch.model_dump(mode="json")))

    def result(self, row: ModelResult) -> None:
        """Leave the test to results.json."""

    def close(self) -> None:
        """Do nothing: each line is written at once."""
