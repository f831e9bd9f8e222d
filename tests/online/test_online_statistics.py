"""Rates and their intervals: hand-worked numbers, coverage, false alarms, power, and a broken split."""

from math import log, sqrt

import numpy as np
import pytest

from segue.online.statistics import (
    SPLIT_ALPHA,
    Difference,
    Estimate,
    rates,
    reverses,
    split_p_value,
)

BASE, EFFECT = 0.12, 0.03


def visitors(rng: np.random.Generator, units: int, effect: float) -> tuple[np.ndarray, ...]:
    """Simulate sessions: their arm, lists and hits. Sessions differ in length, and in how much they click."""
    arms = rng.integers(0, 2, units)
    lists = rng.geometric(0.3, units).clip(max=30)
    rate = BASE + effect * arms
    own = rng.beta(4 * rate, 4 * (1 - rate))
    return arms, rng.binomial(lists, own).astype(float), lists.astype(float)


def test_hand_worked_rates() -> None:
    """Two arms of three sessions each; the rates are 2/6 and 3/6."""
    arms = np.array([0, 0, 0, 1, 1, 1])
    hits, lists = np.array([1.0, 0, 1, 2, 1, 0]), np.array([2.0, 1, 3, 2, 3, 1])
    found = rates(arms, hits, lists, count=2)
    assert [one.value for one in found.arms] == pytest.approx([1 / 3, 1 / 2])
    # Scores of the first arm: (1 - 2/3, 0 - 1/3, 1 - 1) / 6, of the second: (2 - 1, 1 - 1.5, 0 - 0.5) / 6.
    variances = [1.5 * (1 / 9 + 1 / 9) / 36, 1.5 * (1 + 0.25 + 0.25) / 36]
    assert [one.error for one in found.arms] == pytest.approx([sqrt(one) for one in variances])
    (difference,) = found.differences
    assert difference.value == pytest.approx(1 / 6)
    assert difference.error == pytest.approx(sqrt(sum(variances)))
    assert difference.interval == pytest.approx(
        (1 / 6 - 1.96 * sqrt(sum(variances)), 1 / 6 + 1.96 * sqrt(sum(variances))), abs=1e-5
    )
    assert not difference.enough


def test_the_mean_of_single_units_is_the_textbook_one() -> None:
    rng = np.random.default_rng(0)
    bought = rng.integers(0, 2, 50).astype(float)
    found = rates(np.zeros(50, dtype=np.int64), bought, np.ones(50), count=1)
    assert found.arms[0].value == pytest.approx(bought.mean())
    assert found.arms[0].error == pytest.approx(bought.std(ddof=1) / sqrt(50))


def test_units_of_one_cluster_count_once() -> None:
    """Each session is there three times: with its user as cluster, the errors are those of one copy, and not less."""
    rng = np.random.default_rng(1)
    once = visitors(rng, 200, 0.0)
    thrice = tuple(np.repeat(one, 3) for one in once)
    users = np.repeat(np.arange(200), 3)
    alone, clustered = rates(*once, count=2), rates(*thrice, count=2, clusters=users)
    assert [one.error for one in clustered.arms] == pytest.approx([one.error for one in alone.arms])
    assert clustered.differences[0].error == pytest.approx(alone.differences[0].error)
    assert rates(*thrice, count=2).differences[0].error < 0.6 * alone.differences[0].error


def test_a_user_in_both_arms_is_one_cluster() -> None:
    """What all sessions of a user share cancels in the difference."""
    rng = np.random.default_rng(2)
    loves = np.repeat(rng.random(500), 2)
    arms, users = np.tile([0, 1], 500), np.repeat(np.arange(500), 2)
    bought = (loves > 0.5).astype(float)
    assert rates(arms, bought, np.ones(1000), count=2, clusters=users).differences[0].error == pytest.approx(
        0, abs=1e-9
    )


def test_weights_undo_a_share_that_changed() -> None:
    """The share of the second arm grows from 10% to 50% while everybody buys more: the arms do not differ."""
    rng = np.random.default_rng(3)
    late = np.arange(40_000) >= 20_000
    share = np.where(late, 0.5, 0.1)
    arms = (rng.random(40_000) < share).astype(np.int64)
    bought = (rng.random(40_000) < np.where(late, 0.3, 0.1)).astype(float)
    weights = 1 / np.where(arms == 1, share, 1 - share)
    plain = rates(arms, bought, np.ones(40_000), count=2).differences[0]
    right = rates(arms, bought, np.ones(40_000), count=2, weights=weights).differences[0]
    assert plain.interval[0] > 0.05
    assert right.interval[0] < 0 < right.interval[1]


