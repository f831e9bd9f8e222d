"""Principal components against numpy and cases worked by hand."""

import numpy as np
import polars as pl
import pytest
from clouds import cloud, groups
from scipy.stats import spearmanr

from segue.embeddings.variance import Variance, rank_correlations, variance_of


def of_shares(*shares: float) -> Variance:
    return Variance(np.array(shares), np.zeros(len(shares)), np.zeros((3, 2)))


def test_shares_are_those_of_the_covariance() -> None:
    points = groups()
    found = variance_of(points)
    widths = np.linalg.eigvalsh(np.cov(points.vectors.astype(np.float64).T))[::-1]
    np.testing.assert_allclose(found.shares, widths / widths.sum(), atol=1e-9)
    np.testing.assert_allclose(found.points.var(0, ddof=1), widths[:2], rtol=1e-6)
    assert found.cumulative[-1] == pytest.approx(1)


def test_components_for_half_by_hand() -> None:
    assert of_shares(0.6, 0.4).components_for(0.5) == 1
    assert of_shares(0.3, 0.2, 0.2, 0.2, 0.1).components_for(0.5) == 2
    assert of_shares(0.4, 0.3, 0.3).components_for(0.5) == 2
    assert of_shares(0.0, 0.0).components_for(0.5) == 2


def test_effective_rank_by_hand() -> None:
    assert of_shares(0.25, 0.25, 0.25, 0.25).effective_rank == pytest.approx(4)
    assert of_shares(1.0, 0.0).effective_rank == pytest.approx(1)
    assert of_shares(0.5, 0.25, 0.25).effective_rank == pytest.approx(2**1.5)


def test_rank_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    columns, support = rng.standard_normal((50, 4)), rng.integers(1, 9, 50)
    expected = [spearmanr(column, support).statistic for column in columns.T]
    np.testing.assert_allclose(rank_correlations(columns, support), expected)
    np.testing.assert_allclose(rank_correlations(columns, np.log(support)), expected)
    assert rank_correlations(columns, np.ones(50)).tolist() == [0] * 4


def test_a_component_that_is_popularity_is_flagged() -> None:
    rng = np.random.default_rng(0)
    points = cloud(rng.standard_normal((200, 6)))
    planted = points.vectors.copy()
    planted[:, 0] = 4 * np.log(points.items["support"].to_numpy())
    assert variance_of(points).flagged == []
    assert variance_of(cloud(planted)).flagged == [0]


def test_equal_vectors_have_no_variance() -> None:
    found = variance_of(cloud(np.ones((5, 3))))
    assert (found.shares.tolist(), found.effective_rank, found.flagged) == ([0, 0, 0], 1.0, [])


def test_vectors_of_one_number_have_one_component() -> None:
    found = variance_of(cloud(np.arange(5.0)[:, None]))
    assert found.shares.tolist() == [1.0]
    assert found.points[:, 1].tolist() == [0] * 5


def test_support_may_be_the_same_for_all() -> None:
    points = groups()
    same = type(points)(points.vectors, points.items.with_columns(support=pl.lit(3)))
    assert variance_of(same).flagged == []
