"""Drawn candidates: what may be drawn, how often, and that they are frozen."""

import numpy as np
import pytest
import torch

from segue.data.sessions import Cases, Prefixes
from segue.evaluation.candidates import Sample, restrict
from segue.rng import generator

ITEMS = 60
SUPPORT = np.concatenate([[0], np.arange(1, ITEMS + 1)])


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
    drawn = Sample.parse(text, SUPPORT, 0).draw(cases, 0)
    for row, closed in zip(drawn.tolist(), barred(cases), strict=True):
        assert len(set(row)) == len(row)
        assert not closed & set(row)
        assert 1 <= min(row) <= max(row) <= ITEMS


def test_a_small_catalogue_gives_all_that_is_free():
    cases = random_cases(200)
    drawn = Sample.parse("uni100", SUPPORT, 0).draw(cases, 0)
    for row, closed in zip(drawn.tolist(), barred(cases), strict=True):
        assert set(row) - {0} == set(range(1, ITEMS + 1)) - closed


@pytest.mark.parametrize("text", ["uni10", "pop40"])
def test_candidates_belong_to_a_case_and_a_seed_alone(text):
    cases, sample = random_cases(300), Sample.parse(text, SUPPORT, 3)
    whole = sample.draw(cases, 0)
    np.testing.assert_array_equal(np.concatenate([sample.draw(cases[:70], 0), sample.draw(cases[70:], 70)]), whole)
    assert (Sample.parse(text, SUPPORT, 4).draw(cases, 0) != whole).any()


@pytest.mark.parametrize("size", [2, 8])
@pytest.mark.parametrize("way", ["uni", "pop"])
def test_both_ways_of_drawing_follow_the_weights(way, size):
    """With 20 items, 2 are drawn again and again and 8 by lots; the first drawn of them is as likely as it weighs."""
    support, count = np.concatenate([[0], np.arange(1, 21)]), 40_000
    cases = Cases(
        Prefixes.from_lists([np.zeros(0, dtype=np.int32)] * count), np.full(count, 20, np.int32), np.arange(count)
    )
    first = Sample.parse(f"{way}{size}", support, 0).draw(cases, 0)[:, 0]
    weights = np.arange(1, 20) if way == "pop" else np.ones(19)
    expected = count * weights / weights.sum()
    counts = np.bincount(first, minlength=20)[1:20]
    assert (((counts - expected) ** 2 / expected).sum()) < 45  # 99.95% of chi-squared with 18 degrees of freedom
    assert len(first) == counts.sum()


def test_the_whole_catalogue_is_no_sample():
    assert Sample.parse("full", SUPPORT, 0) is None


def test_only_targets_and_drawn_items_are_left():
    scores = torch.arange(12.0).reshape(2, 6)
    left = restrict(scores, np.array([[1], [2]], dtype=np.int32), np.array([[3, 5], [4, 0]], dtype=np.int32))
    inf = -torch.inf
    assert left[:, 1:].tolist() == [[1, inf, 3, inf, 5], [inf, 8, inf, 10, inf]]


def test_no_more_is_drawn_than_there_is():
    assert Sample.parse("uni999999999", SUPPORT, 0).size == ITEMS
