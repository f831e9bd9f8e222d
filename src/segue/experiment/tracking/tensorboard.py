"""Track a fit in TensorBoard: tensorboard/LABEL in the folder of the run."""

from torch.utils.tensorboard import SummaryWriter

from segue.experiment.results import Epoch, ModelResult
from segue.experiment.run_folder import TENSORBOARD
from segue.experiment.tracking.tracker import TrackedFit
from segue.markdown import table
from segue.parameters import flatten, typed
from segue.storage import remove


class TensorBoard:
    """Writes event files; a resumed fit reports its first epochs again, so they are started anew."""

    def __init__(self, fit: TrackedFit) -> None:
        folder = fit.out / TENSORBOARD / fit.label
        if folder.exists():
            remove(folder)
        self._writer = SummaryWriter(str(folder))
        self._last = 0
        rows = [[name, typed(value)] for name, value in flatten(fit.config).items()]
        self._writer.add_text("parameters", table(["parameter", "value"], rows, numbers=False))
        self._writer.add_text("protocol", f"{fit.log}, {fit.protocol['name']}, {fit.protocol['hash']}")

    def epoch(self, epoch: Epoch) -> None:
        """Add the values of an epoch."""
        self._last = epoch.epoch
        for name, value in epoch.figures().items():
            self._writer.add_scalar(f"{epoch.stage}/{name}", value, epoch.epoch)

    def result(self, row: ModelResult) -> None:
        """Add the metrics of the test, at the last epoch."""
        for name, value in row.metrics.items():
            self._writer.add_scalar(f"test/{name}", value, self._last)

    def close(self) -> None:
        """Flush."""
        self._writer.close()
