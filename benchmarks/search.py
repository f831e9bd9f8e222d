"""Time the searches of a model's best items side by side, and onnxruntime against segue's own encoder.

    python benchmarks/search.py                              # 10,000, 100,000 and 1,000,000 items
    python benchmarks/search.py --items 300000 --size 100
    python benchmarks/search.py --onnx                       # SASRec on 10,000 items

The table is that of ``bpr`` with random vectors in clusters, as training forms them; nothing is trained. Times are the
least of several calls in one thread, the searches in turns; recall is the share of the exact top 20 on other states.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
import onnxruntime
import polars as pl
import torch

from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.models.bpr import BPR
from segue.models.export import export_onnx
from segue.models.item_search import SEARCHES
from segue.models.measured_search import BATCHES, measure_search, sample_sessions
from segue.models.sasrec import SASRec

K = 20


def clustered_model(n_items: int, size: int, clusters: int = 1000, seed: int = 0) -> BPR:
    """Return a model whose item vectors are a centre and as much noise."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, size), dtype=np.float32)
    table = centres[rng.integers(0, clusters, n_items + 1)] + rng.standard_normal((n_items + 1, size), dtype=np.float32)
    biases = 0.1 * rng.standard_normal(n_items + 1, dtype=np.float32)
    vocabulary = Vocabulary(pl.DataFrame({"item": np.arange(n_items), "support": np.ones(n_items, dtype=np.int64)}))
    arrays = {"item_factors": table, "item_biases": biases, "scale": np.ones(1, dtype=np.float32)}
    return BPR(embedding_size=size).restore(arrays, vocabulary)


def least_ms(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the least time of each call; they are timed in turns."""
    best = [np.inf] * len(calls)
    for round_ in range(rounds + 1):
        for place, call in enumerate(calls):
            start = time.perf_counter()
            call()
            if round_:
                best[place] = min(best[place], 1000 * (time.perf_counter() - start))
    return best


def compare_searches(n_items: int, size: int, rounds: int) -> None:
    """Print a row per search."""
    model = clustered_model(n_items, size)
    with torch.inference_mode():
        states = model._states(Prefixes.from_lists(sample_sessions(model.vocabulary, 384), model.vocabulary))
        models, rows = [model], [["exact", 0.0, 1.0]]
        for name, kind in SEARCHES.items():
            start = time.perf_counter()
            search = kind(*model._table(), model.vocabulary)
            seconds = time.perf_counter() - start
            report = measure_search(
                search, states, lambda found, some: model._using(found)._list(some, K, None, None)[0]
            )
            models.append(model._using(search))
            rows.append([name, seconds, report.recall])
        for batch in BATCHES:
            part = states[:batch]
            calls = [lambda one=one, part=part: one._list(part, K, None, None) for one in models]
            for row, ms in zip(rows, least_ms(calls, rounds), strict=True):
                row.append(ms)
    for name, seconds, recall, *times in rows:
        ratios = [exact / own for exact, own in zip(rows[0][3:], times, strict=True)]
        cells = " | ".join(
            f"{ms / batch:.3f} | {ratio:.1f}" for ms, batch, ratio in zip(times, BATCHES, ratios, strict=True)
        )
        print(f"| {n_items:,} | {name} | {cells} | {recall:.4f} | {seconds:.1f} |", flush=True)


def compare_onnx(n_items: int, rounds: int) -> None:
    """Print the time of SASRec's top 20 in segue and in onnxruntime."""
    vocabulary = Vocabulary(pl.DataFrame({"item": np.arange(n_items), "support": np.ones(n_items, dtype=np.int64)}))
    sessions = sample_sessions(vocabulary, 100)
    offsets = np.cumsum([0, *map(len, sessions)])
    train = Sessions(np.concatenate(sessions).astype(np.int32), offsets, None, vocabulary)
    model = SASRec(training={"epochs": 1}).fit(train)  # Its speed does not depend on its weights.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        difference = export_onnx(model, file, top_k=K)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        network = onnxruntime.InferenceSession(str(file), options)
    for batch in BATCHES:
        items = np.random.default_rng(0).integers(1, n_items + 1, (batch, 5))
        prefixes = Prefixes.from_lists(items.tolist(), vocabulary)
        calls = (partial(model.top_k, prefixes, K), partial(network.run, None, {"items": items}))
        segue, onnx = least_ms(calls, rounds)
        print(f"| {batch} | {segue / batch:.3f} | {onnx / batch:.3f} | {difference:.0e} |", flush=True)


def main() -> None:
    """Read the options and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--size", type=int, default=64, help="width of the item table")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--onnx", action="store_true", help="compare onnxruntime with segue instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    if options.onnx:
        print("| sessions | segue, ms each | onnxruntime, ms each | difference |\n|---|---|---|---|")
        compare_onnx(options.items[0], options.rounds)
        return
    print("| items | search | 1: ms | times as fast | 32: ms each | times as fast | recall@20 | build s |")
    print("|---|---|---|---|---|---|---|---|")
    for n_items in options.items:
        compare_searches(n_items, options.size, options.rounds)


if __name__ == "__main__":
    main()
