import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segue import Popularity, prepare
from segue.data.synthetic import shop
from segue.experiment.environment import peak_memory_mb, reset_peak_memory
from segue.experiment.fit_and_test import fit_and_test
from segue.experiment.model_specs import ModelSpec
from segue.training.runtime import Runtime

RUN = """
import sys
from pathlib import Path
import torch
import segue
from segue.data.synthetic import shop
gru4rec = {"hidden_size": 8, "training": {"epochs": 1, "loss": {"n_samples": 32}}}
config = segue.RunConfig(log="shop", models=["gru4rec", "item-knn"], set={"gru4rec": gru4rec})
segue.run(config, Path(sys.argv[1]), events=shop(200, 0))
print(torch.get_num_threads())
"""


def test_a_run_keeps_to_the_threads_that_the_user_has_set(tmp_path: Path) -> None:
    others = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment = {**others, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN, str(tmp_path / "run")]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split()[-1] == "1"


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
