"""Draws, their probabilities, and hits, against loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.nn.sampling import (
    GroupedNegatives,
    Negatives,
    PopularitySampler,
    SessionParallelNegatives,
    SharedNegatives,
    accidental_hits,
    alias_table,
    log_probabilities,
)

SUPPORT = np.array([0, 1, 4, 0, 16, 100, 9])


@settings(max_examples=60, deadline=None)
@given(weights=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40))
def test_the_alias_table_keeps_every_probability(weights: list[float]) -> None:
    keep, alias = alias_table(np.array(weights))
    n = len(weights)
    probability = np.zeros(n)
    for cell in range(n):
        probability[cell] += keep[cell] / n
        probability[alias[cell]] += (1 - keep[cell]) / n
    np.testing.assert_allclose(probability, np.array(weights) / np.sum(weights), rtol=1e-6, atol=1e-9)


def test_items_are_drawn_by_their_support_to_the_power_alpha() -> None:
    for alpha in (0.0, 0.5, 1.0):
        sampler = PopularitySampler(SUPPORT, alpha, 20_000, seed=1)
        drawn = np.concatenate([sampler.draw(0, step) for step in range(20)])
        weights = np.where(SUPPORT > 0, SUPPORT.astype(float) ** alpha, 0.0)
        share = np.bincount(drawn, minlength=len(SUPPORT)) / len(drawn)
        np.testing.assert_allclose(share, weights / weights.sum(), atol=0.004)
        known = SUPPORT > 0
        gap = sampler.log_weights[known] - np.log(weights[known])
        np.testing.assert_allclose(gap, 0, atol=1e-6)


def test_padding_and_items_without_support_are_never_drawn() -> None:
    drawn = PopularitySampler(SUPPORT, 0.0, 5_000, seed=2).draw(3, 1)
    assert set(drawn.tolist()) == {1, 2, 4, 5, 6}


def test_a_draw_is_a_function_of_seed_epoch_and_step() -> None:
    steps = [(0, 0), (0, 63), (0, 64), (1, 0), (1, 200)]
    forwards, backwards = (PopularitySampler(SUPPORT, 0.5, 50, seed=7) for _ in range(2))
    first = {step: forwards.draw(*step).copy() for step in steps}
    for step in reversed(steps):
        np.testing.assert_array_equal(backwards.draw(*step), first[step])
    assert len({tuple(draw) for draw in first.values()}) == len(steps)
    assert (PopularitySampler(SUPPORT, 0.5, 50, seed=8).draw(0, 0) != first[0, 0]).any()


def test_log_probabilities_are_those_of_the_draws() -> None:
    for alpha in (0.0, 0.5, 1.0):
        sampler = PopularitySampler(SUPPORT, alpha, 20_000, seed=1)
        share = np.bincount(sampler.draw(0, 0), minlength=len(SUPPORT)) / 20_000
        expected = np.exp(log_probabilities(sampler.log_weights, SUPPORT))
        np.testing.assert_allclose(expected[SUPPORT > 0].sum(), 1, rtol=1e-5)
        np.testing.assert_allclose(share[SUPPORT > 0], expected[SUPPORT > 0], atol=0.02)


@settings(max_examples=60, deadline=None)
@given(
    targets=st.lists(st.integers(1, 9), min_size=1, max_size=20),
    drawn=st.lists(st.integers(1, 9), max_size=20),
    group_size=st.integers(1, 25),
)
def test_accidental_hits_equal_a_double_loop(targets: list[int], drawn: list[int], group_size: int) -> None:
    groups, last = -(-len(targets) // group_size), np.full(10, -1)
    negatives = np.array([[1 + (item + group) % 9 for item in drawn] for group in range(groups)], dtype=np.int64)
    for _ in range(2):
        found = accidental_hits(np.array(targets), negatives.reshape(groups, len(drawn)), group_size, last)
        assert list(zip(*(part.tolist() for part in found), strict=True)) == [
            (row, column)
            for row, target in enumerate(targets)
            for column, item in enumerate(negatives[row // group_size])
            if item == target
        ]


class Drawing:
    """Draws the same items in each step."""

    log_weights = np.zeros(7, dtype=np.float32)

    def __init__(self, *items: int) -> None:
        self._items = np.array(items)

    def draw(self, epoch: int, step: int) -> np.ndarray:
        return self._items


def pairs(negatives: Negatives) -> list[tuple[int, int]]:
    return list(zip(negatives.excluded.rows.tolist(), negatives.excluded.columns.tolist(), strict=True))


def test_a_row_is_not_compared_with_its_target_by_accident() -> None:
    targets, sampler = np.array([2, 4, 2]), Drawing(4, 5)
    drawn = SharedNegatives(sampler, SUPPORT, in_batch=False).draw(targets, 0, 0)
    assert (drawn.ids.tolist(), drawn.first, pairs(drawn)) == ([2, 4, 2, 4, 5], 3, [(1, 0)])
    both = SharedNegatives(sampler, SUPPORT, in_batch=True).draw(targets, 0, 0)
    assert (both.first, pairs(both)) == (0, [(0, 0), (0, 2), (1, 1), (1, 3), (2, 0), (2, 2)])
    kept = SharedNegatives(sampler, SUPPORT, in_batch=True, reject_hits=False).draw(targets, 0, 0)
    assert pairs(kept) == [(0, 0), (1, 1), (2, 2)]


def test_the_own_column_of_a_lane_is_its_target() -> None:
    targets, sampler = np.array([2, 4, 2]), Drawing(4, 5)
    lanes = SessionParallelNegatives(sampler, SUPPORT).draw(targets, 0, 0)
    assert (lanes.ids.tolist(), lanes.first, pairs(lanes)) == ([2, 4, 2, 4, 5], 0, [(0, 2), (1, 3), (2, 0)])
    np.testing.assert_allclose(lanes.log_counts, np.log([4, 16, 4, 1, 1]), rtol=1e-6)
    assert pairs(SessionParallelNegatives(None, SUPPORT, reject_hits=False).draw(targets, 0, 0)) == []


def test_each_group_has_its_own_negatives() -> None:
    sampler, targets = PopularitySampler(SUPPORT, 0.5, 4, seed=3), np.array([2, 4, 5, 6, 2])
    drawn = GroupedNegatives(sampler, len(SUPPORT) - 1, group_size=2).draw(targets, 1, 7)
    groups = drawn.ids[drawn.first :].reshape(3, 4)
    np.testing.assert_array_equal(groups, sampler.draw_groups(1, 7, 3))
    assert pairs(drawn) == [
        (row, column) for row, own in enumerate(targets) for column in range(4) if groups[row // 2, column] == own
    ]
    assert pairs(GroupedNegatives(sampler, 6, group_size=2, reject_hits=False).draw(targets, 1, 7)) == []
