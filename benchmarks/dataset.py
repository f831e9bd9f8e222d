"""Time and memory of a prepared data set on disk, and whether a model trained on it equals one trained on the log.

    python benchmarks/dataset.py --folder FOLDER [--events 30000000]

The log of benchmarks/prepare.py is written to FOLDER as Parquet and prepared with the default protocol into a data set,
unless they are there already. Then, each in a process of its own: the data set is opened, and V-SKNN is trained on the
log and on the data set. Resident memory is that of the process when the data set is open, imports included; its own
part leaves out files that are mapped, such as libraries. Files that were just written are read from memory; the first
opening after a restart reads them from the disk.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from prepare import generate
from rich.console import Console
from rich.table import Table


def resident_mb() -> dict[str, float]:
    """Return the resident memory of this process, and how much of it is its own and not that of mapped files."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "RssAnon"))}
    return {"resident": kilobytes["VmRSS"] / 1e3, "own": kilobytes["RssAnon"] / 1e3}


def measure_open(folder: Path) -> dict[str, Any]:
    """Open the data set in this process."""
    import segue  # noqa: PLC0415 - the imports are part of what is measured

    begin = time.perf_counter()
    open_dataset = segue.open_dataset
    imported, spent = time.perf_counter(), time.process_time()
    data = open_dataset(folder)
    opened = time.perf_counter()
    seconds = {"import": imported - begin, "open": opened - imported, "cpu": time.process_time() - spent}
    return {**seconds, **resident_mb(), "events": len(data.train.items), "sessions": len(data.train)}


def measure_fit(source: Path) -> dict[str, Any]:
    """Train V-SKNN on the log or the data set in this process."""
    import segue  # noqa: PLC0415

    begin = time.perf_counter()
    data = segue.open_dataset(source) if source.is_dir() else segue.prepare(segue.read(source))
    ready = time.perf_counter()
    model = segue.VSKNN().fit(data.train, valid=data.valid)
    fitted = time.perf_counter()
    digest = hashlib.sha256()
    for name, array in sorted(model.arrays().items()):
        digest.update(name.encode() + array.tobytes())
    return {"ready": ready - begin, "fit": fitted - ready, "sha256": digest.hexdigest()[:16]}


def alone(options: argparse.Namespace, what: str, path: Path) -> dict[str, Any]:
    """Measure something in a process of its own."""
    command = [sys.executable, __file__, "--folder", str(options.folder), "--measure", what, str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def write(log: Path, folder: Path, events: int) -> None:
    """Write the log and the data set, unless they are there."""
    import segue  # noqa: PLC0415

    log.parent.mkdir(parents=True, exist_ok=True)
    if not log.exists():
        generate(events).write_parquet(log)
    if not folder.exists():
        data = segue.prepare(segue.read(log))
        begin = time.perf_counter()
        data.save(folder)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        sys.stdout.write(f"saved {size / 1e6:,.0f} MB in {time.perf_counter() - begin:.1f} s\n")


def main() -> None:
    """Write the files, measure in processes of their own, show the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the log and the data set are kept")
    parser.add_argument("--events", type=int, default=30_000_000)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, path = options.measure
        sys.stdout.write(json.dumps((measure_open if what == "open" else measure_fit)(Path(path))))
        return
    log, folder = options.folder / f"log-{options.events}.parquet", options.folder / f"set-{options.events}"
    write(log, folder, options.events)
    opened = Table("training events", "sessions", "import s", "open s", "open, CPU s", "resident MB", "own MB")
    for _ in range(3):
        row = alone(options, "open", folder)
        seconds = (f"{row['import']:.2f}", f"{row['open']:.2f}", f"{row['cpu']:.2f}")
        memory = (f"{row['resident']:.0f}", f"{row['own']:.0f}")
        opened.add_row(f"{row['events']:,}", f"{row['sessions']:,}", *seconds, *memory)
    fitted = Table("V-SKNN on", "data ready s", "fit s", "SHA-256 of the arrays")
    for source in (log, folder):
        row = alone(options, "fit", source)
        fitted.add_row(source.name, f"{row['ready']:.1f}", f"{row['fit']:.1f}", row["sha256"])
    Console().print(opened, fitted)


if __name__ == "__main__":
    main()
