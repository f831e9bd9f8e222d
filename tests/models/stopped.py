"""A training that is interrupted at the end of some epoch, before that epoch is saved, and resumed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segue.models.base import Model
from segue.progress import Progress
from segue.training.runtime import Runtime


class Stop(Progress):
    """Interrupts the training at the end of its n-th epoch, counted over all its parts."""

    def __init__(self, epoch: int) -> None:
        self.left = epoch

    def say(self, text: str) -> None:
        self.left -= text.startswith("epoch")
        if self.left == 0:
            raise KeyboardInterrupt


def assert_resumes(fit: Callable[[Runtime], Model], epoch: int, tmp_path: Path) -> None:
    """Compare a training that was stopped at an epoch and resumed with one that was not."""
    whole = fit(Runtime("cpu"))
    with pytest.raises(KeyboardInterrupt):
        fit(Runtime("cpu", checkpoint=tmp_path / "state", progress=Stop(epoch)))
    resumed = fit(Runtime("cpu", checkpoint=tmp_path / "state", resume=True))
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(array, resumed.arrays()[name], err_msg=name)
