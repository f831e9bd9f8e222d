"""Time, CPU seconds and memory of one preparation or fit in memory, on disk and on Ray, on a generated log.

    python benchmarks/scale.py --folder FOLDER [--events 5000000] [--memory 600MB] [--engines memory disk ray]
        [--files 1] [--fit MODEL] [--replay PYTHON | --recbole PYTHON] [--limit 4GB]

The log of ``benchmarks/prepare.py`` is written to FOLDER as Parquet, unless it is there already. Each engine prepares
it with ``segue prepare`` in a process of its own. CPU seconds are those of all processes that it starts, those of Ray
itself included; the peak is that of its largest process. All data sets must have the same bytes. ``--fit`` fits a model
on the log with ``segue fit`` instead, whose files must have the same bytes. ``--replay`` names the Python of an
environment with ``replay-rec[spark]``, which prepares the log alike on local Spark. ``--recbole`` names one with
RecBole 1.2.1; all engines then read RecBole's text file, and hold out the last two events of each session. ``--limit``
kills a command of which a process takes more memory. ``--files`` writes a log that need not fit in memory: files in
order of time, whose session ids are spread over all of them.
"""

import argparse
import json
import os
import shutil
import signal
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
from segue.cli.options import parse_size

ITEMS_OF_FILES, HALF_A_DAY = 300_000, 43_200
RECBOLE_COLUMNS = {"SessionId": "user_id:token", "ItemId": "item_id:token", "Time": "timestamp:float"}
RECBOLE_PROTOCOL = {"k_core": "1", "session_interval": "'[5,inf)'", "item_interval": "'[5,inf)'"}

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


def measure(command: list[str], limit: float) -> dict[str, float]:
    """Run a command and look at its processes ten times a second; kill it if one takes more than ``limit`` bytes."""
    begin, seen, killed = time.perf_counter(), {}, False
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None:
        for number, (cpu, peak) in processes_below(process.pid).items():
            before = seen.get(number, (0.0, 0))
            seen[number] = (max(cpu, before[0]), max(peak, before[1]))
        if max(peak for _, peak in seen.values()) > limit:
            killed = True
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.1)
    if process.returncode and not killed:
        sys.exit(f"{' '.join(command)} ended with code {process.returncode}")
    return {
        "seconds": time.perf_counter() - begin,
        "cpu": sum(cpu for cpu, _ in seen.values()),
        "peak": max(peak for _, peak in seen.values()) / 2**20,
        "killed": killed,
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


def write_log(folder: Path, events: int, files: int, *, recbole: bool) -> Path:
    """Write the log unless it is there, and return its path."""
    name = f"events-{events}"
    if files > 1:
        if not (log := folder / name).exists():
            write_files(log, events, files)
    elif recbole:
        if not (log := folder / f"recbole-{events}" / f"recbole-{events}.inter").exists():
            log.parent.mkdir()
            generate(events).rename(RECBOLE_COLUMNS).write_csv(log, separator="\t")
    elif not (log := folder / f"{name}.parquet").exists():
        generate(events).write_parquet(log)
    return log


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
    parser.add_argument("--limit", default="1TB")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--fit", metavar="MODEL")
    kinds.add_argument("--replay", metavar="PYTHON")
    kinds.add_argument("--recbole", metavar="PYTHON")
    arguments = parser.parse_args()
    if arguments.recbole and arguments.files > 1:
        parser.error("--recbole: reads one file; leave out --files")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    log = write_log(arguments.folder, arguments.events, arguments.files, recbole=bool(arguments.recbole))
    peer = "recbole" if arguments.recbole else "replay"
    python, protocol = arguments.recbole or arguments.replay, []
    if arguments.recbole:
        settings = [f"protocol.cleaning.{name}={value}" for name, value in RECBOLE_PROTOCOL.items()]
        protocol = ["--protocol", "leave-one-out", *(word for one in settings for word in ("--set", one))]
    table = Table("engine", "seconds", "CPU seconds", "peak of a process (MB)", "result")
    job, kind = ["prepare", str(log)], "prepared"
    if arguments.fit:
        config = arguments.folder / f"{arguments.fit}.yaml"
        config.write_text(f"models: [{arguments.fit}]\n", encoding="utf-8")
        job, kind = ["fit", str(log), "--config", str(config)], arguments.fit
    first = arguments.folder / f"{kind}-{arguments.engines[0]}"
    for engine in [*arguments.engines, *([peer] if python else [])]:
        out = arguments.folder / f"{kind}-{engine}"
        shutil.rmtree(out, ignore_errors=True)
        if engine == peer:
            script = str(Path(__file__).with_name(f"scale_{peer}.py"))
            command = [python, script, str(log), str(out), *(["8"] if peer == "replay" else [])]
        else:
            options = [] if engine == "memory" else ["--engine", engine, "--memory", arguments.memory]
            command = [sys.executable, "-m", "segue", *job, "--out", str(out), *protocol, *options]
        found = measure(command, parse_size("--limit", arguments.limit))
        if found["killed"]:
            result = "killed: more memory than --limit"
        elif not first.exists():
            result = str(sizes(out))
        elif engine == peer:
            same = sizes(out).items() <= sizes(first).items()
            result = (
                f"same events and sessions: {', '.join(sizes(out))}" if same else f"{sizes(out)}, not {sizes(first)}"
            )
        else:
            result = "same bytes" if content(out) == content(first) else "OTHER BYTES"
        row = (f"{found['seconds']:.1f}", f"{found['cpu']:.1f}", f"{found['peak']:.0f}", result)
        table.add_row(engine, *row)
        print(engine, *row, flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()
