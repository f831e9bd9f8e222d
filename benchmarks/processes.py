"""Seconds per epoch in micro-batches and in several processes, side by side: wall time, and CPU time of all processes.

    python benchmarks/processes.py --sessions 20000 --epochs 2

Each row is a training of its own in new processes with one thread each; the first epoch, in which numerical code is
loaded, is not counted. The digest of the weights is equal for equal numbers of micro-batches.
"""

import argparse
import hashlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

import segue
from segue.data.synthetic import shop
from segue.training.processes import process_group
from segue.training.runtime import EpochRecord, Runtime

MODELS: dict[str, dict[str, Any]] = {
    "sasrec": {"max_length": 20, "training": {"batch_size": 128}},
    "sasrec, mixed": {
        "max_length": 20,
        "training": {"batch_size": 128, "optimizer": "mixed", "loss": {"kind": "sampled-softmax", "n_samples": 512}},
    },
    "gru4rec": {"training": {"batch_size": 64, "loss": {"kind": "bpr-max", "n_samples": 2048}}},
}
WAYS = ((1, 1), (4, 1), (4, 2))
"""Micro-batches and processes."""


def train(label: str, micro_batches: int, sessions: int, epochs: int) -> None:
    """Train in this process and those beside it; the first one prints what was measured."""
    data = segue.prepare(shop(sessions, 0), "session-next")
    parameters = MODELS[label]
    training = {**parameters["training"], "micro_batches": micro_batches, "epochs": 1 + epochs}
    model = segue.model_class(label.partition(",")[0])(**{**parameters, "training": training})
    walls: list[float] = []
    marks: list[float] = []

    def note(_: str, record: EpochRecord) -> None:
        walls.append(record.seconds)
        marks.append(_cpu_seconds())

    with process_group(torch.device("cpu")) as group:
        # Each process counts its own seconds: the callback is that of the first one, so the others count the whole fit.
        began = _cpu_seconds()
        fitted = model.fit(data.train, seed=0, runtime=Runtime(device="cpu", group=group, on_epoch_end=note))
        own = (marks[-1] - marks[0]) / epochs if marks else (_cpu_seconds() - began) / (1 + epochs)
        every = group.gather_rows(torch.tensor([own], dtype=torch.float64))
    if group.leads:
        digest = hashlib.sha256()
        for _, array in sorted(fitted.arrays().items()):
            digest.update(array.tobytes())
        print(
            json.dumps(
                {
                    "model": label,
                    "micro_batches": micro_batches,
                    "processes": group.size,
                    "seconds": round(min(walls[1:]), 2),
                    "cpu_seconds": round(float(every.sum()), 2),
                    "digest": digest.hexdigest()[:12],
                }
            )
        )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(label: str, micro_batches: int, processes: int, sessions: int, epochs: int) -> dict[str, Any]:
    """Train in new processes, and return what the first one printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    arguments = ["--one", label, str(micro_batches), "--sessions", str(sessions), "--epochs", str(epochs)]
    started = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__)), *arguments],
            env={**os.environ, **place, "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(processes), "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    answers = [one.communicate()[0] for one in started]
    found: dict[str, Any] = json.loads(answers[0])
    return found


def main() -> None:
    """Measure every model in every way, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20_000, help="sessions of the generated shop")
    parser.add_argument("--epochs", type=int, default=2, help="epochs that are measured, after one that is not")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="what is trained")
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "V"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        train(options.one[0], int(options.one[1]), options.sessions, options.epochs)
        return
    print("| model | micro-batches | processes | s / epoch | CPU s / epoch | weights |\n|---|---|---|---|---|---|")
    started = time.monotonic()
    for label in options.models:
        for micro_batches, processes in WAYS:
            row = measure(label, micro_batches, processes, options.sessions, options.epochs)
            print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
