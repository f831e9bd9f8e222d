"""Planted flaws of each kind are found, good vectors pass; components against numpy, scipy and hand-worked cases."""

import numpy as np
import polars as pl
import pytest
from clouds import cloud, groups
from scipy.stats import spearmanr

from segue.embeddings.diagnostics import (
    Diagnostics,
    PrincipalComponents,
    diagnose,
    mean_cosine,
    principal_components,
    rank_correlations,
    repeated_share,
)
from segue.embeddings.vectors import ItemVectors

RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((300, 16))


def measured(points: ItemVectors) -> Diagnostics:
    return diagnose(points, principal_components(points))


def said(points: ItemVectors) -> list[str]:
    return [warning.split(":")[0] for warning in measured(points).warnings()]


@pytest.mark.parametrize(
    "points",
    [
        groups(),
        groups(per_group=50, count=12, width=64, noise=0.8),
        groups(width=2),
        cloud(groups().vectors * np.random.default_rng(1).lognormal(size=(120, 1))),
        cloud(groups().vectors + 0.5),
    ],
    ids=["groups", "many", "plane", "lengths by popularity", "a common part"],
)
def test_nothing_is_said_of_a_cloud_of_groups(points: ItemVectors) -> None:
    assert said(points) == []


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_vectors_that_all_point_the_same_way_are_collapsed(size: float) -> None:
    points = cloud(size * (10 + groups().vectors))
    assert said(points) == ["collapsed vectors"]
    assert measured(points).mean_cosine > 0.95


def test_a_line_is_collapsed() -> None:
    line = np.outer(np.repeat([-3, -1, 1, 3], 30) + 0.1 * RNG.standard_normal(120), RNG.standard_normal(16))
    assert "collapsed vectors" in said(cloud(line + 0.05 * RNG.standard_normal((120, 16))))


@pytest.mark.parametrize(
    "vectors",
    [
        NOISE,
        NOISE * np.linspace(0.2, 3, 16),
        NOISE + 0.5,
        RNG.standard_normal((2500, 32)),
        NOISE * np.arange(1, 301)[:, None],
    ],
    ids=["round", "stretched", "moved", "large", "lengths by popularity"],
)
def test_noise_has_no_structure(vectors: np.ndarray) -> None:
    assert said(cloud(vectors)) == ["no structure"]


def test_few_items_have_no_neighbourhoods_to_judge() -> None:
    assert measured(cloud(NOISE[:49])).neighbour_distance_ratio is None
    assert said(cloud(NOISE[:49])) == []


@pytest.mark.parametrize(
    "points", [np.round(groups().vectors), np.round(4 * groups().vectors) / 4], ids=["whole numbers", "quarters"]
)
def test_rounded_vectors_are_quantised(points: np.ndarray) -> None:
    assert said(cloud(points)) == ["quantised vectors"]


def test_copied_vectors_are_quantised() -> None:
    assert "quantised vectors" in said(cloud(np.repeat(NOISE[:60], 3, axis=0)))


def test_equal_vectors_are_collapsed_whatever_they_are() -> None:
    assert said(cloud(np.ones((60, 4)))) == ["collapsed vectors", "quantised vectors"]
    assert said(cloud(np.zeros((60, 4)))) == ["quantised vectors"]


def test_the_mean_cosine_is_that_of_all_pairs() -> None:
    points = cloud(NOISE[:9])
    cosines = points.unit_vectors @ points.unit_vectors.T
    assert mean_cosine(points) == pytest.approx(cosines[~np.eye(9, dtype=bool)].mean(), abs=1e-6)


def test_repeated_coordinates_by_hand() -> None:
    # Column by column 2 of 4, 0 of 4 and 4 of 4 numbers are shared.
    rows = np.array([[1, 1, 5], [1, 2, 5], [2, 3, 6], [3, 4, 6]], dtype=np.float32)
    assert repeated_share(rows) == 0.5


def of_shares(*shares: float) -> PrincipalComponents:
    return PrincipalComponents(np.array(shares), np.zeros(len(shares)), np.zeros((3, 2)))


def test_shares_are_those_of_the_covariance() -> None:
    points = groups()
    found = principal_components(points)
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
    assert principal_components(points).flagged == []
    assert principal_components(cloud(planted)).flagged == [0]


def test_equal_vectors_have_no_variance() -> None:
    found = principal_components(cloud(np.ones((5, 3))))
    assert (found.shares.tolist(), found.effective_rank, found.flagged) == ([0, 0, 0], 1.0, [])


def test_vectors_of_one_number_have_one_component() -> None:
    found = principal_components(cloud(np.arange(5.0)[:, None]))
    assert found.shares.tolist() == [1.0]
    assert found.points[:, 1].tolist() == [0] * 5


def test_support_may_be_the_same_for_all() -> None:
    points = groups()
    same = type(points)(points.vectors, points.items.with_columns(support=pl.lit(3)))
    assert principal_components(same).flagged == []
