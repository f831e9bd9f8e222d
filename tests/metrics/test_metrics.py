"""Metrics against numbers worked by hand and against naive loops over lists."""

import math
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.errors import ParameterError, UnknownNameError
from segue.evaluation.confidence import RESAMPLES
from segue.metrics import (
    LIST_METRICS,
    OPTIONAL_CUTOFF,
    ORIENTATION,
    RANKING_METRICS,
    SELECTION_METRICS,
    VALUE_METRICS,
    MetricName,
    is_better,
    lower_is_better,
    order_key,
)
from segue.metrics.beyond_accuracy import average_weight, gini_index, in_tail, item_coverage, shannon_entropy
from segue.metrics.rank_metrics import AUC_METRICS, RANK_METRICS, Ties, case_auc
from segue.metrics.values import (
    CASE_VALUE_METRICS,
    GLOBAL_VALUE_METRICS,
    absolute_error,
    auc,
    log_loss,
    root_mean_squared_error,
)

INF = math.inf


def measure(name, ranks, relevant, k):
    """Measure one case."""
    (value,) = RANK_METRICS[name](np.array([ranks], dtype=float), np.array([relevant]), k)
    return value


def ranks_of(lists, liked):
    """Return the ranks of the liked items and their number, as the metrics take them."""
    ranks = np.full((len(lists), max(map(len, liked))), INF)
    for row, shown, good in zip(ranks, lists, liked, strict=True):
        found = sorted(shown.index(item) + 1 for item in good if item in shown)
        row[: len(found)] = found
    return ranks, np.array([len(good) for good in liked])


def log2(number):
    return math.log2(number)


# Liked {1, 2, 3}, shown [4, 1, 5, 2, 6]: ranks 2 and 4, the third is not shown.
@pytest.mark.parametrize(
    ("name", "k", "expected"),
    [
        ("recall", 5, 2 / 3),
        ("recall", 1, 0),
        ("hit", 5, 1),
        ("hit", 1, 0),
        ("precision", 5, 2 / 5),
        ("precision", 2, 1 / 2),
        ("mrr", 5, 1 / 2),
        ("mrr", 1, 0),
        ("ndcg", 5, (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3) + 1 / log2(4))),
        ("ndcg", 2, (1 / log2(3)) / (1 + 1 / log2(3))),
        ("map", 5, (1 / 2 + 2 / 4) / 3),
        ("map", 2, (1 / 2) / 3),
    ],
)
def test_three_liked_of_which_two_are_listed(name, k, expected):
    assert measure(name, [2, 4, INF], 3, k) == pytest.approx(expected)


@pytest.mark.parametrize("name", RANK_METRICS)
def test_a_perfect_list(name):
    assert measure(name, [1, 2, 3], 3, 3) == pytest.approx(1)


@pytest.mark.parametrize("name", RANK_METRICS)
@pytest.mark.parametrize("ranks", [[INF], []])
def test_no_relevant_item_is_worth_nothing(name, ranks):
    assert measure(name, ranks, 0, 10) == 0


@pytest.mark.parametrize("name", RANK_METRICS)
@pytest.mark.parametrize("k", [20, INF])
def test_a_target_that_is_no_candidate_is_worth_nothing(name, k):
    assert measure(name, [INF], 1, k) == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [("recall", 1), ("hit", 1), ("precision", 1 / 20), ("mrr", 1 / 20), ("ndcg", 1 / log2(21)), ("map", 1 / 20)],
)
def test_one_relevant_item_in_the_last_place_and_just_behind(name, expected):
    assert measure(name, [20], 1, 20) == pytest.approx(expected)
    assert measure(name, [20.5], 1, 20) == 0


def test_without_a_cutoff_every_rank_counts():
    assert measure("mrr", [5000], 1, INF) == 1 / 5000
    assert measure("ndcg", [1023], 1, INF) == pytest.approx(1 / 10)
    assert measure("map", [10, 20], 2, INF) == pytest.approx((1 / 10 + 2 / 20) / 2)


