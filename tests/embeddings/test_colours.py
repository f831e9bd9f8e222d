"""Columns become colours as the features of a network become inputs."""

import numpy as np
import pytest
from clouds import cloud, groups

from segue.embeddings.colours import MAX_CATEGORIES, CategoricalColours, NumericColours, colours_of
from segue.errors import ParameterError


def coloured(values: list, color: str = "tag") -> CategoricalColours | NumericColours:
    return colours_of(cloud(np.zeros((len(values), 2)), tag=values), color)


def test_popularity_has_a_logarithmic_scale() -> None:
    found = colours_of(groups(), "popularity")
    assert isinstance(found, NumericColours)
    assert found.logarithmic
    assert found.values[:3].tolist() == [1, 2, 3]


def test_text_and_integers_are_categories_and_decimals_numbers() -> None:
    assert isinstance(coloured(["a", "b"]), CategoricalColours)
    assert isinstance(coloured([1, 2]), CategoricalColours)
    assert isinstance(coloured([True, False]), CategoricalColours)
    assert isinstance(coloured([1.5, 2.5]), NumericColours)
    assert isinstance(coloured([1.5, 2.5], "tag:category"), CategoricalColours)
    years = coloured(["1995", "1970", "unknown", None], "tag:number")
    assert isinstance(years, NumericColours)
    np.testing.assert_array_equal(years.values, [1995, 1970, np.nan, np.nan])
    assert years.notes == ("tag: 1 values are not numbers and are shown as not known",)


def test_the_most_frequent_categories_come_first() -> None:
    found = coloured(["b", "c", "a", "c", "", None, "a "])
    assert isinstance(found, CategoricalColours)
    assert found.shown == ("a", "c", "b")
    assert found.legend == ["a", "c", "b", "not known"]
    assert found.codes.tolist() == [2, 1, 0, 1, 4, 4, 0]


def test_of_too_many_categories_the_rest_is_other() -> None:
    assert len(coloured([f"c{number}" for number in range(MAX_CATEGORIES)]).shown) == MAX_CATEGORIES  # type: ignore[union-attr]
    found = coloured([f"c{number:02}" for number in range(20)])
    assert isinstance(found, CategoricalColours)
    assert found.shown == tuple(f"c{number:02}" for number in range(7))
    assert found.legend[-1] == "other"
    assert found.codes[[0, 6, 7, 19]].tolist() == [0, 6, 7, 7]
    assert found.notes == ("tag: 20 values; only the 7 most frequent have a colour",)


def test_a_category_may_be_called_other() -> None:
    found = coloured(["other"] * 3 + [f"c{number}" for number in range(20)])
    assert isinstance(found, CategoricalColours)
    assert found.legend.count("other") == 2
    assert found.codes[0] == 0


def test_of_several_values_in_a_cell_the_first_one_counts() -> None:
    lists = coloured([["x", "y"], ["z"], []])
    assert isinstance(lists, CategoricalColours)
    assert lists.values.to_list() == ["x", "z", None]
    assert lists.notes == ("tag: coloured by the first value of each list",)
    genres = [f"{one} {two}" for one in "abcdef" for two in "abcdef"]
    found = coloured(genres)
    assert isinstance(found, CategoricalColours)
    assert found.shown == tuple("abcdef")
    assert "the first value before ' '" in found.notes[0]
    whole = coloured(genres, "tag:category")
    assert isinstance(whole, CategoricalColours)
    assert whole.values.to_list() == genres


def test_names_are_not_cut() -> None:
    found = coloured(["Coffee and tea", "Coffee and cake", "Garden"])
    assert isinstance(found, CategoricalColours)
    assert set(found.shown) == {"Coffee and tea", "Coffee and cake", "Garden"}


def test_an_unknown_column_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ParameterError, match=r"color: must be one of popularity, name, kind, price, got 'brand'"):
        colours_of(groups(), "brand")
    with pytest.raises(ParameterError, match=r"color: kind must contain numbers, got none; use kind:category"):
        colours_of(groups(), "kind:number")
