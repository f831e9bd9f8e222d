import gc

import numpy as np

from segue.experiment.environment import peak_memory_mb, reset_peak_memory


def test_the_peak_grows_with_what_was_held_and_starts_afresh() -> None:
    # What other tests left may be freed meanwhile; a block of 800 MB stands out from that.
    gc.collect()
    reset_peak_memory()
    before = peak_memory_mb()
    block = np.ones(100_000_000)
    assert block[-1] == 1
    assert peak_memory_mb() - before > 500
    del block
    assert peak_memory_mb() - before > 500
    reset_peak_memory()
    assert peak_memory_mb() - before < 300
