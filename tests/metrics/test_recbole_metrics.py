"""Metrics against those of RecBole 1.2.1, run on the same scores; where it differs, by exactly what.

fixtures/recbole_metrics.json holds the figures of its own classes, which benchmarks/metrics_recbole.py recorded for the
scores of benchmarks/metrics_scores.py. It computes GAUC, MAE and RMSE in single precision.
"""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.evaluation.ranking import target_ranks, top_k
from segue.metrics import RANKING_METRICS, VALUE_METRICS
from segue.metrics.beyond_accuracy import COUNT_METRICS, LIST_WEIGHTS, average_weight
from segue.metrics.rank_metrics import RANK_METRICS, case_auc
from segue.metrics.values import CASE_VALUE_METRICS, GLOBAL_VALUE_METRICS

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "metrics_scores.py"))
RECORDED = json.loads((ROOT / "tests" / "fixtures" / "recbole_metrics.json").read_text(encoding="utf-8"))
CUTOFFS, ITEMS = RECORDED["cutoffs"], SCRIPT["ITEMS"]
SINGLE = {"abs": 2e-7, "rel": 0}
DOUBLE = {"abs": 1e-11, "rel": 0}
POPULARITY = {"popularity": "averagepopularity", "tail_percentage": "tailpercentage"}


def ranks_of(task, ties="pessimistic"):
    """Ranks of the relevant items of a task, and how many there are."""
    relevant = task["relevant"].sum(axis=1)
    targets = np.zeros((len(relevant), relevant.max()), dtype=np.int64)
    for row, case in zip(targets, task["relevant"], strict=True):
        row[: case.sum()] = np.flatnonzero(case)
    return target_ranks(torch.from_numpy(task["scores"]), targets, ties=ties), relevant


def gauc(name):
    """Ours, by the average rule; cases without a pair do not count."""
    task = SCRIPT["ranking"](**SCRIPT["TASKS"][name])
    ranks, relevant = ranks_of(task, ties="average")
    values = case_auc(ranks, relevant, np.isfinite(task["scores"]).sum(axis=1))
    there = np.isfinite(values)
    return np.average(values[there], weights=relevant[there]), values


@pytest.fixture(scope="module")
def distinct():
    return SCRIPT["ranking"]()


@pytest.fixture(scope="module")
def lists(distinct):
    return top_k(torch.from_numpy(distinct["scores"]), max(CUTOFFS))[0]


@pytest.mark.parametrize("name", sorted(RANK_METRICS.keys() - {"map"}))
@pytest.mark.parametrize("k", CUTOFFS)
def test_ranking_metrics_are_equal(distinct, name, k):
    expected = RECORDED["distinct"][f"{name}@{k}"]
    assert RANK_METRICS[name](*ranks_of(distinct), k).mean() == pytest.approx(expected, **DOUBLE)


@pytest.mark.parametrize("k", CUTOFFS)
def test_recbole_divides_the_average_precision_by_at_most_k(distinct, k):
    ranks, relevant = ranks_of(distinct)
    values = RANK_METRICS["map"](ranks, relevant, k)
    theirs = (values * relevant / np.minimum(relevant, k)).mean()
    assert theirs == pytest.approx(RECORDED["distinct"][f"map@{k}"], **DOUBLE)
    assert (values.mean() < theirs) == (k < relevant.max())


@pytest.mark.parametrize("name", ["distinct", "ties", "short"])
def test_gauc_is_that_of_the_median_rule(name):
    recorded = RECORDED[name].get("metrics", RECORDED[name])["gauc"]
    assert gauc(name)[0] == pytest.approx(recorded, **SINGLE)


def test_gauc_leaves_out_cases_without_a_pair_and_gives_a_constant_scorer_a_half():
    assert np.flatnonzero(np.isnan(gauc("short")[1])).tolist() == list(range(5, 60, 6))
    assert gauc("ties")[1][0] == 0.5


@pytest.mark.parametrize("name", LIST_WEIGHTS)
@pytest.mark.parametrize("k", CUTOFFS)
def test_weights_of_the_items_listed_are_equal(distinct, lists, name, k):
    weights = LIST_WEIGHTS[name](distinct["counts"])
    recorded = RECORDED["distinct"][f"{POPULARITY[name]}@{k}"]
    assert average_weight(lists[:, :k], weights).mean() == pytest.approx(recorded, **DOUBLE)


def counted(lists, items=ITEMS):
    """Our coverage, Gini index and entropy, and how many items are listed."""
    counts = np.bincount(lists.ravel(), minlength=items + 1)
    return {name: metric(counts) for name, metric in COUNT_METRICS.items()}, np.count_nonzero(counts)


