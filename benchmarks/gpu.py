"""What a GPU gives: equality with the CPU, events per second of every network, the softmax, and evaluation.

    python benchmarks/gpu.py --out results.jsonl [--tiny] [--device cuda]

Each result is appended to the file as one line of JSON as soon as it is there. ``--tiny`` runs every part at a small
size, on a CPU where there is no GPU. ``pip install liger-kernel`` adds its fused cross-entropy as a peer.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from evaluate import DotProduct, random_cases
from torch import Tensor
from torch.nn import functional

import segue
from segue.data.synthetic import shop
from segue.data.vocabulary import Vocabulary
from segue.evaluation.measure import measure
from segue.models.registry import model_class
from segue.nn.losses.softmax import full_cross_entropy
from segue.training.runtime import Runtime

NETWORKS = (
    *("gru4rec", "improved-gru4rec", "narm", "stamp", "sr-gnn", "gce-gnn", "sasrec", "gsasrec", "esasrec", "hstu"),
    *("bert4rec", "fmlp-rec", "attention-clustering", "fpmc"),
)
WIDTH = 128
NO_DROPOUT = (
    *("dropout", "input_dropout", "hidden_dropout", "embedding_dropout"),
    *("dropout_global", "dropout_neighbours"),
)

Result = dict[str, Any]


def describe(device: torch.device, _: bool) -> Iterator[Result]:
    """Name the device and the software."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    yield {"device": name, "torch": torch.__version__, "cuda": torch.version.cuda}


def network(name: str, **training: Any) -> segue.Model:
    """Return a network without dropout, whose draws differ between devices."""
    kind = model_class(name)
    off = {one: 0.0 for one in NO_DROPOUT if one in kind.Config.model_fields}
    return kind(training=training, **off)


def equality(device: torch.device, tiny: bool) -> Iterator[Result]:
    """Compare an epoch in fp32 with one on the CPU: loss, scores, and ranks of the targets."""
    data = segue.prepare(shop(200 if tiny else 5_000, seed=0))
    for name in NETWORKS:
        found = []
        for place in ("cpu", str(device)):
            model = network(name, epochs=1).fit(data.train, seed=0, runtime=Runtime(device=place, precision="fp32"))
            evaluation = segue.evaluate(model, data)
            scores = model.score(data.test.prefixes[np.arange(min(200, len(data.test)))])[:, 1:]
            found.append((model.curve[-1].loss, torch.as_tensor(scores).float().cpu(), evaluation.ranks))
        (loss, scores, ranks), (other_loss, other_scores, other_ranks) = found
        yield {
            "model": name,
            "loss difference": abs(other_loss / loss - 1),
            "score difference": float((other_scores - scores).abs().max() / scores.abs().max()),
            "equal ranks": float((ranks == other_ranks).mean()),
        }


def speed(device: torch.device, tiny: bool) -> Iterator[Result]:
    """Measure the events per second of the second epoch of every network, with its default loss."""
    data = segue.prepare(shop(200 if tiny else 200_000, seed=0))
    for name in NETWORKS:
        begin = time.perf_counter()
        model = network(name, epochs=2).fit(data.train, seed=0, runtime=Runtime(device=str(device)))
        seconds = model.curve[-1].seconds
        yield {"model": name, "events/s": len(data.train.items) / seconds, "fit s": time.perf_counter() - begin}


def plain(states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy with all scores at once."""
    return functional.cross_entropy(states @ table[1:].T, targets - 1)


def softmaxes() -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """Return the ways to compute the cross-entropy."""
    found = {"segue": full_cross_entropy, "torch": plain}
    try:
        from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss  # noqa: PLC0415
    except ImportError:
        return found
    liger = LigerFusedLinearCrossEntropyLoss()
    return {**found, "liger": lambda states, table, targets: liger(table[1:], states, targets - 1)}


def softmax(device: torch.device, tiny: bool) -> Iterator[Result]:
    """Measure time and memory of the cross-entropy with its gradients, above its inputs."""
    rows, repeats = (64, 2) if tiny else (4_096, 5)
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    for items in (1_000, 5_000) if tiny else (40_000, 1_000_000, 10_000_000):
        states = torch.randn(rows, WIDTH, device=device, dtype=kind, requires_grad=True)
        table = torch.randn(items + 1, WIDTH, device=device, dtype=kind).mul_(0.1).requires_grad_()
        targets = torch.randint(1, items + 1, (rows,), device=device)
        for name, loss in softmaxes().items():
            result: Result = {"items": items, "rows": rows, "loss": name}
            try:
                seconds, peak = costs(lambda: loss(states, table, targets).backward(), device, repeats)  # noqa: B023
            except torch.OutOfMemoryError:
                yield {**result, "out of memory": True}
                continue
            yield {**result, "ms": 1000 * seconds, "peak MB": peak}


def costs(work: Callable[[], None], device: torch.device, repeats: int) -> tuple[float, float | None]:
    """Return the shortest time of a call, and the memory of a GPU that it takes at its peak (MB)."""
    work()  # The first call chooses the kernels.
    times, peak = [], None
    for _ in range(repeats):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            held = torch.cuda.memory_allocated(device)
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            peak = (torch.cuda.max_memory_allocated(device) - held) / 2**20
        times.append(time.perf_counter() - begin)
    return min(times), peak


class OnDevice(DotProduct):
    """Scores on a device, like a network."""

    def __init__(self, vocabulary: Vocabulary, size: int, device: torch.device) -> None:
        super().__init__(vocabulary, size)
        self.table, self.device = self.table.to(device), device


def evaluation(device: torch.device, tiny: bool) -> Iterator[Result]:
    """Measure the evaluation of cases over the full catalogue."""
    cases, items = (500, 1_000) if tiny else (100_000, 1_000_000)
    scorer = OnDevice(Vocabulary.from_items(pl.Series(np.arange(items))), WIDTH, device)
    begin = time.perf_counter()
    measure(scorer, random_cases(cases, items), {"metrics": ["recall@20", "mrr@20"]})
    yield {"cases": cases, "items": items, "cases/s": cases / (time.perf_counter() - begin)}


def main() -> None:
    """Run all parts, and append their results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = Runtime(device=options.device).torch_device()
    if device.type == "cpu" and not options.tiny:
        parser.error("--device: a CPU runs only the small sizes; add --tiny")
    for part in (describe, equality, speed, softmax, evaluation):
        for result in part(device, options.tiny):
            line = json.dumps({"part": part.__name__, **result})
            with options.out.open("a", encoding="utf-8") as stream:
                stream.write(f"{line}\n")
            print(line, flush=True)


if __name__ == "__main__":
    main()
