"""A training that is interrupted at the end of some epoch, before that epoch is saved, and resumed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from interrupted import stop_at
from segue.models.base import Model
from segue.training.runtime import Runtime


def assert_resumes(fit: Callable[[Runtime], Model], epoch: int, tmp_path: Path) -> None:
    """Compare a training that was stopped at an epoch and resumed with one that was not."""
    whole = fit(Runtime("cpu"))
    with stop_at(epoch):
        fit(Runtime("cpu", checkpoint=tmp_path / "state"))
    resumed = fit(Runtime("cpu", checkpoint=tmp_path / "state", resume=True))
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(array, resumed.arrays()[name], err_msg=name)
