"""Drawn candidates: what may be drawn, how often, and that they are frozen."""

import numpy as np
import polars as pl
import pytest
import torch

from segue.data.cases import Cases
from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.evaluation.candidate_sampling import CandidateSampler, SampledCandidates
from segue.evaluation.measure import measure
from segue.protocols.ranking import Ranking
from segue.rng import generator

ITEMS = 60
SUPPORT = np.concatenate([[0], np.arange(1, ITEMS + 1)])


def sampled(text, support, seed):
    return CandidateSampler.from_ranking(Ranking(candidates=text, seed=seed), support)


def random_cases(count, items=ITEMS):
    rng = generator(0, "cases")
    prefixes = Prefixes.from_lists([rng.integers(1, items + 1, rng.integers(0, 5)) for _ in range(count)])
    return Cases(prefixes, rng.integers(1, items + 1, count, dtype=np.int32), np.arange(count))


def barred(cases):
    spans = zip(cases.prefixes.starts, cases.prefixes.ends, cases.targets, strict=True)
    return [{*cases.prefixes.items[start:end].tolist(), int(target)} for start, end, target in spans]


@pytest.mark.parametrize("text", ["uni5", "pop5", "uni40", "pop40"])
def test_no_item_twice_none_of_the_session_and_no_target(text):
    cases = random_cases(500)
    drawn = sampled(text, SUPPORT, 0).draw(cases, 0)
    for row, closed in zip(drawn.tolist(), barred(cases), strict=True):
        assert len(set(row)) == len(row)
        assert not closed & set(row)
        assert 1 <= min(row) <= max(row) <= ITEMS


def test_a_small_catalogue_gives_all_that_is_free():
    cases = random_cases(200)
    drawn = sampled("uni100", SUPPORT, 0).draw(cases, 0)
    for row, closed in zip(drawn.tolist(), barred(cases), strict=True):
        assert set(row) - {0} == set(range(1, ITEMS + 1)) - closed


@pytest.mark.parametrize("text", ["uni10", "pop40"])
def test_candidates_belong_to_a_case_and_a_seed_alone(text):
    cases, sample = random_cases(300), sampled(text, SUPPORT, 3)
    whole = sample.draw(cases, 0)
    np.testing.assert_array_equal(np.concatenate([sample.draw(cases[:70], 0), sample.draw(cases[70:], 70)]), whole)
    assert (sampled(text, SUPPORT, 4).draw(cases, 0) != whole).any()


@pytest.mark.parametrize("size", [2, 8])
@pytest.mark.parametrize("way", ["uni", "pop"])
def test_both_ways_of_drawing_follow_the_weights(way, size):
    """With 20 items, 2 are drawn again and again and 8 by lots; the first drawn of them is as likely as it weighs."""
    support, count = np.concatenate([[0], np.arange(1, 21)]), 40_000
    cases = Cases(
        Prefixes.from_lists([np.zeros(0, dtype=np.int32)] * count), np.full(count, 20, np.int32), np.arange(count)
    )
    first = sampled(f"{way}{size}", support, 0).draw(cases, 0)[:, 0]
    weights = np.arange(1, 20) if way == "pop" else np.ones(19)
    expected = count * weights / weights.sum()
    counts = np.bincount(first, minlength=20)[1:20]
    assert (((counts - expected) ** 2 / expected).sum()) < 45  # 99.95% of chi-squared with 18 degrees of freedom
    assert len(first) == counts.sum()


def test_the_whole_catalogue_is_no_sample():
    assert sampled("full", SUPPORT, 0) is None


class Constant:
    """Gives item j the score ``scores[j]`` whatever came before."""

    def __init__(self, scores, support):
        self.vocabulary = Vocabulary(pl.DataFrame({"item": np.arange(1, len(scores)), "support": support}))
        self.scores = torch.tensor(scores, dtype=torch.float32)

    def score(self, prefixes):
        return self.scores.expand(len(prefixes), -1)


def test_only_targets_and_drawn_items_are_ranked():
    scorer = Constant([9.0, 1.0, 2.0, 3.0, 4.0, 5.0], [1, 1, 1, 1, 1])
    cases = Cases(Prefixes.from_lists([np.zeros(0, np.int32)] * 2), np.array([1, 2], np.int32), np.arange(2))
    drawn = SampledCandidates.score(scorer, cases, np.array([[3, 5], [4, 0]], dtype=np.int32))
    assert drawn.lists(5).tolist() == [[5, 3, 1, 0, 0], [4, 2, 0, 0, 0]]
    assert drawn.counts().ranks("served")[:, 0].tolist() == [3, 2]
    assert drawn.others.tolist() == [2, 1]


def test_equal_candidates_stand_in_order_of_popularity():
    scorer = Constant([9.0, 1.0, 1.0, 1.0, 1.0, 2.0], [5, 40, 5, 30, 1])
    cases = Cases(Prefixes.from_lists([np.zeros(0, np.int32)]), np.array([3], np.int32), np.zeros(1, int))
    drawn = SampledCandidates.score(scorer, cases, np.array([[4, 5, 2, 1]], dtype=np.int32))
    assert drawn.lists(5).tolist() == [[5, 2, 4, 1, 3]]
    counts = drawn.counts()
    ranks = {rule: counts.ranks(rule)[0, 0] for rule in ("served", "pessimistic", "optimistic", "average")}
    assert ranks == {"served": 5, "pessimistic": 5, "optimistic": 2, "average": 3.5}


def test_a_target_that_was_seen_is_no_candidate():
    scorer = Constant([9.0, 1.0, 2.0, 3.0], [1, 1, 1])
    prefixes = Prefixes.from_lists([np.array([3], np.int32), np.array([1], np.int32)])
    cases = Cases(prefixes, np.array([3, 2], np.int32), np.arange(2), exclude_seen=True)
    ranks = SampledCandidates.score(scorer, cases, np.array([[1], [3]], dtype=np.int32)).counts().ranks("served")
    assert ranks[:, 0].tolist() == [np.inf, 2]


@pytest.mark.parametrize("text", ["uni_100", "random100", "uni", "pop0", "uni-5", "uni5.0", "FULL", ""])
def test_what_is_no_name_of_candidates_is_refused(text):
    scorer = Constant([0.0, 1.0, 2.0], [1, 1])
    cases = Cases(Prefixes.from_lists([np.array([1], np.int32)]), np.array([2], np.int32), np.zeros(1, int))
    with pytest.raises(ParameterError, match=f"candidates: must be full, labeled, uniN or popN .*, got '{text}'"):
        measure(scorer, cases, {"candidates": text})


def test_candidates_and_metrics_must_be_of_one_kind():
    scorer = Constant([0.0, 1.0, 2.0], [1, 1])
    cases = Cases(Prefixes.from_lists([np.array([1], np.int32)]), np.array([2], np.int32), np.zeros(1, int))
    with pytest.raises(ParameterError, match="'labeled' is for metrics of values, got mrr; use 'full'"):
        measure(scorer, cases, {"metrics": ["mrr"], "candidates": "labeled"})
    labelled = Cases(cases.prefixes, cases.targets, cases.groups, labels=np.ones(1))
    with pytest.raises(ParameterError, match="'uni5' is for metrics of rankings, got rmse; use 'labeled'"):
        measure(scorer, labelled, {"metrics": ["rmse"], "candidates": "uni5"})


def test_no_more_is_drawn_than_there_is():
    assert sampled("uni999999999", SUPPORT, 0).size == ITEMS
