"""Evaluation over the full catalogue: seconds, cases per second and memory above the model.

    python benchmarks/evaluate.py [--cases 60000] [--items 43000] [--size 100] [--metrics all]
    python benchmarks/evaluate.py --cases 6040 --items 3416 --size 64 --metrics all          # the size of ML-1M
    python benchmarks/evaluate.py --cases 1000000 --items 100000 --size 64 --metrics all

The scorer is a dot product with random weights, so the time is that of one matrix product over the catalogue, the
ranks, the lists and the metrics: the default ones, or every metric of rankings at 5, 10 and 20. The products alone and
the intervals are timed apart.
"""

import argparse
import resource
import time

import numpy as np
import polars as pl
import torch

from segue.cli.progress import progress_shown
from segue.data.cases import Cases
from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.evaluation.measure import measure
from segue.metrics import DEFAULT_METRICS, LIST_METRICS
from segue.metrics.rank_metrics import AUC_METRICS, RANK_METRICS
from segue.rng import generator


class DotProduct:
    """Scores by the dot product of the last item's vector with every item's."""

    def __init__(self, vocabulary: Vocabulary, size: int) -> None:
        rng = generator(0, "weights")
        self.vocabulary = vocabulary
        self.table = torch.from_numpy(rng.standard_normal((len(vocabulary) + 1, size), dtype=np.float32))

    def score(self, prefixes: Prefixes) -> torch.Tensor:
        """Score every item."""
        last = torch.from_numpy(prefixes.items[prefixes.ends - 1].astype(np.int64))
        return self.table[last] @ self.table.T


def random_cases(count: int, items: int) -> Cases:
    """Cases of three to a session, each with its own prefix of two items."""
    rng = generator(0, "cases")
    starts = 2 * np.arange(count)
    prefixes = Prefixes(rng.integers(1, items + 1, 2 * count, dtype=np.int32), starts, starts + 2)
    return Cases(prefixes, rng.integers(1, items + 1, count, dtype=np.int32), np.arange(count) // 3)


METRICS = {
    "default": DEFAULT_METRICS,
    "all": (*AUC_METRICS, *(f"{name}@{k}" for name in (*RANK_METRICS, *LIST_METRICS) for k in (5, 10, 20))),
}


class Scoring(DotProduct):
    """Says how long the products took."""

    seconds = 0.0

    def score(self, prefixes: Prefixes) -> torch.Tensor:
        """Score every item."""
        started = time.perf_counter()
        scores = super().score(prefixes)
        self.seconds += time.perf_counter() - started
        return scores


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=60_000)
    parser.add_argument("--items", type=int, default=43_000)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--metrics", choices=METRICS, default="default")
    args = parser.parse_args()
    table = pl.DataFrame({"item": np.arange(args.items), "support": np.arange(args.items)[::-1] // 10})
    scorer, metrics = Scoring(Vocabulary(table), args.size), METRICS[args.metrics]
    cases = random_cases(args.cases, args.items)
    measure(scorer, cases[:10], {"metrics": metrics})  # compiles the kernels, or reads them from the cache
    scorer.seconds, before = 0.0, peak_mib()
    started = time.perf_counter()
    with progress_shown() as progress:
        evaluation = measure(scorer, cases, {"metrics": metrics}, progress=progress)
    seconds = time.perf_counter() - started
    intervals_started = time.perf_counter()
    intervals = len(evaluation.confidence)
    interval_seconds = time.perf_counter() - intervals_started
    print(f"{args.cases:,} cases x {args.items:,} items, {len(metrics)} metrics, {torch.get_num_threads()} cores")
    print(f"evaluation   {seconds:8.2f} s   {args.cases / seconds:,.0f} cases/s")
    print(f"  scoring    {scorer.seconds:8.2f} s   beyond it {seconds - scorer.seconds:.2f} s")
    print(f"intervals    {interval_seconds:8.2f} s   for {intervals} metrics")
    print(f"memory       {peak_mib() - before:8.0f} MiB above the model")


if __name__ == "__main__":
    main()
