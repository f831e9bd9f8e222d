"""Metrics against other people's: trec_eval and the MS MARCO script (by ir-measures), scikit-learn, and definitions.

Scores are drawn with ties, without a relevant item or with nothing else, with NaN and -infinity, with items that are
no candidates, and with lists shorter than the cut-off.
"""

import math

import ir_measures
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score, root_mean_squared_error

from segue.data.sessions import Prefixes
from segue.errors import ParameterError
from segue.evaluation.ranking import target_ranks
from segue.metrics.beyond_accuracy import average_weight, gini_index, in_tail, item_coverage, shannon_entropy
from segue.metrics.rank_metrics import RANK_METRICS, case_auc
from segue.metrics.values import CASE_VALUE_METRICS, GLOBAL_VALUE_METRICS

INF, NAN = math.inf, math.nan
MEASURES = {"recall": "R", "hit": "Success", "precision": "P", "mrr": "RR", "ndcg": "nDCG", "map": "AP"}
"""Names of the rank metrics at ir-measures."""

SCORES = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, -INF, NAN])


@st.composite
def scored_cases(draw):
    """Scores, relevant items and excluded items of a few cases, all per item index but for the padding."""
    items = draw(st.integers(1, 12))
    row = st.lists(SCORES, min_size=items, max_size=items)
    some = st.sets(st.integers(1, items))
    return draw(st.lists(st.tuples(row, some, some), min_size=1, max_size=6))


def ranks_of(cases, ties):
    """Ranks of the relevant items, and how many there are."""
    scores = torch.tensor([[9.0, *row] for row, _, _ in cases])
    targets = np.zeros((len(cases), max(1, *(len(liked) for _, liked, _ in cases))), dtype=np.int64)
    for row, (_, liked, _) in zip(targets, cases, strict=True):
        row[: len(liked)] = sorted(liked)
    seen = [sorted(excluded) for _, _, excluded in cases]
    ends = np.cumsum([len(items) for items in seen])
    items = np.array([item for row in seen for item in row], dtype=np.int32)
    exclude = Prefixes(items, np.append(0, ends[:-1]), ends)
    ranks = target_ranks(scores, targets, ties=ties, exclude=exclude)
    return ranks, np.array([len(liked) for _, liked, _ in cases])


def listed(row, liked, excluded, ties):
    """Items in the order of their scores, equal ones by the rule; a NaN that nobody wants stands before all."""
    kept = {
        item: INF if math.isnan(score) else score
        for item, score in enumerate(row, start=1)
        if item not in excluded and score != -INF and not (item in liked and math.isnan(score))
    }
    late = {"pessimistic": 1, "optimistic": -1}[ties]
    return sorted(kept, key=lambda item: (-kept[item], late * (item in liked)))


def oracle(name, lists, liked, k):
    """Value per case by ir-measures."""
    measure = ir_measures.parse_measure(MEASURES[name] + ("" if k == INF else f"@{k}"))
    qrels = [ir_measures.Qrel(str(c), str(item), 1) for c, good in enumerate(liked) for item in good]
    qrels += [ir_measures.Qrel(str(c), "none", 0) for c in range(len(liked))]
    run = [
        ir_measures.ScoredDoc(str(c), str(item), -place)
        for c, row in enumerate(lists)
        for place, item in enumerate(row)
    ]
    values = {int(value.query_id): value.value for value in ir_measures.iter_calc([measure], qrels, run)}
    return [values[c] for c in range(len(liked))]


