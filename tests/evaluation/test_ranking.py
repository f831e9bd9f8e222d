"""Ranks and lists against a naive definition, on the CPU and in the operations meant for a GPU."""

import math

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segue.data.sessions import Prefixes
from segue.data.vocabulary import ItemOrder, Vocabulary
from segue.errors import ParameterError, UnknownNameError
from segue.evaluation.ranking import TIES, TargetCounts, gpu, target_ranks, top_k
from segue.rng import generator

NAN, INF = math.nan, math.inf


def naive_top_k(row, k, prior, seen):
    candidates = [item for item in range(1, len(row)) if item not in seen and row[item] > -INF]
    best = sorted(candidates, key=lambda item: (-row[item], -prior[item], item))[:k]
    padding = [0] * (k - len(best))
    return best + padding, [row[item] for item in best] + [-INF] * len(padding)


def naive_rank(row, target, ties, seen, prior):
    if target in seen or not row[target] > -INF:
        return INF
    others = [item for item in range(1, len(row)) if item not in seen and item != target]
    ahead = sum(row[item] > row[target] or math.isnan(row[item]) for item in others)
    equals = [item for item in others if row[item] == row[target]]
    before = sum((-prior[item], item) < (-prior[target], target) for item in equals)
    return 1 + ahead + {"served": before, "pessimistic": len(equals), "optimistic": 0, "average": len(equals) / 2}[ties]


def as_tensor(rows):
    return torch.tensor(rows, dtype=torch.float32)


def no_prefixes(rows):
    return Prefixes.from_lists([np.zeros(0, dtype=np.int32)] * rows)


# Few distinct values, so that ties, infinities and NaN meet often.
SCORES = st.sampled_from([-2.0, -0.0, 0.0, 1.0, 1.5, INF, -INF, NAN])


@st.composite
def rankings(draw):
    rows, items = draw(st.integers(1, 20)), draw(st.integers(1, 200))
    scores = draw(arrays(np.float32, (rows, items + 1), elements=SCORES, fill=st.just(0.0)))
    prior = draw(arrays(np.int64, items + 1, elements=st.integers(-2, 2)))
    seen = [draw(arrays(np.int32, draw(st.integers(0, 4)), elements=st.integers(1, items))) for _ in range(rows)]
    targets = draw(arrays(np.int32, rows, elements=st.integers(1, items)))
    return scores, prior, seen, targets


@settings(deadline=None)
@given(rankings(), st.integers(1, 30))
def test_top_k_equals_a_sort_on_every_device(case, k):
    scores, prior, seen, _ = case
    expected = [naive_top_k(row.tolist(), k, prior, set(gone.tolist())) for row, gone in zip(scores, seen, strict=True)]
    expected_items = np.array([items for items, _ in expected])
    expected_values = np.array([values for _, values in expected], dtype=np.float32)
    exclude, order, tensor = Prefixes.from_lists(seen), ItemOrder.descending(prior), torch.from_numpy(scores)
    with pytest.MonkeyPatch.context() as patch:
        found = [top_k(tensor, k, order=order, exclude=exclude), gpu.top_k(tensor, k, order, None, exclude)]
        patch.setattr("segue.evaluation.ranking._LONG_LIST", 0)
        found.append(top_k(tensor, k, order=order, exclude=exclude))
    for items, values in found:
        np.testing.assert_array_equal(items, expected_items)
        np.testing.assert_array_equal(values, expected_values)


@settings(deadline=None)
@given(rankings(), st.integers(1, 30), st.randoms(use_true_random=False))
def test_items_that_are_not_allowed_are_as_those_of_the_other_rows(case, k, random):
    scores, prior, seen, _ = case
    allowed = np.array([random.random() < 0.5 for _ in range(scores.shape[1])])
    closed = set(np.flatnonzero(~allowed).tolist())
    expected = [
        naive_top_k(row.tolist(), k, prior, set(gone.tolist()) | closed)[0]
        for row, gone in zip(scores, seen, strict=True)
    ]
    exclude, order, tensor = Prefixes.from_lists(seen), ItemOrder.descending(prior), torch.from_numpy(scores)
    for items, _ in (
        top_k(tensor, k, order=order, allowed=allowed, exclude=exclude),
        gpu.top_k(tensor, k, order, allowed, exclude),
    ):
        np.testing.assert_array_equal(items, np.array(expected))


