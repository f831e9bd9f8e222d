"""segue's half of ``evaluators.py``."""

import json
import resource
import sys
import time

import numpy as np
import polars as pl
import torch

from segue.data.cases import Cases
from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.evaluation.measure import measure


class Products:
    """Scores by products with given vectors; the prefix of a case is its number."""

    def __init__(self, states: np.ndarray, table: np.ndarray) -> None:
        self.vocabulary = Vocabulary(pl.DataFrame({"item": np.arange(len(table) - 1), "support": 1}))
        self._states, self._table = torch.from_numpy(states), torch.from_numpy(table)

    def score(self, prefixes: Prefixes) -> torch.Tensor:
        """Score every item."""
        return self._states[torch.from_numpy(prefixes.starts)] @ self._table.T


def main() -> None:
    """Evaluate all default metrics over all items."""
    task = np.load(sys.argv[1])
    targets, scorer = task["targets"].astype(np.int32), Products(task["states"], task["table"])
    numbers = np.arange(len(targets))
    cases = Cases(Prefixes(np.zeros(0, dtype=np.int32), numbers, numbers), targets, numbers)
    measure(scorer, cases[:10])  # compiles the kernels, or reads them from the cache
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    evaluation = measure(scorer, cases)
    seconds = time.perf_counter() - started
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "metrics": evaluation.metrics}))


if __name__ == "__main__":
    main()
