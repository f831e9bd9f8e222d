"""Training on a large catalogue, or on long histories: time and memory under each way to compare a target with items.

    python benchmarks/catalogue.py [--items 1000000] [--sessions 64] [--width 64] [--length 21] [--batch-size 16]
        [--ways plain sampled ...] [--precision fp32] [--artifact FOLDER]

``plain`` is the softmax as it is written down: logits of all targets against all items at once. ``chunked`` is
segue's cross-entropy, in fp32 and with products in bf16, which a CPU refuses on which they are slower. ``sampled``
compares with 2,048 drawn items, in bf16; with the mixed optimiser it updates only the rows in use. All train SASRec,
``gru4rec`` the network of this name with sampled items and the mixed optimiser. Each way trains in a process of its
own, on generated sessions of ``--length`` events, which is also the ``max_length`` of SASRec. Time is that of the
second epoch, for the first one also compiles; memory is the peak of the process, of which the bare one with its imports
and its log is named behind it. With ``--artifact``, the model is saved there, and another process loads it and
recommends 20 items.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from torch.nn import functional

import segue
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.models.gru4rec import GRU4Rec
from segue.models.neural import NeuralModel
from segue.models.sasrec import SASRec
from segue.nn.losses.config import FullCrossEntropy
from segue.nn.losses.sampled import LossInput, StepLoss
from segue.training.runtime import Precision, Runtime

EPOCHS = 2
SAMPLED = {"loss": {"kind": "sampled-softmax", "n_samples": 2048}}
MIXED = {"optimizer": "mixed"}


class Way(NamedTuple):
    """A way to train: precision, parameters of the training, and the model."""

    precision: Precision
    training: Mapping[str, Any]
    model: type[NeuralModel] = SASRec


WAYS: Mapping[str, Way] = {
    "plain": Way("fp32", {}),
    "chunked, fp32": Way("fp32", {}),
    "chunked, bf16": Way("bf16", {}),
    "sampled": Way("bf16", SAMPLED),
    "sampled, mixed": Way("bf16", {**SAMPLED, **MIXED}),
    "gru4rec": Way("fp32", {**MIXED, "loss": {"kind": "cross-entropy", "n_samples": 2048}}, GRU4Rec),
}


def plain(step: LossInput) -> torch.Tensor:
    """Return the cross-entropy among all items, logits and all."""
    return functional.cross_entropy(step.encoder.logits(step.states)[:, 1:], step.targets - 1)


class Plain(FullCrossEntropy):
    """Cross-entropy with all scores at once."""

    def loss(self, n_items: int, precision: str) -> StepLoss:
        """Return the loss of a step."""
        return plain


def log(n_items: int, n_sessions: int, length: int) -> Sessions:
    """Return random sessions over a large catalogue."""
    table = pl.DataFrame({"item": np.arange(n_items), "support": np.ones(n_items, dtype=np.int64)})
    items = np.random.default_rng(0).integers(1, n_items + 1, n_sessions * length).astype(np.int32)
    return Sessions(items, np.arange(0, len(items) + 1, length), None, Vocabulary(table))


def peak_mb() -> float:
    """Return the largest memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def untrained(way: str, arguments: argparse.Namespace) -> NeuralModel:
    """Return the model of a way."""
    training = {"epochs": EPOCHS, "batch_size": arguments.batch_size, **WAYS[way].training}
    if WAYS[way].model is GRU4Rec:
        return GRU4Rec(hidden_size=arguments.width, training=training)
    model = SASRec(embedding_size=arguments.width, max_length=arguments.length, training=training)
    if way == "plain":
        unchunked = model.config.training.model_copy(update={"loss": Plain()})
        model = SASRec(model.config.model_copy(update={"training": unchunked}))
    return model


def measure(way: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train for two epochs, of which the second is timed."""
    train = log(arguments.items, arguments.sessions, arguments.length)
    before, model = peak_mb(), untrained(way, arguments)
    runtime = Runtime(device="cpu", precision=arguments.precision or WAYS[way].precision)
    model.fit(train, runtime=runtime)
    found = {
        "seconds": model.curve[-1].seconds,
        "before_mb": before,
        "peak_mb": peak_mb(),
        "precision": "fp32" if way == "plain" else runtime.product_precision(),
    }
    if arguments.artifact:
        start = time.perf_counter()
        model.save(arguments.artifact)
        found |= {"save_seconds": time.perf_counter() - start, "save_peak_mb": peak_mb()}
    return found


def recommend(folder: Path) -> dict[str, float]:
    """Load a model and recommend items for a session."""
    start = time.perf_counter()
    model = segue.load(folder)
    loaded, load_peak = time.perf_counter(), peak_mb()
    seconds = []
    for number in range(21):
        begin = time.perf_counter()
        model.recommend([number, number + 1, number + 2])
        seconds.append(time.perf_counter() - begin)
    return {
        "load": loaded - start,
        "load_peak_mb": load_peak,
        "first": seconds[0],
        "median": float(np.median(seconds[1:])),
        "peak_mb": peak_mb(),
    }


def run(options: list[str]) -> dict[str, Any] | None:
    """Return the answer of another process; None if it did not end well."""
    finished = subprocess.run([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(finished.stdout) if finished.returncode == 0 else None


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--length", type=int, default=21)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="of all ways")
    parser.add_argument("--artifact", type=Path)
    parser.add_argument("--way", choices=WAYS, help="one of them, as JSON")
    parser.add_argument("--recommend", action="store_true", help="load the artifact and use it, as JSON")
    args = parser.parse_args()
    if args.recommend or args.way is not None:
        print(json.dumps(recommend(args.artifact) if args.recommend else measure(args.way, args)))
        return
    targets = args.sessions * (args.length - 1)
    print(f"{args.items:,} items, width {args.width}, {targets:,} targets, {torch.get_num_threads()} threads")
    shared = ("items", "sessions", "width", "length", "batch_size", "artifact", "precision")
    options = [f"--{name.replace('_', '-')}={value}" for name in shared if (value := getattr(args, name)) is not None]
    for way in args.ways:
        answer = run(["--way", way, *options])
        if answer is None:
            print(f"{way:18} ended without a result")
            continue
        print(
            f"{way:15} {answer['precision']}  {answer['seconds']:7.2f} s   "
            f"{1000 * answer['seconds'] / targets:7.3f} ms per target   "
            f"peak {answer['peak_mb']:7,.0f} MB ({answer['before_mb']:,.0f} MB before)",
            flush=True,
        )
        if args.artifact and (used := run(["--recommend", *options])) is not None:
            print(
                f"{'':15} saved in {answer['save_seconds']:.1f} s, peak {answer['save_peak_mb']:,.0f} MB; loaded in "
                f"{used['load']:.1f} s, peak {used['load_peak_mb']:,.0f} MB; first list after "
                f"{used['first']:.1f} s, others in {1000 * used['median']:,.1f} ms, peak {used['peak_mb']:,.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
