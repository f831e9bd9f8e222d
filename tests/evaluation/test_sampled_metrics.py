"""The example of docs/sampled-metrics.md: ranking among drawn items puts models in another order."""

import re
import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import binom

from segue.data.cases import Cases
from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.evaluation.measure import measure

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "sampled_metrics.py"))
PAGE = (ROOT / "docs" / "sampled-metrics.md").read_text(encoding="utf-8")
ALL = SCRIPT["ITEMS"] - 1
TOP = ("map", "ndcg", "recall@10")


def expected(metric, drawn):
    return {model: SCRIPT["expected"](model, metric, drawn) for model in "ABC"}


def test_the_tables_of_the_page_are_those_of_the_script():
    written = dict(re.findall(r"<!-- generated: (\w+) -->\n(.*?)\n<!-- end -->", PAGE, flags=re.DOTALL))
    assert written == SCRIPT["tables"](), "run: python benchmarks/sampled_metrics.py"


def test_the_ranks_of_the_page_are_those_of_the_script():
    for model, ranks in SCRIPT["RANKS"].items():
        assert f"| {model} | {', '.join(map(str, ranks))} |" in PAGE


@pytest.mark.parametrize("metric", TOP)
def test_the_best_model_among_all_items_loses_among_99(metric):
    exact, sampled = expected(metric, ALL), expected(metric, 99)
    assert exact["C"] > 1.3 * max(exact["A"], exact["B"])
    assert sampled["A"] > 1.3 * max(sampled["B"], sampled["C"])


def test_average_precision_puts_the_three_models_in_the_opposite_order():
    exact, sampled = expected("map", ALL), expected("map", 99)
    assert exact["C"] > exact["B"] > exact["A"]
    assert sampled["A"] > sampled["B"] > sampled["C"]


def test_all_items_drawn_are_all_items():
    for ranks in SCRIPT["RANKS"].values():
        for rank in ranks:
            chances = SCRIPT["chances"](rank, ALL)
            assert chances[rank - 1] == pytest.approx(1)


def test_auc_has_the_same_expectation_however_many_are_drawn():
    for drawn in (1, 99, 999):
        assert expected("auc", drawn) == pytest.approx(expected("auc", ALL))


def test_with_replacement_the_figures_are_nearly_the_same():
    for metric in TOP:
        possible = SCRIPT["values"](metric, np.arange(1, 101), 100)
        for model, ranks in SCRIPT["RANKS"].items():
            chances = [binom(99, (rank - 1) / ALL).pmf(np.arange(100)) for rank in ranks]
            assert np.mean(chances @ possible) == pytest.approx(expected(metric, 99)[model], abs=0.01)


class Descending:
    """Scores the items by their index, so that item 100 has rank 100."""

    def __init__(self):
        self.vocabulary = Vocabulary(pl.DataFrame({"item": np.arange(SCRIPT["ITEMS"]), "support": 1}))

    def score(self, prefixes):
        return -torch.arange(SCRIPT["ITEMS"] + 1, dtype=torch.float32).repeat(len(prefixes), 1)


@pytest.mark.parametrize("model", "ABC")
def test_candidates_that_are_really_drawn_give_these_figures(model):
    targets = np.array(SCRIPT["RANKS"][model] * 60, dtype=np.int32)
    numbers = np.arange(len(targets))
    nothing = np.zeros(len(targets), dtype=np.int64)
    cases = Cases(Prefixes(np.zeros(0, dtype=np.int32), nothing, nothing), targets, numbers)
    drawn = measure(Descending(), cases, {"metrics": [*TOP, "user_auc"], "candidates": "uni99"})
    assert drawn.sampled
    for metric in TOP:
        assert drawn.metrics[metric] == pytest.approx(expected(metric, 99)[model], abs=0.04)
    assert drawn.metrics["user_auc"] == pytest.approx(expected("auc", 99)[model], abs=0.01)
