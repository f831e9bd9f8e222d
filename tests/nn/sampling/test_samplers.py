import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.nn.sampling.kernels import alias_table
from segue.nn.sampling.samplers import AccidentalHits, PopularitySampler, hardest, log_probabilities

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
@given(targets=st.lists(st.integers(1, 9), min_size=1, max_size=20), drawn=st.lists(st.integers(1, 9), max_size=20))
def test_accidental_hits_equal_a_double_loop(targets: list[int], drawn: list[int]) -> None:
    hits = AccidentalHits(9)
    for own in (True, False, True):
        columns = targets + drawn
        found = hits.find(np.array(targets), np.array(columns), own=own)
        assert list(zip(*(part.tolist() for part in found), strict=True)) == [
            (row, column)
            for row in range(len(targets))
            for column in range(len(columns))
            if columns[column] == targets[row] and not (own and column == row)
        ]


def test_the_hardest_candidate_that_takes_part_is_each_rows_own() -> None:
    scores = torch.tensor([[1.0, 3.0, -2.0, -1.0], [5.0, 4.0, 0.0, 2.0]], requires_grad=True)
    excluded = torch.tensor([[False, True, True, True], [False, False, False, False]])
    chosen, out = hardest(scores, excluded, 2)
    assert chosen[0, 0].item() == 1.0
    assert chosen[1].tolist() == [5.0, 2.0]
    assert out.tolist() == [[False, True], [False, False]]
    chosen[1].sum().backward()
    assert scores.grad.tolist() == [[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