@given(scored_cases(), st.sampled_from(["pessimistic", "optimistic"]), st.sampled_from([1, 2, 3, 5, 10, 20]))
def test_ranking_metrics_equal_trec_eval(cases, ties, k):
    ranks, relevant = ranks_of(cases, ties)
    lists, liked = [listed(*case, ties) for case in cases], [good for _, good, _ in cases]
    for name, metric in RANK_METRICS.items():
        np.testing.assert_allclose(metric(ranks, relevant, k), oracle(name, lists, liked, k), atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", RANK_METRICS)
def test_ranking_metrics_of_many_random_cases_equal_trec_eval(name):
    rng = np.random.default_rng(0)
    lists = [rng.permutation(np.arange(1, 201))[: rng.integers(0, 60)].tolist() for _ in range(300)]
    liked = [set(rng.choice(np.arange(1, 201), rng.integers(0, 30), replace=False).tolist()) for _ in range(300)]
    ranks = np.full((300, 30), INF)
    for row, shown, good in zip(ranks, lists, liked, strict=True):
        found = [place for place, item in enumerate(shown, start=1) if item in good]
        row[: len(found)] = found
    relevant = np.array([len(good) for good in liked])
    for k in (1, 5, 20, 100, *([INF] if name in ("mrr", "ndcg", "map") else [])):
        np.testing.assert_allclose(RANK_METRICS[name](ranks, relevant, k), oracle(name, lists, liked, k), atol=1e-9)


def pairs_right(row, liked, excluded, tie):
    """Share of the pairs that are right, one by one; a target that is not a candidate is behind all."""
    good = [-INF if item in excluded or math.isnan(row[item - 1]) else row[item - 1] for item in liked]
    good = [-2 * 10**9 if score == -INF else score for score in good]
    others = [row[item - 1] for item in range(1, len(row) + 1) if item not in liked | excluded]
    others = [10**9 if math.isnan(score) else max(score, -(10**9)) for score in others]
    if not good or not others:
        return good, others, NAN
    return good, others, np.mean([1.0 if a > b else tie if a == b else 0.0 for a in good for b in others])


@given(scored_cases(), st.sampled_from([("pessimistic", 0.0), ("optimistic", 1.0), ("average", 0.5)]))
def test_case_auc_equals_the_pairs_and_scikit_learn(cases, rule):
    ties, tie = rule
    ranks, relevant = ranks_of(cases, ties)
    expected = [pairs_right(*case, tie) for case in cases]
    candidates = relevant + np.array([len(others) for _, others, _ in expected])
    values = case_auc(ranks, relevant, candidates)
    np.testing.assert_allclose(values, [share for _, _, share in expected], atol=1e-12)
    for value, (good, others, share) in zip(values, expected, strict=True):
        if ties == "average" and not math.isnan(share):
            assert value == pytest.approx(roc_auc_score([1] * len(good) + [0] * len(others), good + others))


def test_case_auc_by_hand():
    # Relevant A .9 and B .7, others X .6, Y .4, Z .8.
    scores = torch.tensor([[0, 0.9, 0.7, 0.6, 0.4, 0.8]])
    ranks = target_ranks(scores, np.array([[1, 2]]))
    assert case_auc(ranks, np.array([2]), np.array([5])) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("ties", "first", "auc"), [("pessimistic", 98, 0), ("optimistic", 1, 1), ("average", 49.5, 0.5)]
)
def test_constant_scores_under_each_tie_rule(ties, first, auc):
    ranks = target_ranks(torch.ones(1, 101), np.array([[10, 20, 30]]), ties=ties)
    relevant = np.array([3])
    assert ranks.tolist() == [[first, first + 1, first + 2]]
    assert case_auc(ranks, relevant, np.array([100])) == auc
    for name, metric in RANK_METRICS.items():
        best = {"precision": 3 / 10}.get(name, 1)
        assert metric(ranks, relevant, 10) == (best if ties == "optimistic" else 0)