@pytest.mark.parametrize("k", CUTOFFS)
def test_recbole_counts_the_padding_as_an_item_and_divides_the_entropy_by_the_items_listed(lists, k):
    recorded, (ours, listed) = RECORDED["distinct"], counted(lists[:, :k])
    assert ours["coverage"] * ITEMS / (ITEMS + 1) == pytest.approx(recorded[f"itemcoverage@{k}"], **DOUBLE)
    assert (ours["gini"] * ITEMS + 1) / (ITEMS + 1) == pytest.approx(recorded[f"giniindex@{k}"], **DOUBLE)
    assert ours["shannon_entropy"] / listed == pytest.approx(recorded[f"shannonentropy@{k}"], **DOUBLE)


def test_recbole_fills_short_lists_with_what_is_masked():
    task, theirs = SCRIPT["ranking"](**SCRIPT["TASKS"]["short"]), np.array(RECORDED["short"]["lists"])
    ours = top_k(torch.from_numpy(task["scores"]), max(CUTOFFS))[0]
    assert (ours[:, :6] == theirs[:, :6]).all()
    assert (ours[:, 6:] == 0).all()
    assert np.isneginf(np.take_along_axis(task["scores"], theirs[:, 6:], axis=1)).all()


@pytest.mark.parametrize("k", CUTOFFS)
def test_recbole_measures_what_it_filled_in(k):
    task, recorded = SCRIPT["ranking"](**SCRIPT["TASKS"]["short"]), RECORDED["short"]["metrics"]
    theirs = np.array(RECORDED["short"]["lists"])[:, :k]
    ours, listed = counted(theirs + 1, ITEMS + 1)  # The padding becomes an item like all others.
    assert ours["coverage"] == pytest.approx(recorded[f"itemcoverage@{k}"], **DOUBLE)
    assert ours["gini"] == pytest.approx(recorded[f"giniindex@{k}"], **DOUBLE)
    assert ours["shannon_entropy"] / listed == pytest.approx(recorded[f"shannonentropy@{k}"], **DOUBLE)
    for name, theirs_name in POPULARITY.items():
        weights = LIST_WEIGHTS[name](task["counts"])
        assert weights[theirs].mean() == pytest.approx(recorded[f"{theirs_name}@{k}"], **DOUBLE)


@pytest.mark.parametrize("name", sorted(RANK_METRICS.keys() - {"map"}))
@pytest.mark.parametrize("k", CUTOFFS)
def test_ranking_metrics_of_short_lists_are_equal(name, k):
    ranks, relevant = ranks_of(SCRIPT["ranking"](**SCRIPT["TASKS"]["short"]))
    recorded = RECORDED["short"]["metrics"][f"{name}@{k}"]
    assert RANK_METRICS[name](ranks, relevant, k).mean() == pytest.approx(recorded, **DOUBLE)


@pytest.fixture(scope="module")
def labelled():
    task = SCRIPT["labelled"]()
    return task["predictions"].astype(np.float64), task["labels"].astype(np.float64)


def test_errors_and_auc_of_values_are_equal(labelled):
    recorded, once = RECORDED["values"], np.ones(len(labelled[0]), dtype=np.int64)
    assert CASE_VALUE_METRICS["mae"](*labelled).mean() == pytest.approx(recorded["mae"], **SINGLE)
    assert GLOBAL_VALUE_METRICS["rmse"](*labelled)(once) == pytest.approx(recorded["rmse"], **SINGLE)
    assert GLOBAL_VALUE_METRICS["auc"](*labelled)(once) == pytest.approx(recorded["auc"], **DOUBLE)


def test_recbole_clips_a_certain_and_wrong_probability_to_what_rounding_leaves(labelled):
    predictions, labels = labelled
    sure, denied = (predictions == 1) & (labels == 0), (predictions == 0) & (labels == 1)
    assert sure.any()
    assert denied.any()
    values = CASE_VALUE_METRICS["logloss"](predictions, labels)
    assert np.allclose(values[sure | denied], -np.log(1e-15), rtol=1e-12)
    values[sure] = -np.log(1 - (1 - 1e-15))
    assert values.mean() == pytest.approx(RECORDED["values"]["logloss"], **DOUBLE)


def test_the_page_names_every_metric_of_recbole():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`[A-Z]\w+`(?:, )?)+) \| ([^|]+) \|", page, flags=re.MULTILINE)
    theirs = [name for row, _ in rows for name in re.findall(r"`(\w+)`", row)]
    ours = [name for _, row in rows for name in re.findall(r"`(\w+)`", row)]
    recorded = {name.partition("@")[0] for name in {**RECORDED["distinct"], **RECORDED["values"]}}
    assert {name.lower() for name in theirs} == recorded
    assert set(ours) == {*RANKING_METRICS, *VALUE_METRICS} - {"user_auc"}
