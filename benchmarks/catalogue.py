"""Training on a large catalogue: time and memory of one SASRec under each way to compare a target with the items.

    python benchmarks/catalogue.py [--items 1000000] [--sessions 64] [--width 64]

``plain`` is the softmax as it is written down: logits of all targets against all items at once. ``chunked`` is
segue's cross-entropy, in fp32 and with products in bf16, which a CPU refuses on which they are slower. ``sampled``
compares with 2,048 drawn items, in bf16; with the mixed optimiser it updates only the rows in use. Each way trains in a
process of its own, on generated sessions of 21 events. Time is that of the second epoch, for the first one also
compiles; memory is the peak of the process, of which the bare one with its imports and its log is named behind it.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.nn import functional

from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.models.sasrec import SASRec
from segue.nn.losses.config import FullCrossEntropy
from segue.nn.losses.sampled import LossInput, StepLoss
from segue.training.runtime import Precision, Runtime

LENGTH = 21
SAMPLED = {"loss": {"kind": "sampled-softmax", "n_samples": 2048}}
EPOCHS = 2
WAYS: Mapping[str, tuple[Precision, Mapping[str, Any]]] = {
    "plain": ("fp32", {}),
    "chunked, fp32": ("fp32", {}),
    "chunked, bf16": ("bf16", {}),
    "sampled": ("bf16", SAMPLED),
    "sampled, mixed": ("bf16", {**SAMPLED, "optimizer": "mixed"}),
}


def plain(step: LossInput) -> torch.Tensor:
    """Return the cross-entropy among all items, logits and all."""
    return functional.cross_entropy(step.encoder.logits(step.states)[:, 1:], step.targets - 1)


class Plain(FullCrossEntropy):
    """Cross-entropy with all scores at once."""

    def loss(self, n_items: int, precision: str) -> StepLoss:
        """Return the loss of a step."""
        return plain


def log(n_items: int, n_sessions: int) -> Sessions:
    """Return random sessions over a large catalogue."""
    table = pl.DataFrame({"item": np.arange(n_items), "support": np.ones(n_items, dtype=np.int64)})
    items = np.random.default_rng(0).integers(1, n_items + 1, n_sessions * LENGTH).astype(np.int32)
    return Sessions(items, np.arange(0, len(items) + 1, LENGTH), None, Vocabulary(table))


def peak_mb() -> float:
    """Return the largest memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(way: str, train: Sessions, width: int) -> dict[str, Any]:
    """Train for two epochs, of which the second is timed."""
    precision, training = WAYS[way]
    before = peak_mb()
    model = SASRec(embedding_size=width, training={"epochs": EPOCHS, "batch_size": 16, **training})
    if way == "plain":
        unchunked = model.config.training.model_copy(update={"loss": Plain()})
        model = SASRec(model.config.model_copy(update={"training": unchunked}))
    runtime = Runtime(device="cpu", precision=precision)
    model.fit(train, runtime=runtime)
    seconds = model.curve[-1].seconds
    return {
        "seconds": seconds,
        "before_mb": before,
        "peak_mb": peak_mb(),
        "precision": "fp32" if way == "plain" else runtime.product_precision(),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--way", choices=WAYS, help="one of them, as JSON")
    args = parser.parse_args()
    if args.way is not None:
        print(json.dumps(measure(args.way, log(args.items, args.sessions), args.width)))
        return
    targets = args.sessions * (LENGTH - 1)
    print(f"{args.items:,} items, width {args.width}, {targets:,} targets, {torch.get_num_threads()} threads")
    options = [f"--{name}={getattr(args, name)}" for name in ("items", "sessions", "width")]
    for way in WAYS:
        command = [sys.executable, __file__, "--way", way, *options]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if finished.returncode != 0:
            print(f"{way:18} did not fit into memory")
            continue
        answer = json.loads(finished.stdout)
        print(
            f"{way:15} {answer['precision']}  {answer['seconds']:7.2f} s   "
            f"{1000 * answer['seconds'] / targets:7.3f} ms per target   "
            f"peak {answer['peak_mb']:7,.0f} MB ({answer['before_mb']:,.0f} MB before)",
            flush=True,
        )


if __name__ == "__main__":
    main()