probabilities = st.one_of(st.floats(1e-9, 1 - 1e-9), st.sampled_from([0.25, 0.5, 0.75]))
predicted = st.lists(st.tuples(probabilities, st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=40)


@given(predicted)
def test_value_metrics_equal_scikit_learn(rows):
    predictions, labels, times = (np.array(column) for column in zip(*rows, strict=True))
    labels = labels.astype(np.float64)
    assert CASE_VALUE_METRICS["mae"](predictions, labels).mean() == pytest.approx(
        mean_absolute_error(labels, predictions)
    )
    expected = log_loss(labels, predictions, labels=[0, 1])
    assert CASE_VALUE_METRICS["logloss"](predictions, labels).mean() == pytest.approx(expected)
    for weights in (np.ones(len(labels), dtype=np.int64), times):
        if weights.any():
            rmse = root_mean_squared_error(labels, predictions, sample_weight=weights)
            assert GLOBAL_VALUE_METRICS["rmse"](predictions, labels)(weights) == pytest.approx(rmse)
        if len(set(labels[weights > 0])) == 2:
            auc = roc_auc_score(labels, predictions, sample_weight=weights)
            assert GLOBAL_VALUE_METRICS["auc"](predictions, labels)(weights) == pytest.approx(auc)
        else:
            assert math.isnan(GLOBAL_VALUE_METRICS["auc"](predictions, labels)(weights))


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_errors_of_any_values_equal_scikit_learn(rows):
    predictions, labels = (np.array(column) for column in zip(*rows, strict=True))
    assert CASE_VALUE_METRICS["mae"](predictions, labels).mean() == pytest.approx(
        mean_absolute_error(labels, predictions)
    )
    assert GLOBAL_VALUE_METRICS["rmse"](predictions, labels)(np.ones(len(labels), dtype=np.int64)) == pytest.approx(
        root_mean_squared_error(labels, predictions)
    )


def test_certain_and_wrong_probabilities_are_clipped():
    values = CASE_VALUE_METRICS["logloss"](np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0]))
    np.testing.assert_allclose(values, [-math.log(1e-15), -math.log(1e-15), 0, 0], atol=2e-15)
    # scikit-learn clips at the precision of the number type.
    assert log_loss([1.0], [0.0], labels=[0, 1]) == pytest.approx(-math.log(np.finfo(np.float64).eps))


@pytest.mark.parametrize("scores", [[0.5] * 4, [-INF, -INF, -INF, -INF], [INF, INF, INF, INF]])
def test_auc_of_a_constant_is_a_half(scores):
    assert (
        GLOBAL_VALUE_METRICS["auc"](np.array(scores), np.array([0.0, 1.0, 0.0, 1.0]))(np.ones(4, dtype=np.int64)) == 0.5
    )


def test_no_value_metric_makes_a_figure_of_nan():
    predictions, labels = np.array([NAN, 0.1, 0.2]), np.array([1.0, 0.0, 0.0])
    for metric in GLOBAL_VALUE_METRICS.values():
        assert math.isnan(metric(predictions, labels)(np.ones(3, dtype=np.int64)))
    for metric in CASE_VALUE_METRICS.values():
        assert math.isnan(metric(predictions, labels).mean())


@pytest.mark.parametrize("name", ["auc", "logloss"])
@pytest.mark.parametrize("labels", [[1.0, 4.0], [0.5, 1.0], [NAN, 1.0]])
def test_labels_other_than_0_and_1_are_refused(name, labels):
    metric = {**CASE_VALUE_METRICS, **GLOBAL_VALUE_METRICS}[name]
    with pytest.raises(ParameterError, match=f"metric '{name}': needs labels of 0 and 1, got "):
        metric(np.array([0.5, 0.5]), np.array(labels))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_metrics_of_counts_equal_their_definitions(listed_times):
    counts, n = np.array([7, *listed_times]), len(listed_times)  # 7 empty places
    assert item_coverage(counts) == sum(times > 0 for times in listed_times) / n
    total = sum(listed_times)
    differences = sum(abs(a - b) for a in listed_times for b in listed_times)
    assert gini_index(counts) == pytest.approx(differences / (2 * n * total) if total else 0)
    entropy = sum(times / total * math.log(total / times) for times in listed_times if times)
    assert shannon_entropy(counts) == pytest.approx(entropy, abs=1e-12)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=45))
def test_the_tail_is_the_least_popular_tenth(support):
    items = sorted(range(1, len(support) + 1), key=lambda item: (support[item - 1], item))
    tail = in_tail(np.array([0, *support]))
    assert set(np.flatnonzero(tail)) == set(items[: max(len(items) // 10, 1)])
    lists = np.array([[items[0], items[-1]], [items[0], 0], [0, 0]])
    assert average_weight(lists, tail).tolist() == [0.5 if len(items) > 1 else 1, 1, 0]
