"""Planted flaws of each kind are found, good vectors pass; components against numpy, scipy and hand-worked cases."""

import numpy as np
import polars as pl
import pytest
from clouds import cloud, groups
from scipy.stats import spearmanr

from segue.embeddings.components import (
    PrincipalComponents,
    principal_components,
    random_plane_share,
    rank_correlations,
)
from segue.embeddings.diagnostics import Diagnostics, diagnose, mean_cosine, repeated_share
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


def smooth(share: float) -> ItemVectors:
    """Return a Gaussian cloud, in which neighbours are no closer than by chance; its first axes decide the category."""
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((1200, 6)) * [3, 2, 1, 1, 1, 1]
    kinds = 2 * (vectors[:, 0] > 0) + (vectors[:, 1] > 0)
    kinds = np.where(rng.random(1200) < share, kinds, rng.integers(4, size=1200))
    names = [f"item {number}" for number in range(1200)]
    return cloud(vectors, name=names, kind=[f"kind {kind}" for kind in kinds], price=rng.random(1200).tolist())


def test_a_smooth_cloud_with_the_right_neighbours_is_not_called_shapeless() -> None:
    found = measured(smooth(1.0))
    assert found.neighbour_distance_ratio is not None
    assert found.neighbour_distance_ratio > 0.97
    assert list(found.warnings()) == []
    (note,) = found.notes()
    assert note.startswith(f"smooth cloud: neighbours are {found.neighbour_distance_ratio:.2f} times as far away as")
    assert found.neighbours is not None
    assert found.neighbours.column == "kind"
    assert note.endswith(
        f"but neighbours are right: {found.neighbours.purity.value:.2f} of the 10 nearest share their kind (by chance "
        f"{found.neighbours.purity.chance:.2f})"
    )
    assert found.neighbours.purity.value > 0.6
    assert found.neighbours.purity.chance == pytest.approx(0.25, abs=0.01)


def test_a_smooth_cloud_with_the_wrong_neighbours_has_no_structure() -> None:
    found = measured(smooth(0.0))
    assert list(found.notes()) == []
    (warning,) = found.warnings()
    assert warning.startswith("no structure: neighbours are ")
    assert f"and {found.neighbours.purity.value:.2f} of the 10 nearest share their kind, by chance 0.25" in warning
    assert not found.neighbours.is_right


def test_without_categories_nothing_checks_the_neighbours() -> None:
    found = measured(cloud(NOISE, name=[f"item {number}" for number in range(300)], price=RNG.random(300).tolist()))
    assert found.neighbours is None
    (warning,) = found.warnings()
    assert "the items have no categories to check neighbours by (--items)" in warning


def test_groups_need_no_check_of_their_neighbours() -> None:
    assert measured(groups()).neighbours is None


@pytest.mark.parametrize("shape", [(2000, 64), (500, 128), (5000, 32), (300, 400)])
def test_random_vectors_have_the_share_of_the_plane_that_is_expected(shape: tuple[int, int]) -> None:
    points = cloud(np.random.default_rng(0).standard_normal(shape))
    found = principal_components(points)
    assert found.plane_share == pytest.approx(random_plane_share(*shape), rel=0.06)
    assert found.plane_share < random_plane_share(*shape)  # The edge is reached from below.


def test_the_plane_of_two_numbers_is_all_there_is() -> None:
    assert random_plane_share(1000, 2) == random_plane_share(3, 3) == 1.0
    assert random_plane_share(101, 400) == pytest.approx(2 * 9 / 400)


@pytest.mark.parametrize(("spread", "where"), [(1.0, "below"), (2.2, "within"), (9.0, "above")])
def test_the_remark_on_the_plane_says_what_is_usual(spread: float, where: str) -> None:
    scales = np.ones(64)
    scales[:2] = spread
    found = principal_components(cloud(np.random.default_rng(0).standard_normal((2000, 64)) * scales))
    assert found.plane_remark(64) == (
        f"First two components: {found.plane_share:.1%} of the variance, {where} the 10% to 25% that are usual for "
        "learned vectors, which use many directions at once; 2,000 random vectors of the same width would have "
        "about 4.3%"
    )
