"""What a public function cannot read is refused, not guessed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from chains import markov_chain, prefixes

import segue
from segue.data.indices import index_lists
from segue.data.sessions import Prefixes
from segue.errors import ParameterError, SegueError

N = 30
LISTS = [[3, 4], [5]]
WRAPPED = 2**32 + 2
"""Item 2 if its upper bits are dropped."""

NO_INDICES: dict[str, Any] = {
    "text": ["3"],
    "decimals": [1.9],
    "whole decimals": [1.0],
    "truth values": [True],
    "a truth value among integers": [2, True],
    "two lists": [[1, 2], [3, 4]],
    "lists of different lengths": [[1], [2, 3]],
    "one text": "3",
    "one number": 3,
    "a set": {1, 2},
    "none": [None],
    "times": np.array(["2026-01-01"], dtype="datetime64[s]"),
    "an object": [object()],
    "a large number": [WRAPPED],
    "a larger number": [2**64 - 1],
    "a number of no type": [2**80],
    "a negative number": [-1],
}


@pytest.fixture(scope="module")
def model() -> segue.Popularity:
    return segue.Popularity().fit(markov_chain(n_sessions=60).train)


@pytest.fixture(scope="module")
def recurrent() -> segue.GRU4Rec:
    settings = {"hidden_size": 8, "training": {"epochs": 1, "n_samples": 8}}
    return segue.GRU4Rec(**settings).fit(markov_chain(n_sessions=60).train)


@pytest.fixture
def asked() -> Prefixes:
    return prefixes(*LISTS)


@pytest.mark.parametrize("kind", NO_INDICES)
def test_what_holds_no_item_indices_is_refused(
    model: segue.Popularity, recurrent: segue.GRU4Rec, asked: Prefixes, kind: str
) -> None:
    given = NO_INDICES[kind]
    calls: dict[str, list[Callable[[], Any]]] = {
        "allowed": [
            lambda: model.top_k(asked, 5, allowed=given),
            lambda: recurrent.answer(recurrent.start(), 5, allowed=given),
        ],
        "exclude": [
            lambda: model.top_k(asked, 5, exclude=[[1], given]),
            lambda: recurrent.answer(recurrent.start(), 5, exclude=[given]),
        ],
        "items": [
            lambda: model.score_items(asked, [given, given]),
            lambda: recurrent.step(recurrent.start(), given),
        ],
        "lists": [lambda: index_lists([[1], given], "lists")],
    }
    for place, some in calls.items():
        for call in some:
            with pytest.raises(ParameterError, match=f"^{place}: (a mask )?must (be|hold|have) .*got"):
                call()


@pytest.mark.parametrize("given", [[2, 3], {1, 2}, 3, "23", {"a": 1}, iter([[1], [2]]), np.array(3), [[1], 2]])
def test_lists_of_lists_are_needed(model: segue.Popularity, asked: Prefixes, given: Any) -> None:
    with pytest.raises(ParameterError, match="^exclude: must"):
        model.top_k(asked, 5, exclude=given)
    with pytest.raises(ParameterError, match="^lists: must"):
        index_lists(given, "lists")


@pytest.mark.parametrize("kind", [float, np.uint8, int])
def test_a_mask_holds_truth_values(model: segue.Popularity, asked: Prefixes, kind: type) -> None:
    """Numbers are no mask: read as item indices, ones and zeros would name item 1 alone."""
    column = np.ones(N + 1, dtype=kind)
    for given in (column, column[1:], column[None], column.tolist()):
        with pytest.raises(ParameterError, match="^allowed: must hold item indices|^allowed: a mask must be of bool"):
            model.top_k(asked, 5, allowed=given)
    assert model.top_k(asked, 5, allowed=column.astype(bool))[0].all()
    with pytest.raises(ParameterError, match=r"^exclude: must hold item indices"):
        model.top_k(asked, 5, exclude=[np.ones(N + 1, dtype=bool)] * 2)


def test_integers_of_any_type_are_taken(model: segue.Popularity, recurrent: segue.GRU4Rec, asked: Prefixes) -> None:
    expected = model.top_k(asked, 3, allowed=[1, 2, 3], exclude=[[1], []])[0]
    for kind in (np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64):
        allowed, exclude = np.array([1, 2, 3], dtype=kind), [np.array([1], dtype=kind), np.zeros(0)]
        np.testing.assert_array_equal(model.top_k(asked, kind(3), allowed=allowed, exclude=exclude)[0], expected)
        np.testing.assert_array_equal(
            model.score_items(asked, np.array([[1, 0], [2, 3]], dtype=kind)),
            model.score_items(asked, [[1, 0], (2, 3)]),
        )
        assert Prefixes.from_lists([np.array([7], dtype=kind), []]).items.tolist() == [7]
        recurrent.step(recurrent.start(), np.array([7], dtype=kind))
    np.testing.assert_array_equal(
        model.top_k(asked, 3, allowed=pl.Series([1, 2, 3]), exclude=((1,), range(0)))[0], expected
    )
    assert not model.top_k(asked, 3, allowed=[])[0].any()
    assert model.score_items(asked, [[], []]).shape == (2, 0)
    np.testing.assert_array_equal(model.top_k(asked, 3, exclude=np.array([[1, 2], [3, 4]]))[0].min(), 1)
    with pytest.raises(ParameterError, match=f"^lists: must be item indices from 1 to 2147483647, got {WRAPPED}"):
        Prefixes.from_lists([np.array([WRAPPED])])


@pytest.mark.parametrize("k", [2.5, 5.0, "5", True, None, np.float32(3), np.array([3])])
def test_k_is_an_integer(model: segue.Popularity, recurrent: segue.GRU4Rec, asked: Prefixes, k: Any) -> None:
    for call in (
        lambda: model.top_k(asked, k),
        lambda: model.recommend([101], k=k),
        lambda: recurrent.answer(recurrent.start(), k),
    ):
        with pytest.raises(ParameterError, match="^k: must be an integer, got"):
            call()