def naive(name, shown, liked, k):
    """Measure a list of distinct items as the textbook says."""
    good = [item in liked for item in shown[:k]]
    if not liked:
        return 0
    gain = sum(1 / log2(place + 2) for place, is_good in enumerate(good) if is_good)
    ideal = sum(1 / log2(place + 2) for place in range(min(len(liked), k)))
    return {
        "recall": sum(good) / len(liked),
        "hit": float(any(good)),
        "precision": sum(good) / k,
        "mrr": 1 / (good.index(True) + 1) if any(good) else 0,
        "ndcg": gain / ideal,
        "map": sum(sum(good[: place + 1]) / (place + 1) for place in range(len(good)) if good[place]) / len(liked),
    }[name]


@given(
    st.lists(st.tuples(st.permutations(range(12)), st.sets(st.integers(0, 14))), min_size=1, max_size=5),
    st.integers(1, 15),
)
def test_every_metric_equals_its_textbook_loop(cases, k):
    ranks, relevant = ranks_of([shown for shown, _ in cases], [liked for _, liked in cases])
    for name, metric in RANK_METRICS.items():
        expected = [naive(name, shown, liked, k) for shown, liked in cases]
        np.testing.assert_allclose(metric(ranks, relevant, k), expected, atol=1e-12)


# Lists of 30 among 41 items and 1 to 9 liked ones, laid out by a rule; values of ranx 0.3.21 on them.
RANX_LISTS = [[(case + 1) * place % 41 for place in range(1, 31)] for case in range(40)]
RANX_LIKED = [[(case * case + 3 * place) % 41 for place in range(1 + case % 9)] for case in range(40)]
RANX_VALUES = {
    "recall": {1: 0.014474206349, 10: 0.269057539683, 30: 0.775208333333},
    "hit": {1: 0.1, 10: 0.7, 30: 0.975},
    "precision": {1: 0.1, 10: 0.11, 30: 0.118333333333},
    "mrr": {1: 0.1, 10: 0.244920634921, 30: 0.262073690199},
    "ndcg": {1: 0.1, 10: 0.176083610032, 30: 0.366697186362},
    "map": {1: 0.014474206349, 10: 0.08226335349, 30: 0.154870069733},
}


@pytest.mark.parametrize("name", RANK_METRICS)
def test_every_metric_equals_ranx(name):
    ranks, relevant = ranks_of(RANX_LISTS, RANX_LIKED)
    for k, value in RANX_VALUES[name].items():
        assert RANK_METRICS[name](ranks, relevant, k).mean() == pytest.approx(value, abs=1e-11)


@given(st.integers(1, 60), st.integers(1, 50))
def test_with_one_relevant_item_no_metric_but_precision_falls_as_k_grows(rank, k):
    for name in RANK_METRICS.keys() - {"precision"}:
        assert measure(name, [rank], 1, k + 1) >= measure(name, [rank], 1, k)


def test_with_several_relevant_items_ndcg_may_fall_as_k_grows():
    assert measure("ndcg", [1, 10], 2, 2) < measure("ndcg", [1, 10], 2, 1)


def test_the_mean_weight_of_a_list_by_hand():
    support = np.array([0, 10, 20, 60])
    lists = np.array([[1, 2], [3, 0], [0, 0]])
    assert average_weight(lists, support).tolist() == [15, 60, 0]


def test_coverage_does_not_count_the_padding():
    assert item_coverage(np.array([9, 2, 0, 0, 0])) == 1 / 4


def test_how_unequally_items_are_listed_by_hand():
    assert gini_index(np.array([9, 3, 3, 3, 3])) == 0
    assert gini_index(np.array([9, 0, 0, 0, 12])) == 3 / 4
    # Ascending 0, 1, 2, 3: (-3 x 0 - 1 x 1 + 1 x 2 + 3 x 3) / (4 x 6).
    assert gini_index(np.array([9, 3, 0, 2, 1])) == pytest.approx(10 / 24)
    assert shannon_entropy(np.array([9, 3, 3, 3, 3])) == pytest.approx(math.log(4))
    assert shannon_entropy(np.array([9, 0, 0, 0, 12])) == 0
    assert shannon_entropy(np.array([9, 1, 0, 3])) == pytest.approx(-(math.log(1 / 4) / 4 + 3 * math.log(3 / 4) / 4))
    nothing = np.zeros(5, dtype=np.int64)
    assert (gini_index(nothing), shannon_entropy(nothing), item_coverage(nothing)) == (0, 0, 0)


