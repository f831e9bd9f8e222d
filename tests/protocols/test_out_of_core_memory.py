"""The memory of ``segue prepare --memory`` does not grow with the log."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

_MEASURED = """
import runpy, sys
from segue.experiment.environment import peak_memory_mb
sys.argv = ["segue", *sys.argv[1:]]
try:
    runpy.run_module("segue", run_name="__main__")
finally:
    print("peak", round(peak_memory_mb()))
"""


def write_log(folder: Path, events: int) -> None:
    """Write a log in time order, a million events per file."""
    rng = np.random.default_rng(0)
    popularity = np.cumsum(1 / np.arange(1, 200_001) ** 0.8)
    folder.mkdir()
    for number in range(events // 1_000_000):
        sessions = number * 160_000 + rng.integers(0, 170_000, 1_000_000)
        items = np.searchsorted(popularity, rng.random(1_000_000) * popularity[-1])
        times = np.sort(rng.integers(number * 86_400, (number + 1) * 86_400, 1_000_000)) + 1_700_000_000
        ids = sessions * 2_654_435_761 % 2**31
        frame = pl.DataFrame({"session": ids, "item": items, "time": times})
        frame.write_parquet(folder / f"part-{number:04d}.parquet")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a process inherits the peak of its parent")
@pytest.mark.parametrize("millions", [pytest.param(30, marks=pytest.mark.soak)])
def test_peak_of_a_preparation(millions: int, tmp_path: Path) -> None:
    write_log(tmp_path / "log", millions * 1_000_000)
    command = [sys.executable, "-c", _MEASURED, "prepare", str(tmp_path / "log"), "--out", str(tmp_path / "data")]
    done = subprocess.run(
        [*command, "--memory", "600MB"], capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200"}
    )
    peak = int(done.stdout.split("peak ")[1].split()[0])
    assert peak < 900, done.stdout
