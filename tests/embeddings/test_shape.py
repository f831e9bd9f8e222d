"""Planted clouds of each kind are told, and good ones are not."""

import numpy as np
import pytest
from clouds import cloud, groups

from segue.embeddings.cloud import Cloud
from segue.embeddings.shape import Shape, mean_cosine, repeated_share, shape_of
from segue.embeddings.variance import variance_of

RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((300, 16))


def measured(points: Cloud) -> Shape:
    return shape_of(points, variance_of(points))


def said(points: Cloud) -> list[str]:
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
def test_nothing_is_said_of_a_cloud_of_groups(points: Cloud) -> None:
    assert said(points) == []


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_vectors_that_all_point_the_same_way_are_collapsed(size: float) -> None:
    points = cloud(size * (10 + groups().vectors))
    assert said(points) == ["collapsed cloud"]
    assert measured(points).mean_cosine > 0.95


def test_a_line_is_collapsed() -> None:
    line = np.outer(np.repeat([-3, -1, 1, 3], 30) + 0.1 * RNG.standard_normal(120), RNG.standard_normal(16))
    assert "collapsed cloud" in said(cloud(line + 0.05 * RNG.standard_normal((120, 16))))


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
def test_noise_is_shapeless(vectors: np.ndarray) -> None:
    assert said(cloud(vectors)) == ["shapeless cloud"]


def test_few_items_have_no_neighbourhoods_to_judge() -> None:
    assert measured(cloud(NOISE[:49])).neighbour_distance is None
    assert said(cloud(NOISE[:49])) == []


@pytest.mark.parametrize(
    "points", [np.round(groups().vectors), np.round(4 * groups().vectors) / 4], ids=["whole numbers", "quarters"]
)
def test_rounded_vectors_are_a_grid(points: np.ndarray) -> None:
    assert said(cloud(points)) == ["grid-like cloud"]


def test_copied_vectors_are_a_grid() -> None:
    assert "grid-like cloud" in said(cloud(np.repeat(NOISE[:60], 3, axis=0)))


def test_equal_vectors_are_collapsed_whatever_they_are() -> None:
    assert said(cloud(np.ones((60, 4)))) == ["collapsed cloud", "grid-like cloud"]
    assert said(cloud(np.zeros((60, 4)))) == ["grid-like cloud"]


def test_the_mean_cosine_is_that_of_all_pairs() -> None:
    points = cloud(NOISE[:9])
    cosines = points.directions @ points.directions.T
    assert mean_cosine(points) == pytest.approx(cosines[~np.eye(9, dtype=bool)].mean(), abs=1e-6)


def test_repeated_coordinates_by_hand() -> None:
    # Column by column 2 of 4, 0 of 4 and 4 of 4 numbers are shared.
    rows = np.array([[1, 1, 5], [1, 2, 5], [2, 3, 6], [3, 4, 6]], dtype=np.float32)
    assert repeated_share(rows) == 0.5
