"""Trains models in this process, or together with others as torchrun would start them; prints digests."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from chains import markov_chain

from segue.models.neural import NeuralModel
from segue.models.registry import model_class
from segue.training.parallel import Group
from segue.training.processes import process_group
from segue.training.runtime import Runtime

WINDOWS = {"embedding_size": 8, "max_length": 8, "dropout": 0.2}
PLAN = {"epochs": 2, "batch_size": 8, "micro_batches": 4}
DRAWN = {"n_samples": 9, "in_batch": True}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sasrec, adamw, full softmax": ("sasrec", {**WINDOWS, "training": PLAN}),
    "sasrec, mixed, sampled": (
        "sasrec",
        {
            **WINDOWS,
            "training": {**PLAN, "optimizer": "mixed", "clip_norm": 1.0, "loss": {"kind": "sampled-softmax", **DRAWN}},
        },
    ),
    "bert4rec": ("bert4rec", {**WINDOWS, "training": PLAN}),
    "gru4rec, bpr-max": (
        "gru4rec",
        {
            **{"hidden_size": 8, "dropout_hidden": 0.2, "dropout_embedding": 0.1},
            "training": {**PLAN, "momentum": 0.1, "loss": {"kind": "bpr-max", "n_samples": 9}},
        },
    ),
}


def trained(case: str, group: Group, epochs: int = 2, checkpoint: Path | None = None) -> str:
    """Train a model; return a digest of its weights, losses and validation."""
    name, parameters = CASES[case]
    task = markov_chain(n_items=20, n_sessions=60)
    model = model_class(name)(**{**parameters, "training": {**parameters["training"], "epochs": epochs}})
    assert isinstance(model, NeuralModel)
    runtime = Runtime(device="cpu", group=group, checkpoint=checkpoint, checkpoint_seconds=0.0, resume=True)
    model = model.fit(task.train, valid=task.cases[:50], seed=4, runtime=runtime)
    digest = hashlib.sha256(repr([(one.loss, one.validation) for one in model.curve]).encode())
    for key, array in sorted(model.arrays().items()):
        digest.update(key.encode() + array.tobytes())
    return digest.hexdigest()


def start(size: int, cases: list[str], epochs: int = 2, checkpoint: Path | None = None) -> list[subprocess.Popen[str]]:
    """Start so many processes that train the cases together; the first one prints their digests as JSON."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "PYTHONPATH": path}
    arguments = [json.dumps(cases), str(epochs), str(checkpoint or "")]
    return [
        subprocess.Popen(
            [sys.executable, __file__, *arguments],
            env={**os.environ, **shared, "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]


def digests(processes: list[subprocess.Popen[str]]) -> dict[str, str]:
    """Wait for processes that ``start`` started, and return their digests."""
    answers = [process.communicate(timeout=300) for process in processes]
    assert all(process.returncode == 0 for process in processes), answers
    found: dict[str, str] = json.loads(answers[0][0])
    return found


def main(cases: str, epochs: str, checkpoint: str) -> None:
    """Train, and print the digests."""
    with process_group(torch.device("cpu")) as group:
        state = Path(checkpoint) if checkpoint else None
        found = {case: trained(case, group, int(epochs), state) for case in json.loads(cases)}
    if group.leads:
        print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
