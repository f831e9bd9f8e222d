"""Time and memory from a file to a prepared data set, on a generated log.

    python benchmarks/prepare.py --folder FOLDER [--events 30000000]

The log (sessions of 2 events and more, popular and rare items, rows in order of time) is written to FOLDER as CSV and
as Parquet, unless it is there already. Each file is then read and prepared with the default protocol in a process of
its own, whose peak memory is that of its whole life, imports included.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

ITEMS = 40_000
MEAN_LENGTH = 3.75
DAYS = 180

_STATUS, _PEAK = Path("/proc/self/status"), re.compile(r"VmHWM:\s*(\d+) kB")


def generate(events: int, seed: int = 0) -> pl.DataFrame:
    """Return a log of about ``events`` events in order of time, with times in seconds."""
    rng = np.random.default_rng(seed)
    lengths = 1 + rng.geometric(1 / (MEAN_LENGTH - 1), int(events / MEAN_LENGTH))
    n = int(lengths.sum())
    position = np.arange(n) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    begin = 1_700_000_000 + rng.integers(0, DAYS * 86_400, len(lengths))
    popularity = 1.0 / np.arange(1, ITEMS + 1) ** 0.9
    return pl.DataFrame(
        {
            "SessionId": np.repeat(rng.permutation(len(lengths)), lengths),
            "ItemId": 214_000_000 + rng.choice(ITEMS, n, p=popularity / popularity.sum()),
            "Time": np.repeat(begin, lengths) + position * 40 + rng.integers(0, 40, n),
        }
    ).sort("Time")


def measure(file: Path) -> dict[str, float]:
    """Read and prepare ``file`` in this process."""
    from segue.data.readers.read import read  # noqa: PLC0415 - the imports are part of what is measured
    from segue.protocols.prepare import prepare  # noqa: PLC0415

    begin = time.perf_counter()
    events = read(file)
    after_read = time.perf_counter()
    data = prepare(events)
    done = time.perf_counter()
    return {
        "events": len(events),
        "sessions": len(data.train),
        "read": after_read - begin,
        "prepare": done - after_read,
        "peak": 1024 * float(_PEAK.findall(_STATUS.read_text(encoding="utf-8"))[0]) / 1e9,
    }


def main() -> None:
    """Write the files, measure each in its own process, show the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the generated files are kept")
    parser.add_argument("--events", type=int, default=30_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        sys.stdout.write(json.dumps(measure(options.measure)))
        return
    files = [options.folder / f"log-{options.events}.{suffix}" for suffix in ("csv", "parquet")]
    if not all(file.exists() for file in files):
        options.folder.mkdir(parents=True, exist_ok=True)
        log = generate(options.events)
        log.write_csv(files[0])
        log.write_parquet(files[1])
    table = Table("file", "events", "training sessions", "read s", "prepare s", "together s", "peak GB")
    for file in files:
        command = [sys.executable, __file__, "--folder", str(options.folder), "--measure", str(file)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        together = f"{row['read'] + row['prepare']:.1f}"
        seconds = (f"{row['read']:.1f}", f"{row['prepare']:.1f}", together)
        table.add_row(file.suffix[1:], f"{row['events']:,}", f"{row['sessions']:,}", *seconds, f"{row['peak']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
