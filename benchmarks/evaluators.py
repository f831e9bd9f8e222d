"""Evaluation beside RecBole's and RecTools': the same scores, seconds, memory, and whether the figures agree.

    python benchmarks/evaluators.py --peer recbole=PYTHON --peer rectools=PYTHON
        [--cases 60000] [--items 43000] [--size 64]

PYTHON is an interpreter that can import the peer (RecBole 1.2 with pandas below 3, RecTools 0.19). Each side gets the
same vectors of sessions and items, whose products are the scores, and one relevant item per case among all items; it
runs alone, one after the other. Its time is that of scoring, ranking and measuring, memory the peak of its process
above what it took to load the vectors.
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
FIGURES = ("recall@20", "mrr@20", "ndcg@20", "map@20")


def write_task(path: Path, cases: int, items: int, size: int) -> None:
    """Write vectors in which the relevant item scores well, but not best."""
    rng = np.random.default_rng(0)
    table = rng.standard_normal((items + 1, size), dtype=np.float32)
    targets = rng.integers(1, items + 1, cases)
    states = 0.35 * table[targets] + rng.standard_normal((cases, size), dtype=np.float32)
    np.savez(path, table=table, states=states, targets=targets)


def run(python: str, script: Path, task: Path) -> dict[str, Any]:
    """Evaluate with one side in a process of its own."""
    finished = subprocess.run([python, script, task], check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return answer


def show(name: str, answer: dict[str, Any], cases: int) -> None:
    """Print one line."""
    figures = "  ".join(f"{figure} {answer['metrics'][figure]:.4f}" for figure in FIGURES)
    seconds = answer["seconds"]
    print(f"{name:10} {seconds:8.1f} s  {cases / seconds:8,.0f} cases/s  {answer['peak_mb']:7,.0f} MB   {figures}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--cases", type=int, default=60_000)
    parser.add_argument("--items", type=int, default=43_000)
    parser.add_argument("--size", type=int, default=64)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(os.cpu_count())
    print(f"{args.cases:,} cases x {args.items:,} items, vectors of {args.size}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder) / "task.npz"
        write_task(task, args.cases, args.items, args.size)
        ours = run(sys.executable, HERE / "evaluators_segue.py", task)
        show("segue", ours, args.cases)
        for peer in args.peer:
            name, python = peer.split("=", 1)
            theirs = run(python, HERE / f"evaluators_{name}.py", task)
            show(name, theirs, args.cases)
            apart = max(abs(ours["metrics"][figure] - theirs["metrics"][figure]) for figure in FIGURES)
            print(
                f"{'':10} segue takes 1/{theirs['seconds'] / ours['seconds']:.1f} of the time and "
                f"1/{theirs['peak_mb'] / ours['peak_mb']:.1f} of the memory; figures differ by {apart:.1e} at most",
                flush=True,
            )


if __name__ == "__main__":
    main()
