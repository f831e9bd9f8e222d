"""RecTools' half of ``evaluators.py``; runs in its environment, without segue."""

import json
import resource
import sys
import time
import warnings

import numpy as np
import pandas as pd
from rectools import Columns, metrics
from rectools.models.rank import Distance, TorchRanker


def main() -> None:
    """Rank with its ranker, and measure the lists with its metrics."""
    warnings.filterwarnings("ignore")
    task = np.load(sys.argv[1])
    states, table, targets = task["states"], task["table"], task["targets"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    ranker = TorchRanker(distance=Distance.DOT, device="cpu", subjects_factors=states, objects_factors=table)
    users, items, scores = ranker.rank(
        subject_ids=np.arange(len(targets)), k=20, sorted_object_whitelist=np.arange(1, len(table))
    )
    lists = pd.DataFrame({Columns.User: users, Columns.Item: items, Columns.Score: scores})
    lists[Columns.Rank] = lists.groupby(Columns.User, sort=False).cumcount() + 1
    wanted = pd.DataFrame({Columns.User: np.arange(len(targets)), Columns.Item: targets})
    asked = {}
    for k in (5, 10, 20):
        asked |= {f"recall@{k}": metrics.Recall(k), f"mrr@{k}": metrics.MRR(k)}
        asked |= {f"ndcg@{k}": metrics.NDCG(k, divide_by_achievable=True)}
    asked |= {"hit@10": metrics.HitRate(10), "precision@20": metrics.Precision(20), "map@20": metrics.MAP(20)}
    asked |= {"coverage@20": metrics.CatalogCoverage(20, normalize=True)}
    values = metrics.calc_metrics(asked, lists, wanted, catalog=np.arange(1, len(table)))
    seconds = time.perf_counter() - started
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "metrics": {k: float(v) for k, v in values.items()}}))


if __name__ == "__main__":
    main()