@settings(deadline=None)
@given(rankings(), st.sampled_from(TIES))
def test_ranks_equal_a_count_on_every_device(case, ties):
    scores, prior, seen, targets = case
    exclude, order = Prefixes.from_lists(seen), ItemOrder.descending(prior)
    ranks = target_ranks(torch.from_numpy(scores), targets, ties=ties, order=order, exclude=exclude)
    expected = [
        naive_rank(row.tolist(), target, ties, set(gone.tolist()), prior)
        for row, target, gone in zip(scores, targets.tolist(), seen, strict=True)
    ]
    np.testing.assert_array_equal(ranks, expected)
    counts = gpu.counts(torch.from_numpy(scores), targets[:, None], order, exclude)
    np.testing.assert_array_equal(TargetCounts(*np.moveaxis(counts, 2, 0)).ranks(ties)[:, 0], expected)


@settings(deadline=None)
@given(rankings())
def test_the_served_rank_is_the_place_in_the_list(case):
    scores, prior, seen, targets = case
    scores = np.nan_to_num(scores, nan=0.0, posinf=3.0, neginf=-np.inf)
    exclude, order = Prefixes.from_lists(seen), ItemOrder.descending(prior)
    ranks = target_ranks(torch.from_numpy(scores), targets, order=order, exclude=exclude)
    lists, _ = top_k(torch.from_numpy(scores), scores.shape[1], order=order, exclude=exclude)
    for rank, target, items in zip(ranks, targets, lists.tolist(), strict=True):
        assert rank == (1 + items.index(target) if target in items else INF)


@st.composite
def several_targets(draw):
    scores, prior, seen, _ = draw(rankings())
    items = scores.shape[1] - 1
    wanted = [draw(st.sets(st.integers(1, items), max_size=5)) for _ in scores]
    return scores, prior, seen, [sorted(one) for one in wanted]


@settings(deadline=None)
@given(several_targets(), st.sampled_from(TIES))
def test_ranks_of_several_targets_equal_a_sort_on_every_device(case, ties):
    scores, prior, seen, wanted = case
    exclude, order = Prefixes.from_lists(seen), ItemOrder.descending(prior)
    targets = np.zeros((len(wanted), max(1, *map(len, wanted), 1)), dtype=np.int32)
    for row, items in zip(targets, wanted, strict=True):
        row[: len(items)] = items
    ranks = target_ranks(torch.from_numpy(scores), targets, ties=ties, order=order, exclude=exclude)
    for row, items, gone, found in zip(scores.tolist(), wanted, seen, ranks, strict=True):
        # Against the items that are no targets each is ranked alone; then the targets stand behind each other.
        others = set(gone.tolist()) | set(items)
        alone = sorted(
            naive_rank(row, item, ties, (others - {item}) | (set(gone.tolist()) & {item}), prior) for item in items
        )
        expected = [rank + place for place, rank in enumerate(alone)]
        np.testing.assert_array_equal(found, expected + [INF] * (len(found) - len(expected)))
    counts = gpu.counts(torch.from_numpy(scores), targets, order, exclude)
    np.testing.assert_array_equal(TargetCounts(*np.moveaxis(counts, 2, 0)).ranks(ties), ranks)


@pytest.mark.parametrize(
    ("ties", "ranks"), [("optimistic", [1, 2, 3]), ("pessimistic", [98, 99, 100]), ("average", [49.5, 50.5, 51.5])]
)
def test_a_constant_scorer_with_several_targets(ties, ranks):
    assert target_ranks(torch.zeros(1, 101), np.array([[40, 7, 99]]), ties=ties).tolist() == [ranks]


def test_lists_of_many_continuous_scores():
    rng = generator(0, "test")
    scores = rng.standard_normal((40, 5001)).astype(np.float32)
    items, values = top_k(torch.from_numpy(scores), 100)
    expected = np.argsort(-scores[:, 1:], axis=1)[:, :100] + 1
    np.testing.assert_array_equal(items, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=1))


def test_a_rank_is_the_place_in_the_list():
    rng = generator(0, "test")
    scores = torch.from_numpy(rng.standard_normal((30, 51)).astype(np.float32))
    items, _ = top_k(scores, 50)
    for place in (0, 7, 49):
        np.testing.assert_array_equal(target_ranks(scores, items[:, place]), np.full(30, place + 1.0))


