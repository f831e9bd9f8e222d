"""Sequence models beside RecTools', RePlay's and RecBole's: the same log and sizes; quality, seconds and memory.

    python benchmarks/sequence.py LOG --peer replay=PYTHON --peer rectools=PYTHON --peer recbole=PYTHON
        [--model sasrec] [--peer-epochs 45] [--epochs 6] [--set training.learning_rate=0.003] [--set heads=2] ...

What the README names was measured with ``ml-1m --epochs 6 --set heads=2 --set training.batch_size=64 --set
training.learning_rate=0.003 --set training.schedule=linear``, and 45 epochs of the peers.

PYTHON is an interpreter that can import the peer (RecTools 0.19, RePlay 0.22, RecBole 1.2 with pandas below 3). The
last event of each user is the test; all items are ranked but those of the history, which RecBole alone does not leave
out. Each side trains alone, one after the other; its time is that of the whole fit, memory the peak of its process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
METRIC = "ndcg@10"


def write_log(log: str, path: Path) -> None:
    """Write the events as the peers read them; the place in a history stands for the time."""
    import segue  # noqa: PLC0415 (the parent process measures nothing, and need not load it twice)

    data = segue.prepare(segue.read(log, unit="user"), "leave-one-out", split={"leave": "test_only"})
    train, test = data.train, data.test
    rows = ["user,item,timestamp"]
    targets = dict(zip(test.groups.tolist(), test.targets.tolist(), strict=True))
    starts, ends = test.prefixes.starts, test.prefixes.ends
    for user, start, end in zip(test.groups.tolist(), starts.tolist(), ends.tolist(), strict=True):
        history = [*test.prefixes.items[start:end].tolist(), targets[user]]
        rows += [f"{user},{item},{second}" for second, item in enumerate(history)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(rows) - 1:,} events, {len(targets):,} users, {len(train.vocabulary):,} items", flush=True)


def run(python: str, script: Path, log: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Train one side in a process of its own."""
    command = [python, script, log, json.dumps(task)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ})
    answer: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return answer


def show(name: str, answer: dict[str, Any]) -> None:
    """Print one line."""
    seconds = answer["epoch_seconds"]
    print(
        f"{name:10} {METRIC} {answer[METRIC]:.4f}   fit {answer['fit_seconds']:8.1f} s   "
        f"{np.median(seconds):7.2f} s per epoch x {len(seconds)}   peak {answer['peak_mb']:7,.0f} MB",
        flush=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--model", default="sasrec")
    parser.add_argument("--peer-epochs", type=int, default=45)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--max-length", type=int, default=50)
    parser.add_argument("--embedding-size", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of segue; the peers use fp32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="NAME=VALUE")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    task = {
        name: getattr(args, name)
        for name in ("model", "max_length", "embedding_size", "layers", "threads", "precision")
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.csv"
        write_log(args.log, log)
        ours = run(
            sys.executable,
            HERE / "sequence_segue.py",
            log,
            {**task, "epochs": args.epochs, "settings": [f"{args.model}.{one}" for one in args.settings]},
        )
        show("segue", ours)
        for peer in args.peer:
            name, python = peer.split("=", 1)
            theirs = run(python, HERE / f"sequence_{name}.py", log, {**task, "epochs": args.peer_epochs})
            show(name, theirs)
            print(
                f"{'':10} segue: {METRIC} {ours[METRIC] - theirs[METRIC]:+.4f}, "
                f"1/{theirs['fit_seconds'] / ours['fit_seconds']:.1f} of the time, "
                f"1/{np.median(theirs['epoch_seconds']) / np.median(ours['epoch_seconds']):.1f} of it per epoch",
                flush=True,
            )


if __name__ == "__main__":
    main()
