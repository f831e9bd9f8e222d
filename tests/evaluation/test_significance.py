"""Paired tests: against a naive loop, all sign patterns, the theory of p-values, and Holm's correction by hand."""

import itertools
import math
import time

import numpy as np
import pytest

from segue.evaluation import significance
from segue.evaluation.significance import holm, paired_tests, permutation_p_values
from segue.rng import generator


def exact(differences: np.ndarray, groups: np.ndarray) -> float:
    """Share of all sign patterns of the groups whose sum is at least as far from 0."""
    sums = np.array([differences[groups == group].sum() for group in np.unique(groups)])
    patterns = [np.dot(signs, sums) for signs in itertools.product([-1, 1], repeat=len(sums))]
    return float(np.mean(np.abs(patterns) >= abs(sums.sum()) - 1e-12))


def test_few_groups_come_close_to_all_sign_patterns():
    rng = generator(0, "test")
    groups = rng.integers(0, 9, 30)
    differences = rng.choice([-1.0, 0.0, 0.5, 1.0], (30, 4))
    found = permutation_p_values(differences, groups, resamples=100_000)
    expected = [exact(column, groups) for column in differences.T]
    np.testing.assert_allclose(found, expected, atol=0.006)


def test_a_naive_loop_over_the_same_signs_finds_the_same():
    rng = generator(1, "test")
    groups, weights = rng.integers(0, 40, 100), rng.random(100)
    differences = rng.normal(0.1, 1, (100, 2))
    found = permutation_p_values(differences, groups, weights=weights, seed=5, resamples=200)
    (kept,) = significance._sign_draws(len(np.unique(groups)), 5, 200)
    for column, p_value in zip(differences.T, found, strict=True):
        hits = 0
        for row in kept:
            total = 0.0
            for group, keeps in zip(np.unique(groups), row, strict=True):
                inside = groups == group
                total += (1 if keeps else -1) * (weights[inside] * column[inside]).sum()
            hits += abs(total) >= abs((weights * column).sum())
        assert p_value == (1 + hits) / 201


def test_the_signs_are_fair_and_independent():
    kept = np.concatenate(list(significance._sign_draws(13, 0, 20_000)))
    np.testing.assert_allclose(kept.mean(axis=0), 0.5, atol=0.015)
    correlation = np.corrcoef(kept, rowvar=False) - np.eye(13)
    assert np.abs(correlation).max() < 0.03


def test_p_values_are_uniform_where_two_models_are_equally_good():
    rng = generator(2, "test")
    groups = np.repeat(np.arange(60), rng.integers(1, 6, 60))
    # The cases of a group are alike; a test that flipped each case on its own would find far too many small values.
    base = rng.normal(size=(60, 2000)).repeat(np.bincount(groups), axis=0)
    p_values = permutation_p_values(base + 0.1 * rng.normal(size=base.shape), groups, resamples=999)
    for level in (0.01, 0.05, 0.1, 0.5, 0.9):
        spread = 4 * np.sqrt(level * (1 - level) / 2000)
        assert abs((p_values <= level).mean() - level) < spread
    alone = permutation_p_values(base, np.arange(len(base)), resamples=999)
    assert (alone <= 0.05).mean() > 0.15


