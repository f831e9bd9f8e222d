"""RecBole's figures beside ours on the very same scores: what its test saw is written down, and measured here.

    python benchmarks/recbole_metrics.py PYTHON DATASET MODEL CONFIG.yaml ... [--set epochs=5] [--keep FOLDER]

    python benchmarks/recbole_metrics.py PYTHON ml-100k BPR benchmarks/recbole/bpr.yaml --set epochs=20
    python benchmarks/recbole_metrics.py PYTHON ml-100k GRU4Rec benchmarks/recbole/gru4rec.yaml --set epochs=3
    python benchmarks/recbole_metrics.py PYTHON ml-100k SASRec benchmarks/recbole/sasrec.yaml --set epochs=3

PYTHON is an interpreter that can import RecBole 1.2.1 (which wants numpy below 2, pandas below 3 and setuptools below
81). It trains the model as the configuration says and writes the scores after masking, the positives and its figures.
Ours are measured from these scores by the tie rule ``optimistic``: RecBole counts no ties, it takes what ``torch.topk``
puts first. What is defined otherwise here is computed by RecBole's definition as well; the script ends with an error
if a figure is not equal then. It says how many cases segue tests under the same configuration.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import segue
from segue.data.cases import Cases
from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.errors import InputError
from segue.evaluation.measure import measure
from segue.evaluation.result import Evaluation
from segue.experiment.config import PROTOCOL
from segue.experiment.prepared_data import read_log
from segue.metrics import MetricName
from segue.recbole import load_recbole
from segue.recbole.protocol import metric_name

HERE = Path(__file__).parent
HALF_A_DIGIT = 0.5e-4 + 1e-7
"""Half of the last decimal that RecBole gives, and what its float32 means are off."""

DIFFERS = {
    "map": "RecBole divides by min(k, relevant items), segue by the relevant items",
    "itemcoverage": "RecBole counts its padding as an item of the catalogue",
    "giniindex": "RecBole counts its padding as an item of the catalogue",
    "shannonentropy": "RecBole divides the entropy by the number of items listed",
}
"""Metrics that are defined otherwise here, and how; by RecBole's definition ours must be equal, too."""


class Seen:
    """The scores that RecBole's test saw, handed out in the order of its cases.

    Args:
        seen: what was written down.
    """

    def __init__(self, seen: Any) -> None:
        table = pl.DataFrame({"item": seen["items"][1:].tolist(), "support": seen["trained"][1:]})
        self.vocabulary = Vocabulary(table)
        self._scores = torch.from_numpy(seen["scores"])
        self._next = 0

    def score(self, prefixes: Prefixes) -> torch.Tensor:
        """Return the next rows."""
        self._next += len(prefixes)
        return self._scores[self._next - len(prefixes) : self._next].clone()


def measured(seen: Any, names: list[str]) -> tuple[Evaluation, Cases]:
    """Measure what RecBole's test saw; what it masked is what came before."""
    count = len(seen["scores"])
    order = np.lexsort((seen["positives"], seen["rows"]))
    rows, masked = np.nonzero(np.isneginf(seen["scores"][:, 1:]))
    ends = np.cumsum(np.bincount(rows, minlength=count))
    cases = Cases(
        Prefixes((masked + 1).astype(np.int32), np.concatenate([[0], ends[:-1]]), ends),
        seen["positives"][order].astype(np.int32),
        np.arange(count),
        exclude_seen=True,
        offsets=np.concatenate([[0], np.cumsum(np.bincount(seen["rows"], minlength=count))]),
    )
    return measure(Seen(seen), cases, {"metrics": names, "ties": "optimistic"}), cases


def compared(seen: Any) -> Iterator[tuple[str, float, float, float]]:
    """Yield each figure that both can give: RecBole's, ours, and ours by RecBole's definition."""
    figures = json.loads(str(seen["all"]))
    ours = {name: metric_name(name, "metrics") for name in figures}
    known = {name: text for name, text in ours.items() if is_known(text)}
    evaluation, cases = measured(seen, list(known.values()))
    if seen["trained"][1:].min() == 0:
        # RecBole's tail is that of the items in training; here that is the catalogue, which these scores are not of.
        known = {name: text for name, text in known.items() if not text.startswith("tail_percentage")}
    for name, text in known.items():
        value = evaluation.metrics[text]
        yield name, figures[name], value, redefined(name, evaluation, cases, seen["scores"].shape[1] - 1)


def redefined(name: str, evaluation: Evaluation, cases: Cases, items: int) -> float:
    """Return a figure of ours by RecBole's definition."""
    text = metric_name(name, "metrics")
    metric, value = name.partition("@")[0], evaluation.metrics[text]
    k = int(name.partition("@")[2] or 0)
    if metric == "map":
        return float((evaluation.values[text] * cases.counts / np.minimum(cases.counts, k)).mean())
    if metric == "itemcoverage":
        return value * items / (items + 1)
    if metric == "giniindex":
        return (value * items + 1) / (items + 1)
    if metric == "shannonentropy":
        return value / round(evaluation.metrics[f"coverage@{k}"] * items)
    return value


def is_known(text: str) -> bool:
    """Tell whether segue has a metric."""
    try:
        MetricName.parse(text)
    except InputError:
        return False
    return True


def held_out(files: list[Path], model: str, dataset: str) -> dict[str, int]:
    """Count what segue holds out under a configuration, before and after unknown items are left out."""
    config = load_recbole(files, {"models": [model], "log": dataset})
    data = segue.prepare(read_log(config), config.protocol, **config.set[PROTOCOL])
    held = next(stage for stage in data.stages if stage.step == "hold-out-test" and stage.part == "test")
    return {
        "test events": held.statistics.events,
        "test cases": len(data.test),
        "relevant items": len(data.test.targets),
        "in no case": sum(stage.dropped for stage in data.stages if (stage.step, stage.part) == ("encode", "test")),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python")
    parser.add_argument("dataset")
    parser.add_argument("model")
    parser.add_argument("config", nargs="+", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="NAME=VALUE")
    parser.add_argument(
        "--keep", type=Path, help="keep what RecBole's test saw in this file, and use it if it is there"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.keep or Path(folder) / "seen.npz"
        if not path.exists():
            settings = {name: json.loads(value) for name, value in (one.split("=", 1) for one in args.settings)}
            files = [str(file.resolve()) for file in args.config]
            half = [args.python, HERE / "recbole_scores.py", args.model, args.dataset, path.resolve()]
            subprocess.run([*half, json.dumps(settings), *files], check=True, stderr=subprocess.DEVNULL)
        seen = dict(np.load(path))
    printed = json.loads(str(seen["printed"]))
    wrong = []
    print(f"{'':22} {'RecBole':>10} {'segue':>10}")
    for name, theirs, value, by_theirs in compared(seen):
        wrong += [name] if abs(by_theirs - theirs) > HALF_A_DIGIT else []
        reason = "" if abs(value - theirs) < HALF_A_DIGIT else DIFFERS.get(name.partition("@")[0], "DIFFERS")
        print(f"{name:22} {theirs:10.4f} {value:10.4f}  {reason or ('printed' if name in printed else '')}")
    counts = json.loads(str(seen["counts"]))
    print(
        f"RecBole tests {len(seen['scores']):,} cases with {len(seen['positives']):,} relevant items; parts: {counts}"
    )
    ours = held_out(args.config, args.model, args.dataset)
    print(f"segue holds out {ours}")
    if ours["test events"] != len(seen["positives"]):
        sys.exit("as many events must be held out")
    if wrong:
        sys.exit(f"these must be equal: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
