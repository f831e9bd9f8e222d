"""Time, CPU seconds and memory of one preparation or fit in memory, on disk and on Ray, on a generated log.

    python benchmarks/scale.py --folder FOLDER [--events 5000000] [--memory 600MB] [--engines memory disk ray]
        [--files 1] [--fit MODEL] [--replay PYTHON]

The log of ``benchmarks/prepare.py`` is written to FOLDER as Parquet, unless it is there already. Each engine prepares
it with ``segue prepare`` in a process of its own. CPU seconds are those of all processes that it starts, those of Ray
itself included; the peak is that of its largest process. All data sets must have the same bytes. ``--fit`` fits a model
on the log with ``segue fit`` instead, whose files must have the same bytes. ``--replay`` names the Python of an
environment with ``replay-rec[spark]``, which prepares the log alike on local Spark. ``--files`` writes a log that need
not fit in memory: files in order of time, whose session ids are spread over all of them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
from prepare import MEAN_LENGTH, generate
from rich.console import Console
from rich.table import Table

import segue

ITEMS_OF_FILES, HALF_A_DAY = 300_000, 43_200

_TICKS = os.sysconf("SC_CLK_TCK")


def processes_below(root: int) -> dict[int, tuple[float, int]]:
    """Return CPU seconds and peak memory (bytes) of a process and of all that it has started, by their numbers."""
    parents, found = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                status = (folder / "status").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            peak = status.partition("VmHWM:")[2].split()
            parents[int(folder.name)] = int(fields[1])
            cpu = (int(fields[11]) + int(fields[12])) / _TICKS
            found[int(folder.name)] = (cpu, int(peak[0]) << 10 if peak else 0)
    below = {root}
    while grown := {number for number, parent in parents.items() if parent in below} - below:
        below |= grown
    return {number: values for number, values in found.items() if number in below}


def measure(command: list[str]) -> dict[str, float]:
    """Run a command and look at its processes ten times a second."""
    begin, seen = time.perf_counter(), {}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        for number, (cpu, peak) in processes_below(process.pid).items():
            before = seen.get(number, (0.0, 0))
            seen[number] = (max(cpu, before[0]), max(peak, before[1]))
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with code {process.returncode}")
    return {
        "seconds": time.perf_counter() - begin,
        "cpu": sum(cpu for cpu, _ in seen.values()),
        "peak": max(peak for _, peak in seen.values()) / 2**20,
    }


def write_files(folder: Path, events: int, files: int) -> None:
    """Write a log as several Parquet files, each of half a day."""
    folder.mkdir()
    popularity = np.cumsum(1.0 / np.arange(1, ITEMS_OF_FILES + 1) ** 0.9)
    for number in range(files):
        rng = np.random.default_rng(number)
        lengths = 1 + rng.geometric(1 / (MEAN_LENGTH - 1), int(events / files / MEAN_LENGTH))
        n = int(lengths.sum())
        position = np.arange(n) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        begin = 1_700_000_000 + number * HALF_A_DAY + rng.integers(0, HALF_A_DAY, len(lengths))
        part = {
            "session": np.repeat(rng.permutation(len(lengths)) * files + number, lengths),
            "item": 214_000_000 + np.searchsorted(popularity, popularity[-1] * rng.random(n)),
            "time": np.repeat(begin, lengths) + position * 40 + rng.integers(0, 40, n),
        }
        pl.DataFrame(part).sort("time").write_parquet(folder / f"part-{number:04}.parquet")


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a data set."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def sizes(folder: Path) -> dict[str, list[int]]:
    """Return the events and sessions of each part of a data set."""
    if (counts := folder / "counts.json").exists():
        found: dict[str, list[int]] = json.loads(counts.read_text(encoding="utf-8"))
        return found
    stages = segue.open_dataset(folder).statistics()["stages"]
    return {one["part"]: [one["events"], one["sessions"]] for one in stages if one["part"] != "log"}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--memory", default="600MB")
    parser.add_argument("--engines", nargs="+", default=["memory", "disk", "ray"])
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--fit", metavar="MODEL")
    parser.add_argument("--replay", metavar="PYTHON")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    log = arguments.folder / f"events-{arguments.events}"
    if arguments.files > 1:
        if not log.exists():
            write_files(log, arguments.events, arguments.files)
    elif not (log := log.with_suffix(".parquet")).exists():
        generate(arguments.events).write_parquet(log)
    table = Table("engine", "seconds", "CPU seconds", "peak of a process (MB)", "result")
    command, kind = ["prepare", str(log)], "prepared"
    if arguments.fit:
        config = arguments.folder / f"{arguments.fit}.yaml"
        config.write_text(f"models: [{arguments.fit}]\n", encoding="utf-8")
        command, kind = ["fit", str(log), "--config", str(config)], arguments.fit
    first = arguments.folder / f"{kind}-{arguments.engines[0]}"
    for engine in [*arguments.engines, *(["replay"] if arguments.replay else [])]:
        out = arguments.folder / f"{kind}-{engine}"
        shutil.rmtree(out, ignore_errors=True)
        if engine == "replay":
            peer = str(Path(__file__).with_name("scale_replay.py"))
            found = measure([arguments.replay, peer, str(log), str(out), "8"])
            result = "same events and sessions" if sizes(out) == sizes(first) else f"{sizes(out)}, not {sizes(first)}"
        else:
            options = [] if engine == "memory" else ["--engine", engine, "--memory", arguments.memory]
            found = measure([sys.executable, "-m", "segue", *command, "--out", str(out), *options])
            result = "same bytes" if content(out) == content(first) else "OTHER BYTES"
        row = (f"{found['seconds']:.1f}", f"{found['cpu']:.1f}", f"{found['peak']:.0f}", result)
        table.add_row(engine, *row)
        print(engine, *row, flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()