def test_the_tail_is_the_least_popular_tenth():
    support = np.array([0, *range(25, 0, -1)])
    assert np.flatnonzero(in_tail(support)).tolist() == [24, 25]
    assert np.flatnonzero(in_tail(np.array([0, 7, 7, 7]))).tolist() == [1]
    lists = np.array([[24, 1, 2], [25, 24, 0]])
    assert average_weight(lists, in_tail(support)).tolist() == [1 / 3, 1]


def test_pairs_ranked_right_by_hand():
    # A .9, Z .8, B .7, X .6, Y .4: A and B are at the ranks 1 and 3 of five.
    assert case_auc(np.array([[1.0, 3.0]]), np.array([2]), np.array([5])).tolist() == [5 / 6]
    assert case_auc(np.array([[1.0, 2.0]]), np.array([2]), np.array([5])).tolist() == [1]
    assert case_auc(np.array([[4.0, INF]]), np.array([2]), np.array([5])).tolist() == [0]
    undefined = case_auc(np.array([[1.0], [INF]]), np.array([1, 0]), np.array([1, 5]))
    assert np.isnan(undefined).all()


def test_predicted_values_by_hand():
    predictions, labels = np.array([0.9, 0.7, 0.6, 0.4, 0.8]), np.array([1.0, 1, 0, 0, 0])
    once = np.ones(5, dtype=np.int64)
    assert auc(predictions, labels)(once) == 5 / 6
    assert auc(np.full(5, 0.3), labels)(once) == 1 / 2
    assert np.isnan(auc(predictions, np.ones(5))(once))
    assert absolute_error(predictions, labels).tolist() == pytest.approx([0.1, 0.3, 0.6, 0.4, 0.8])
    assert root_mean_squared_error(np.array([3.0, 1.0]), np.array([0.0, 5.0]))(once[:2]) == pytest.approx(
        math.sqrt(12.5)
    )
    assert log_loss(np.array([0.25, 0.25, 0.0]), np.array([1.0, 0, 1])) == pytest.approx(
        [math.log(4), math.log(4 / 3), -math.log(1e-15)]
    )
    for metric in (auc, log_loss):
        with pytest.raises(
            ParameterError, match=r"needs labels of 0 and 1, got 5; set protocol\.cases\.label_threshold"
        ):
            metric(predictions, np.array([1.0, 0, 5, 1, 0]))


def test_how_often_a_case_counts():
    rng = np.random.default_rng(0)
    predictions, labels = rng.integers(0, 4, 30) / 4, rng.integers(0, 2, 30).astype(float)
    times = rng.integers(0, 3, 30)
    for metric in (auc, root_mean_squared_error):
        repeated = metric(np.repeat(predictions, times), np.repeat(labels, times))
        assert metric(predictions, labels)(times) == pytest.approx(repeated(np.ones(times.sum(), dtype=np.int64)))


def test_names_are_read():
    assert MetricName.parse("recall@20") == MetricName("recall", 20)
    assert MetricName.parse("mrr") == MetricName("mrr", INF)
    for name in (*RANK_METRICS, *LIST_METRICS):
        assert MetricName.parse(f"{name}@7") == MetricName(name, 7)
    for name in (*AUC_METRICS, *VALUE_METRICS):
        assert MetricName.parse(name) == MetricName(name, INF)
        with pytest.raises(ParameterError, match=f"metric '{name}@5': {name} has no cut-off, got '5'; write {name}"):
            MetricName.parse(f"{name}@5")