def test_equal_scores_go_by_prior_then_by_index():
    items, values = top_k(as_tensor([[9, 1, 1, 1, 1, 2]]), 4, order=ItemOrder.descending(np.array([0, 5, 7, 7, 1, 0])))
    assert items.tolist() == [[5, 2, 3, 1]]
    assert values.tolist() == [[2, 1, 1, 1]]


def test_padding_is_never_ranked():
    scores = as_tensor([[100, 1, 2]])
    assert top_k(scores, 2)[0].tolist() == [[2, 1]]
    assert target_ranks(scores, np.array([1])).tolist() == [2]


def test_fewer_candidates_than_k():
    scores = as_tensor([[0, 1, -INF, 3, NAN]])
    items, values = top_k(scores, 6, exclude=Prefixes.from_lists([np.array([1])]))
    assert items.tolist() == [[3, 0, 0, 0, 0, 0]]
    assert values.tolist() == [[3] + [-INF] * 5]


@pytest.mark.parametrize(("ties", "rank"), [("served", 40), ("pessimistic", 100), ("optimistic", 1), ("average", 50.5)])
def test_a_constant_scorer_under_each_tie_rule(ties, rank):
    assert target_ranks(torch.zeros(1, 101), np.array([40]), ties=ties).tolist() == [rank]


@pytest.mark.parametrize("ties", ["pessimistic", "optimistic", "average"])
def test_a_scorer_of_nan_is_never_good(ties):
    scores = torch.full((2, 51), NAN)
    scores[1, 3] = 1.0
    assert target_ranks(scores, np.array([3, 3]), ties=ties).tolist() == [INF, 50]


def test_an_excluded_target_is_a_miss():
    scores = as_tensor([[0, 3, 2, 1]])
    assert target_ranks(scores, np.array([1]), exclude=Prefixes.from_lists([np.array([1])])).tolist() == [INF]
    assert target_ranks(scores, np.array([2]), exclude=Prefixes.from_lists([np.array([1, 1])])).tolist() == [1]


def test_scores_are_not_changed():
    row = as_tensor([[0, 3, 2, 1]])
    shared = row.expand(20, -1)
    seen = Prefixes.from_lists([np.array([1])] * 20)
    assert top_k(shared, 1, exclude=seen)[0].ravel().tolist() == [2] * 20
    assert target_ranks(shared, np.full(20, 3), exclude=seen).tolist() == [2] * 20
    assert row.tolist() == [[0, 3, 2, 1]]


def test_no_row_at_all():
    nothing = torch.zeros(0, 5)
    assert top_k(nothing, 3, exclude=no_prefixes(0))[0].shape == (0, 3)
    assert target_ranks(nothing, np.zeros(0, dtype=np.int64)).shape == (0,)


def test_mistakes_are_explained():
    scores = torch.zeros(1, 5)
    with pytest.raises(ParameterError, match="k: must be at least 1, got 0"):
        top_k(scores, 0)
    with pytest.raises(
        UnknownNameError, match="unknown tie rule 'first': choose one of average, optimistic, pessimistic, served"
    ):
        target_ranks(scores, np.array([1]), ties="first")
    for target in (0, 5):
        with pytest.raises(ParameterError, match=f"item indices from 1 to 4, got {target} to {target}"):
            target_ranks(scores, np.array([target]))


def test_the_order_of_a_catalogue_is_made_and_copied_to_a_device_once(monkeypatch):
    vocabulary = Vocabulary(pl.DataFrame({"item": np.arange(50), "support": np.arange(50)}))
    scores, cpu = torch.zeros(3, 51), torch.device("cpu")
    first = [gpu.top_k(scores, 5, vocabulary.order, None, None) for _ in range(3)]
    copied = vocabulary.order.on_device[cpu]
    monkeypatch.setattr("segue.data.vocabulary.np.argsort", None)  # Nothing is sorted any more.
    again = gpu.top_k(scores, 5, vocabulary.order, None, None)
    gpu.counts(scores, np.array([[1], [2], [3]]), vocabulary.order, None)
    assert vocabulary.order.on_device[cpu] is copied
    np.testing.assert_array_equal(again[0], first[0][0])
    assert again[0].tolist() == [[50, 49, 48, 47, 46]] * 3
