"""Neighbours against a naive search, purity against cases worked by hand."""

import numpy as np
import polars as pl
import pytest
from clouds import cloud, groups

from segue.embeddings import neighbours as module
from segue.embeddings.neighbours import category_purity, neighbours_of, row_of
from segue.errors import ParameterError


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_neighbours_are_those_of_a_naive_search(similarity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = cloud(np.random.default_rng(0).standard_normal((50, 6)))
    monkeypatch.setattr(module, "_CELLS", 350)  # Seven items at once.
    found = neighbours_of(points, 5, similarity)
    vectors = points.directions if similarity == "cosine" else points.vectors
    for row in range(50):
        scores = [(-np.inf if other == row else float(vectors[row] @ vectors[other])) for other in range(50)]
        assert found.rows[row].tolist() == np.argsort(scores)[::-1][:5].tolist()
        np.testing.assert_allclose(found.similarities[row], sorted(scores)[::-1][:5], atol=1e-5)
    some = neighbours_of(points, 5, similarity, of=np.array([7, 3]))
    np.testing.assert_array_equal(some.rows, found.rows[[7, 3]])


def test_there_are_no_more_neighbours_than_other_items() -> None:
    found = neighbours_of(cloud(np.eye(4)), 10)
    assert found.rows.shape == (4, 3)
    assert all(row not in found.rows[row] for row in range(4))


def test_a_vector_of_zeros_is_like_nothing() -> None:
    assert neighbours_of(cloud([[0, 0], [1, 0], [0, 1]]), 2).similarities[0].tolist() == [0, 0]


def test_purity_by_hand() -> None:
    # On a line of directions: a a b | b b a, the two nearest of each are the two others of its half.
    angles = np.array([0, 1, 2, 90, 91, 92]) * np.pi / 180
    points = cloud(np.column_stack([np.cos(angles), np.sin(angles)]))
    found = category_purity(points, pl.Series(list("aabbba")), k=2)
    assert found is not None
    # a: 1/2, a: 1/2, b: 0, b: 1/2, b: 1/2, a: 0; by chance a pair is alike in 2 x 3 x 2 of 6 x 5 cases.
    assert (found.value, found.chance) == (pytest.approx(2 / 6), pytest.approx(12 / 30))
    assert (found.k, found.items, found.categories) == (2, 6, 2)


def test_items_without_a_category_take_no_part() -> None:
    points = groups(per_group=12, count=2)
    kinds = points.items["kind"].to_list()
    with_gaps = pl.Series([None if row % 12 == 0 else kind for row, kind in enumerate(kinds)])
    found = category_purity(points, with_gaps)
    assert found is not None
    assert (found.value, found.items) == (1.0, 22)
    assert category_purity(points, pl.Series([None] * 24, dtype=pl.String)) is None


def test_pure_groups_and_mixed_ones() -> None:
    points = groups()
    pure = category_purity(points, points.items["kind"])
    mixed = category_purity(points, points.items["kind"].shuffle(seed=0))
    assert pure is not None
    assert mixed is not None
    assert pure.value > 0.95
    assert abs(mixed.value - mixed.chance) < 0.05


def test_an_item_is_found_by_id_and_by_name() -> None:
    points = groups()
    assert row_of(points, "103") == row_of(points, "Product 3") == 3
    with pytest.raises(ParameterError, match=r"got 'Product 33x'; did you mean 'Product 33' \(133\)[,?]"):
        row_of(points, "Product 33x")
    twins = cloud(np.eye(3), name=["pan", "pan", "105"])
    assert row_of(twins, "102") == 2
    with pytest.raises(ParameterError, match=r"'pan' is the name of 2; give an id \(100, 101\)"):
        row_of(twins, "pan")