@pytest.mark.parametrize(
    "runs", [1000, pytest.param(20_000, marks=pytest.mark.soak)], ids=["1,000 runs", "20,000 runs"]
)
def test_intervals_cover_the_known_effect(runs: int) -> None:
    rng = np.random.default_rng(4)
    covered, of_rate = 0, 0
    for _ in range(runs):
        found = rates(*visitors(rng, 1500, EFFECT), count=2)
        low, high = found.differences[0].interval
        covered += low <= EFFECT <= high
        low, high = found.arms[0].interval
        of_rate += low <= BASE <= high
    assert 0.93 <= covered / runs <= 0.97
    assert 0.93 <= of_rate / runs <= 0.97


def alarms(rng: np.random.Generator, runs: int, days: int, per_day: int, effect: float) -> tuple[float, float]:
    """Return the share of runs that end with a difference, and of those in which one look per day finds one."""
    at_end = at_once = 0
    for _ in range(runs):
        drawn = visitors(rng, days * per_day, effect)
        looks = [rates(*(one[: day * per_day] for one in drawn), count=2).differences[0] for day in range(1, days + 1)]
        at_end += any(one.decided for one in looks)
        at_once += any(one.enough and one.interval[0] * one.interval[1] > 0 for one in looks)
    return at_end / runs, at_once / runs


@pytest.mark.parametrize(
    ("runs", "days"), [(400, 14), pytest.param(4000, 28, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_an_a_a_test_rarely_alarms_when_looked_at_daily(runs: int, days: int) -> None:
    """The plain interval, looked at daily, alarms several times as often as it promises."""
    sequential, plain = alarms(np.random.default_rng(5), runs, days, 300, 0.0)
    assert sequential <= 0.05
    assert plain > 0.12


def test_a_real_effect_is_found() -> None:
    found, _ = alarms(np.random.default_rng(6), 40, 14, 500, EFFECT)
    assert found > 0.9


def test_the_confidence_sequence_is_the_mixture_test() -> None:
    """0 leaves the sequence exactly where the likelihood ratio of Johari et al. exceeds 1 / alpha."""
    alpha, clusters = 0.05, 3000
    mixture = 10_000 / (-2 * log(alpha) + log(1 - 2 * log(alpha)))
    for z in np.linspace(2, 5, 301):
        found = Difference(z * 0.01, 0.01, clusters, 1, True)
        ratio = sqrt(mixture / (mixture + clusters)) * np.exp(z**2 / 2 * clusters / (clusters + mixture))
        assert found.decided == (ratio > 1 / alpha)


def test_comparisons_share_the_error() -> None:
    one, four = (Difference(0.0, 0.01, 2000, number, True) for number in (1, 4))
    assert four.sequence[1] > one.sequence[1] > one.interval[1]


def test_an_empty_arm() -> None:
    found = rates(np.zeros(5, dtype=np.int64), np.ones(5), np.ones(5), count=2)
    assert np.isnan(found.arms[1].value)
    assert not found.differences[0].decided
    nothing = rates(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0), count=2)
    assert not nothing.differences[0].decided


def test_the_sample_ratio_check() -> None:
    """By hand: 551 and 449 where 500 and 500 were planned give a chi-square of 2 * 51^2 / 500 = 10.404, p = 0.00126."""
    assert split_p_value(np.array([551, 449]), np.array([500.0, 500])) == pytest.approx(0.00126, abs=1e-5)
    assert split_p_value(np.array([5510, 4490]), np.array([5000.0, 5000])) < 1e-20
    assert split_p_value(np.array([10, 5, 0]), np.array([10.0, 5, 0])) == 1.0
    assert split_p_value(np.array([10, 1]), np.array([11.0, 0])) == 0.0


def test_a_right_split_is_hardly_ever_called_broken_and_a_broken_one_is() -> None:
    rng = np.random.default_rng(7)
    planned = np.array([5000.0, 5000])
    p_values = np.array(
        [split_p_value(np.array([one, 10_000 - one]), planned) for one in rng.binomial(10_000, 0.5, 4000)]
    )
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.012)
    assert (p_values < SPLIT_ALPHA).mean() <= 0.003
    lost = rng.binomial(10_000, 0.5 / 0.95, 200)  # One of ten sessions of the second arm is not recorded.
    assert np.mean([split_p_value(np.array([one, 10_000 - one]), planned) < SPLIT_ALPHA for one in lost]) > 0.95


def test_simpsons_reversal() -> None:
    """Each slice is better by 2 points, the total is worse by 3, because the slices were mixed unequally."""
    parts = [Estimate(0.02, 0.004), Estimate(0.02, 0.004)]
    assert reverses(Estimate(-0.03, 0.005), parts, [500, 500])
    assert not reverses(Estimate(0.015, 0.005), parts, [500, 500])
    assert not reverses(Estimate(-0.001, 0.01), [Estimate(0.001, 0.02)], [500])
