import numpy as np

from segue.experiment.memory import peak_mb, reset_peak


def test_the_peak_grows_with_what_was_held() -> None:
    reset_peak()
    before = peak_mb()
    block = np.ones(25_000_000)
    held = peak_mb() - before
    assert block[-1] == 1
    assert 150 < held < 260