def test_metrics_of_values_and_of_rankings_are_not_mixed():
    assert set(VALUE_METRICS) == CASE_VALUE_METRICS.keys() | GLOBAL_VALUE_METRICS.keys()
    assert list(MetricName.parse_all(["auc", "mae"])) == ["auc", "mae"]
    with pytest.raises(
        ParameterError, match=r"value metrics \(auc\) and ranking metrics \(mrr, gauc\) cannot be mixed"
    ):
        MetricName.parse_all(["mrr", "auc", "gauc"])


@pytest.mark.parametrize(
    "text", ["recall", "coverage", "recall@", "recall@0", "recall@-3", "mrr@x", "ndcg@2.5", "hit@²"]
)
def test_a_wrong_cutoff_is_explained(text):
    name, _, cutoff = text.partition("@")
    with pytest.raises(ParameterError) as caught:
        MetricName.parse(text)
    assert str(caught.value) == (
        f"metric '{text}': the cut-off must be a whole number of at least 1, got '{cutoff}'; "
        f"write for example {name}@20"
    )


def test_an_unknown_metric_is_explained():
    with pytest.raises(UnknownNameError) as caught:
        MetricName.parse("recal@20")
    assert str(caught.value) == "unknown metric 'recal@20': did you mean 'recall@20'?"
    with pytest.raises(UnknownNameError, match=r"did you mean 'gauc'\?$"):  # It has no cut-off.
        MetricName.parse("gauk@5")
    with pytest.raises(UnknownNameError, match=r"^unknown metric 'zzz@5': choose one of .*\bmrr, "):
        MetricName.parse("zzz@5")


def test_metrics_without_a_cutoff_are_rank_metrics():
    assert set(OPTIONAL_CUTOFF) <= RANK_METRICS.keys()


def test_every_metric_and_tie_rule_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z_]+)`", page, flags=re.MULTILINE))
    assert documented == {*RANKING_METRICS, *VALUE_METRICS, *get_args(Ties)}
    assert f"{RESAMPLES:,} resamples" in " ".join(page.split())
    alone = next(line for line in page.replace("\n", " ").split(". ") if "without a cut-off" in line)
    assert all(f"`{name}`" in alone for name in OPTIONAL_CUTOFF)


def test_every_metric_says_which_of_its_values_are_better():
    assert set(ORIENTATION) == {*RANKING_METRICS, *VALUE_METRICS}
    assert {ORIENTATION[name] for name in SELECTION_METRICS} == {"higher"}
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    for orientation in ("higher", "lower"):
        (row,) = re.findall(rf"^\| {orientation} \| (.*) \|$", page, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", row)) == {name for name, one in ORIENTATION.items() if one == orientation}


@pytest.mark.parametrize(
    ("metric", "best_first"),
    [
        ("recall@20", [INF, 0.3, 0.0, -INF]),
        ("coverage@5", [0.9, 0.5, 0.2, 0.0]),
        ("gini@20", [0.1, 0.4, 0.8, 0.9]),
        ("popularity@20", [3.0, 12.0, 55.0, 99.5]),
        ("mae", [-1.0, 0.5, 2.0, INF]),
    ],
)
@pytest.mark.parametrize("place", range(5))
def test_values_sort_from_best_to_worst_and_nan_comes_last_wherever_it_was(metric, best_first, place):
    given = best_first[::-1]
    given.insert(place, math.nan)
    ranked = sorted(given, key=lambda value: order_key(metric, value))
    assert ranked[:-1] == best_first
    assert math.isnan(ranked[-1])
    assert is_better(metric, best_first[0], best_first[1])
    assert not is_better(metric, best_first[1], best_first[0])
    assert is_better(metric, best_first[-1], math.nan)
    assert not is_better(metric, math.nan, best_first[-1])
    assert not is_better(metric, math.nan, math.nan)


def test_lower_is_better_is_asked_with_a_cut_off():
    assert lower_is_better("gini@20")
    assert not lower_is_better("recall@20")
    with pytest.raises(UnknownNameError):
        lower_is_better("recal@20")
