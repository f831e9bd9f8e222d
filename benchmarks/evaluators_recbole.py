"""RecBole's half of ``evaluators.py``; runs in its environment, without segue."""

import json
import resource
import sys
import time
from collections import Counter

import numpy as np
import torch
from recbole.evaluator import Collector, Evaluator

BATCH = 100
"""Cases scored at once. RecBole's own rule (4096 scores) would take one at a time here, which is slower."""

METRICS = ("Recall", "MRR", "NDCG", "Hit", "Precision", "MAP", "ItemCoverage", "AveragePopularity")


class Settings(dict):
    """The few settings that its evaluator asks for."""

    def __getitem__(self, name: str) -> object:
        return self.get(name)


def main() -> None:
    """Score in batches, collect as its trainer does, and evaluate."""
    # RecBole 1.2.1 uses a name that NumPy has dropped.
    np.__dict__.update({"float": np.float64})
    task = np.load(sys.argv[1])
    states, table = torch.from_numpy(task["states"]), torch.from_numpy(task["table"])
    targets = torch.from_numpy(task["targets"])
    settings = Settings(
        metrics=[name.lower() for name in METRICS], topk=[5, 10, 20], metric_decimal_place=8, device="cpu"
    )
    settings["eval_args"] = {"mode": {"valid": "full", "test": "full"}}
    collector = Collector(settings)
    collector.data_struct.set("data.num_items", len(table))
    collector.data_struct.set("data.count_items", Counter(range(1, len(table))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    for start in range(0, len(targets), BATCH):
        scores = states[start : start + BATCH] @ table.T
        scores[:, 0] = -np.inf
        rows = torch.arange(len(scores))
        collector.eval_batch_collect(scores, None, rows, targets[start : start + BATCH])
    # Its get_data_struct would move plain numbers to a device, and fail.
    values = Evaluator(settings).evaluate(collector.data_struct)
    seconds = time.perf_counter() - started
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "metrics": {k: float(v) for k, v in values.items()}}))


if __name__ == "__main__":
    main()