def test_identical_models_have_p_1_and_no_difference():
    (test,) = paired_tests(np.zeros((50, 1)), np.arange(50) // 2)
    assert (test.difference, test.interval, test.p_value) == (0.0, (0.0, 0.0), 1.0)


def test_a_clear_difference_has_the_least_p_there_is():
    (test,) = paired_tests(np.full((200, 1), 0.25), np.arange(200))
    assert test.difference == 0.25
    assert test.p_value == pytest.approx(1 / 10_001)


def test_rounding_does_not_decide():
    # Sums of 0.2 come about in many ways, some of them a bit below it in floating point.
    differences = np.array([[0.1]] * 8 + [[-0.1]] * 6)
    even = math.comb(14, 7) / 2**14
    assert permutation_p_values(differences, np.arange(14), resamples=100_000)[0] == pytest.approx(1 - even, abs=0.006)


def test_the_interval_holds_the_true_difference_about_95_times_in_100():
    rng = generator(3, "test")
    groups = np.repeat(np.arange(150), 3)
    held = 0
    for experiment in range(150):
        differences = (rng.normal(0.2, 1, 150).repeat(3) + rng.normal(0, 1, 450))[:, None]
        (test,) = paired_tests(differences, groups, seed=experiment, resamples=10)
        held += test.interval[0] <= 0.2 <= test.interval[1]
    assert 0.89 <= held / 150 <= 0.99


def test_a_difference_is_a_ratio_of_sums_and_may_be_weighted():
    differences, groups = np.array([[1.0], [0.0], [0.0], [0.0]]), np.array([3, 8, 8, 8])
    assert paired_tests(differences, groups)[0].difference == 0.25
    weights = np.array([3.0, 1.0, 1.0, 1.0])
    assert paired_tests(differences, groups, weights=weights)[0].difference == 0.5


def test_the_seed_decides_and_other_comparisons_do_not():
    differences = generator(4, "test").normal(0.05, 1, (300, 3))
    groups = np.arange(300) // 3
    table = paired_tests(differences, groups, seed=1)
    assert table == paired_tests(differences, groups, seed=1)
    assert table != paired_tests(differences, groups, seed=2)
    alone = paired_tests(differences[:, 1:2], groups, seed=1)
    assert alone[0].p_value == table[1].p_value


def test_very_many_groups_are_tied_together_and_the_outcome_stays(monkeypatch):
    differences = generator(5, "test").normal(0.04, 1, (4000, 1))
    (every,) = paired_tests(differences, np.arange(4000))
    monkeypatch.setattr(significance, "_MAX_UNITS", 500)
    units = significance._units(np.arange(4000), seed=0)
    np.testing.assert_array_equal(np.bincount(units), 8)
    (tied,) = paired_tests(differences, np.arange(4000))
    assert tied.difference == every.difference
    assert tied.p_value == pytest.approx(every.p_value, rel=0.5)
    np.testing.assert_allclose(tied.interval, every.interval, atol=0.006)


def test_holm_by_hand():
    # Sorted: .01 x 4, .02 x 3, .03 x 2, .9 x 1; none may fall below the one before it.
    np.testing.assert_allclose(holm(np.array([0.03, 0.01, 0.9, 0.02])), [0.06, 0.04, 0.9, 0.06])
    np.testing.assert_allclose(holm(np.array([0.4, 0.6])), [0.8, 0.8])
    np.testing.assert_allclose(holm(np.array([0.7, 0.7])), [1.0, 1.0])
    assert holm(np.empty(0)).shape == (0,)
    # Two of six: .01 x 6 and .02 x 5.
    np.testing.assert_allclose(holm(np.array([0.02, 0.01]), among=6), [0.1, 0.06])
    np.testing.assert_allclose(holm(np.array([0.01, 0.011]), among=6), [0.06, 0.06])


def test_what_is_picked_by_the_results_is_really_different_in_few_tables_of_equal_models():
    rng = generator(7, "test")
    tables, models, sessions = 300, 8, 60
    alone = together = 0
    for table in range(tables):
        values = rng.normal(size=(sessions, 1)) + rng.normal(size=(sessions, models))
        best = int(values.mean(axis=0).argmax())
        differences = values[:, [best]] - np.delete(values, best, axis=1)
        p_values = permutation_p_values(differences, np.arange(sessions), seed=table, resamples=1999)
        alone += (holm(p_values) < 0.05).any()
        together += (holm(p_values, among=28) < 0.05).any()
    # The best and the worst of eight are far apart by chance alone: of seven comparisons one was picked in hindsight.
    assert alone / tables > 0.07
    assert together / tables < 0.06


def test_sixty_thousand_cases_in_twenty_comparisons_take_a_few_seconds():
    rng = generator(6, "test")
    groups = np.sort(rng.integers(0, 16_000, 60_858))
    differences = rng.choice([-1.0, 0.0, 1.0], (60_858, 20))
    started = time.process_time()
    paired_tests(differences, groups)
    assert time.process_time() - started < 8
