import gc

import numpy as np
import pytest

from segue import Popularity, prepare
from segue.data.synthetic import shop
from segue.experiment.environment import peak_memory_mb, reset_peak_memory
from segue.experiment.fit_and_test import fit_and_test
from segue.experiment.model_specs import ModelSpec
from segue.training.runtime import Runtime


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


def test_times_leave_out_the_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([0.0, 0.0, 0.0, 1000.0])  # A thousand seconds in the evaluation, which must take no time by the clock.
    monkeypatch.setattr("segue.experiment.fit_and_test.compilation_seconds", lambda: next(spent))
    tested = fit_and_test(ModelSpec("popularity", Popularity()), prepare(shop(1000)), seed=0, runtime=Runtime("cpu"))
    assert 0 <= tested.row.fit_seconds < 1000
    assert tested.row.evaluate_seconds < 0
