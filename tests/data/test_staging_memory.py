"""The memory of a staged log does not grow with it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

SCRIPT = """
import sys
from pathlib import Path
from segue.data.partitions import OnDisk
from segue.data.readers.staging import stage
from segue.experiment.environment import peak_memory_mb
before = peak_memory_mb()
staged = stage(sys.argv[1], OnDisk(Path(sys.argv[2])), piece_bytes=4 << 20)
print(len(staged), len(staged.pieces), round(peak_memory_mb() - before))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a process inherits the peak of its parent")
@pytest.mark.parametrize("millions", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_peak(tmp_path: Path, millions: int) -> None:
    rng = np.random.default_rng(0)
    with (tmp_path / "log.csv").open("wb") as stream:
        for million in range(millions):
            rows = np.arange(million * 1_000_000, (million + 1) * 1_000_000)
            items = rng.integers(0, 100_000, len(rows))
            columns = {"session": rows // 6, "item": items, "time": 1_700_000_000 + rows}
            pl.DataFrame(columns).write_csv(stream, include_header=not million)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "log.csv"), str(tmp_path / "work")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    events, pieces, peak = map(int, run.stdout.split())
    assert events == millions * 1_000_000
    assert pieces > 10
    assert peak < 300
