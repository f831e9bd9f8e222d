"""Items that a caller allows or excludes in ``recommend``, by id or by name."""

import polars as pl
import pytest

import segue
from segue.errors import ParameterError


@pytest.fixture(scope="module")
def model() -> segue.Model:
    rows = [(session, item) for session in range(30) for item in (1, 2, 3 + session % 3)]
    log = pl.DataFrame(rows, schema=["session", "item"], orient="row").with_row_index("time", 1_700_000_000)
    names = ["Frying pan", "Glass lid, 24 cm", "Whisk", "Ladle", "Kettle"]
    items = pl.DataFrame({"item": range(1, 6), "name": names})
    return segue.Markov().fit(segue.prepare(segue.read(log, items=items), "session-next", split="ratio").train)


def test_names_and_ids_are_the_same(model: segue.Model) -> None:
    every = model.recommend(["Glass lid, 24 cm"], 5).items
    assert model.recommend([2], 2, allowed=["Ladle", 5, "1"]).items == [item for item in every if item in (1, 4, 5)][:2]
    assert model.recommend([2], 5, exclude=["whisk", "Kettle"]).items == [item for item in every if item not in (3, 5)]
    assert model.recommend([2], 5, allowed=[3, 4, 5], exclude=[4], exclude_seen=True).items == [
        item for item in every if item in (3, 5)
    ]
    assert model.recommend([2], 5, allowed=[]).items == []


def test_filters_hold_for_the_most_popular_items_too(model: segue.Model) -> None:
    first, second = model.recommend([[], ["Ladle"]], 5, allowed=["Whisk", "Glass lid, 24 cm"])
    assert (first.items, first.source) == ([2, 3], "popularity")
    assert sorted(second.items) == [2, 3]


@pytest.mark.parametrize("name", ["allowed", "exclude"])
def test_an_unknown_item_is_not_passed_over(model: segue.Model, name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        model.recommend([2], 3, **{name: [1, "Frying pn"]})
    assert str(caught.value) == (
        f"{name}: must hold ids or names of known items, got 'Frying pn'; did you mean 'Frying pan' (1)?"
    )
    with pytest.raises(ParameterError, match=rf"{name}: must hold ids .* got 99; leave it out"):
        model.recommend([2], 3, **{name: [99]})
    with pytest.raises(ParameterError, match=rf"{name}: must be a list of item ids or names, got 'Whisk'; write"):
        model.recommend([2], 3, **{name: "Whisk"})
