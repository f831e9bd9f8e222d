import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.nn.kernels import alias_table
from segue.nn.samplers import AccidentalHits, PopularitySampler

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


@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.integers(1, 9), min_size=1, max_size=40), data=st.data())
def test_accidental_hits_equal_a_double_loop(ids: list[int], data: st.DataObject) -> None:
    n_targets = data.draw(st.integers(1, len(ids)))
    hits = AccidentalHits(9)
    for _ in range(2):
        rows, columns = hits.find(np.array(ids), n_targets)
        found = sorted(zip(rows.tolist(), columns.tolist(), strict=True))
        assert found == [
            (row, column)
            for row in range(n_targets)
            for column in range(len(ids))
            if column != row and ids[column] == ids[row]
        ]
