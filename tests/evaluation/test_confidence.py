"""Bootstrap intervals: against the theory of means, and reproducible."""

import time

import numpy as np
import pytest

from segue.evaluation import confidence
from segue.evaluation.confidence import bootstrap_means, interval_of, intervals
from segue.rng import generator


def test_the_spread_of_the_means_is_the_standard_error():
    rng = generator(0, "test")
    values = rng.normal(3.0, 2.0, size=(400, 1))
    means = bootstrap_means(values, np.arange(400), resamples=4000)
    assert means.mean() == pytest.approx(values.mean(), abs=0.01)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_an_interval_holds_the_true_mean_about_95_times_in_100():
    rng = generator(1, "test")
    held = 0
    for experiment in range(200):
        values = rng.binomial(1, 0.3, size=(300, 1)).astype(float)
        low, high = intervals(values, np.arange(300), seed=experiment)[0]
        held += low <= 0.3 <= high
    assert 0.90 <= held / 200 <= 0.99


def test_cases_of_one_session_are_drawn_together():
    values = np.repeat(generator(2, "test").normal(size=100), 25)[:, None]
    groups = np.repeat(np.arange(100), 25)
    alone = np.ptp(intervals(values, np.arange(2500)))
    together = np.ptp(intervals(values, groups))
    # 25 copies of the same number say no more than one of them: the true error is five times the naive one.
    assert together == pytest.approx(5 * alone, rel=0.2)


def test_a_mean_counts_cases_not_sessions():
    values = np.array([[1.0], [0.0], [0.0], [0.0]])
    means = bootstrap_means(values, np.array([7, 9, 9, 9]), resamples=200)
    # Two sessions are drawn of one hit in one case and no hit in three: all hits, one in four, or none.
    assert set(means.ravel()) == {1.0, 0.25, 0.0}


def test_all_metrics_see_the_same_draws():
    column = generator(3, "test").normal(size=50)
    means = bootstrap_means(np.column_stack([column, 2 * column]), np.arange(50))
    np.testing.assert_allclose(means[:, 1], 2 * means[:, 0])


def test_the_seed_decides():
    values = generator(4, "test").normal(size=(50, 2))
    groups = np.arange(50) // 2
    np.testing.assert_array_equal(intervals(values, groups, seed=1), intervals(values, groups, seed=1))
    assert not np.array_equal(intervals(values, groups, seed=1), intervals(values, groups, seed=2))


def test_a_metric_without_spread_has_an_interval_without_width():
    np.testing.assert_allclose(intervals(np.ones((30, 1)), np.arange(30)), [[1, 1]])


def test_sixty_thousand_cases_take_no_noticeable_time():
    values = generator(5, "test").normal(size=(60_000, 10))
    started = time.process_time()
    intervals(values, np.arange(60_000) // 3)
    assert time.process_time() - started < 3


def test_a_weight_counts_a_case_so_many_times():
    rng = generator(6, "test")
    values, weights = rng.normal(size=(40, 1)), rng.integers(1, 4, 40)
    repeated = np.repeat(np.arange(40), weights)
    weighed = bootstrap_means(values, np.arange(40), weights=weights.astype(float))
    np.testing.assert_allclose(weighed, bootstrap_means(values[repeated], repeated))


def test_a_figure_that_is_no_mean_has_an_interval_too():
    values = generator(7, "test").normal(size=(200, 1))
    groups = np.arange(200) // 2
    found = interval_of(lambda times: float((times @ values[:, 0]) / times.sum()), groups, seed=3)
    np.testing.assert_allclose(found, intervals(values, groups, seed=3)[0])
    broken = interval_of(lambda times: np.nan if times[0] else float(times @ values[:, 0]), groups)
    assert np.isfinite(broken).all()


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_the_resamples_are_those_drawn_one_by_one(monkeypatch, block):
    monkeypatch.setattr(confidence, "_BLOCK", block)
    rng = generator(3, "bootstrap")
    expected = [np.bincount(rng.integers(0, 5, 5), minlength=5) for _ in range(11)]
    np.testing.assert_array_equal(list(confidence._draws(5, 3, 11)), expected)
