"""The course of a fit for TensorBoard: tensorboard/LABEL in the folder of the run."""

from torch.utils.tensorboard import SummaryWriter

from segue.experiment.folder import TENSORBOARD
from segue.experiment.results import Epoch, ModelResult
from segue.experiment.tracking.tracker import Subject
from segue.parameters import flatten, typed
from segue.storage import remove


class TensorBoard:
    """Writes event files, anew where a fit goes on with an interrupted one, which tells its first epochs again."""

    def __init__(self, subject: Subject) -> None:
        folder = subject.out / TENSORBOARD / subject.label
        if folder.exists():
            remove(folder)
        self._writer = SummaryWriter(str(folder))
        self._last = 0
        table = "\n".join(f"| {name} | {typed(value)} |" for name, value in flatten(subject.config).items())
        self._text("parameters", f"| parameter | value |\n|---|---|\n{table}")
        self._text("protocol", f"{subject.log}, {subject.protocol['name']}, {subject.protocol['hash']}")

    def epoch(self, epoch: Epoch) -> None:
        """Add loss, validation and seconds."""
        self._last = epoch.epoch
        for name in ("loss", "validation", "seconds"):
            value = getattr(epoch, name)
            if value is not None:
                self._number(f"{epoch.stage}/{name}", value, epoch.epoch)

    def result(self, row: ModelResult) -> None:
        """Add the metrics of the test, behind the last epoch."""
        for name, value in row.metrics.items():
            self._number(f"test/{name}", value, self._last)

    def close(self) -> None:
        """Write what is not written yet."""
        self._writer.close()

    def _number(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)

    def _text(self, name: str, text: str) -> None:
        self._writer.add_text(name, text)
