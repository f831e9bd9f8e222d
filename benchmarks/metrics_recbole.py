"""Record what RecBole's own metrics give for the scores of ``metrics_scores.py``.

    python benchmarks/metrics_recbole.py tests/fixtures/recbole_metrics.json

runs in RecBole's environment (1.2.1, numpy below 2), without segue. ``tests/nn/test_metrics_recbole.py`` compares.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from metrics_scores import ITEMS, TASKS, labelled, ranking
from recbole.evaluator import Collector, Evaluator
from recbole.evaluator.collector import DataStruct

CUTOFFS = [1, 3, 10, 20]
TOP = ("Recall", "MRR", "NDCG", "Hit", "Precision", "MAP")
LISTS = ("ItemCoverage", "AveragePopularity", "GiniIndex", "ShannonEntropy", "TailPercentage")
VALUES = ("AUC", "MAE", "RMSE", "LogLoss")


class Settings(dict):
    """The few settings that its evaluator asks for."""

    def __getitem__(self, name: str) -> Any:
        return self.get(name)


def record_ranking(task: dict[str, np.ndarray], metrics: tuple[str, ...]) -> dict[str, Any]:
    """Give scores to RecBole as its trainer does."""
    settings = Settings(metrics=[*metrics], topk=CUTOFFS, metric_decimal_place=12, device="cpu")
    settings["eval_args"] = {"mode": {"valid": "full", "test": "full"}}
    collector = Collector(settings)
    collector.data_struct.set("data.num_items", ITEMS + 1)
    collector.data_struct.set("data.count_items", Counter(dict(enumerate(task["counts"].tolist()[1:], start=1))))
    rows, items = (torch.from_numpy(index) for index in np.nonzero(task["relevant"]))
    collector.eval_batch_collect(torch.from_numpy(task["scores"]), None, rows, items)
    collected = collector.data_struct
    lists = collected["rec.items"].tolist() if "rec.items" in collected else []
    figures = Evaluator(settings).evaluate(collected)
    return {"lists": lists, "metrics": {name: float(value) for name, value in figures.items()}}


def record_values(task: dict[str, np.ndarray]) -> dict[str, float]:
    """Give predictions and labels to RecBole as its trainer does in the mode ``labeled``."""
    collected = DataStruct()
    collected.set("rec.score", torch.from_numpy(task["predictions"]))
    collected.set("data.label", torch.from_numpy(task["labels"]))
    settings = Settings(metrics=VALUES, metric_decimal_place=12)
    return {name: float(value) for name, value in Evaluator(settings).evaluate(collected).items()}


def main() -> None:
    """Write the fixture."""
    # As RecBole's own configuration does; numpy has no such names any more.
    np.__dict__.update({"float": np.float64, "bool": np.bool_})
    tasks = {name: ranking(**arguments) for name, arguments in TASKS.items()}
    fixture = {
        "recbole": "1.2.1",
        "cutoffs": CUTOFFS,
        "distinct": record_ranking(tasks["distinct"], (*TOP, "GAUC", *LISTS))["metrics"],
        "ties": record_ranking(tasks["ties"], ("GAUC",))["metrics"],
        "short": record_ranking(tasks["short"], (*TOP, "GAUC", *LISTS)),
        "values": record_values(labelled()),
    }
    # The empty places of its lists hold whatever its sort left there, so they are kept with the figures.
    text = json.dumps(fixture, indent=1).replace("\n    ", " ").replace("\n   ]", " ]")
    Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
