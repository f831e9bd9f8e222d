"""What a public function cannot read is refused, not guessed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from chains import markov_chain, prefixes, sessions

import segue
from segue.data.indices import index_lists
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.models.requests import encode_sessions
from segue.protocols.ranking import Ranking
from segue.validation import build

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
    settings = {"hidden_size": 8, "training": {"epochs": 1, "loss": {"n_samples": 8}}}
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
            lambda: recurrent.top_k_of_state(recurrent.initial_state(), 5, allowed=given),
        ],
        "exclude": [
            lambda: model.top_k(asked, 5, exclude=[[1], given]),
            lambda: recurrent.top_k_of_state(recurrent.initial_state(), 5, exclude=[given]),
        ],
        "items": [
            lambda: model.score_items(asked, [given, given]),
            lambda: recurrent.step(recurrent.initial_state(), given),
        ],
        "lists": [lambda: index_lists([[1], given], "lists")],
    }
    for place, some in calls.items():
        for call in some:
            with pytest.raises(ParameterError, match=rf"^{place}: (a mask )?must (be|contain|have) .*got"):
                call()


@pytest.mark.parametrize("given", [[2, 3], {1, 2}, 3, "23", {"a": 1}, iter([[1], [2]]), np.array(3), [[1], 2]])
def test_lists_of_lists_are_needed(model: segue.Popularity, asked: Prefixes, given: Any) -> None:
    with pytest.raises(ParameterError, match=r"^exclude: must"):
        model.top_k(asked, 5, exclude=given)
    with pytest.raises(ParameterError, match=r"^lists: must"):
        index_lists(given, "lists")


@pytest.mark.parametrize("kind", [float, np.uint8, int])
def test_a_mask_holds_truth_values(model: segue.Popularity, asked: Prefixes, kind: type) -> None:
    """Numbers are no mask: read as item indices, ones and zeros would name item 1 alone."""
    column = np.ones(N + 1, dtype=kind)
    for given in (column, column[1:], column[None], column.tolist()):
        with pytest.raises(
            ParameterError, match=r"^allowed: must contain item indices|^allowed: a mask must be of bool"
        ):
            model.top_k(asked, 5, allowed=given)
    assert model.top_k(asked, 5, allowed=column.astype(bool))[0].all()
    with pytest.raises(ParameterError, match=r"^exclude: must contain item indices"):
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
        recurrent.step(recurrent.initial_state(), np.array([7], dtype=kind))
    np.testing.assert_array_equal(
        model.top_k(asked, 3, allowed=pl.Series([1, 2, 3]), exclude=((1,), range(0)))[0], expected
    )
    assert not model.top_k(asked, 3, allowed=[])[0].any()
    assert model.score_items(asked, [[], []]).shape == (2, 0)
    rows = np.array([[1, 2], [3, 4]])
    np.testing.assert_array_equal(
        model.top_k(asked, N, exclude=rows)[0], model.top_k(asked, N, exclude=rows.tolist())[0]
    )
    with pytest.raises(ParameterError, match=rf"^lists: must be item indices from 1 to 2147483647, got {WRAPPED}"):
        Prefixes.from_lists([np.array([WRAPPED])])


@pytest.mark.parametrize("k", [2.5, 5.0, "5", True, None, np.float32(3), np.array([3])])
def test_k_is_an_integer(model: segue.Popularity, recurrent: segue.GRU4Rec, asked: Prefixes, k: Any) -> None:
    calls = [lambda: model.top_k(asked, k), lambda: recurrent.top_k_of_state(recurrent.initial_state(), k)]
    if k is not None:
        calls += [lambda: model.recommend([101], k=k), lambda: segue.why(model, [101], k=k)]
    for call in calls:
        with pytest.raises(ParameterError, match=r"^k: must be an integer, got"):
            call()


@pytest.mark.parametrize(("items", "listed", "explained"), [(3, 3, 3), (7, 7, 5), (30, 10, 5)])
def test_lists_have_their_usual_length_or_that_of_the_catalogue(items: int, listed: int, explained: int) -> None:
    model = segue.Popularity().fit(sessions([[*range(1, items + 1)]], items))
    assert len(model.recommend([101]).items) == len(model.recommend([[]])[0].items) == listed
    assert len(segue.why(model, [101]).items) == explained


@pytest.mark.parametrize("text", ["uni", "pop", "uni0", "uni-5", "full3", "uniTrue", "random", "random7"])
def test_candidates_have_a_known_kind_and_its_size(text: str) -> None:
    with pytest.raises(ParameterError, match=r"^ranking\.candidates: must be full, labeled, uniN or popN .* got"):
        build(Ranking, "ranking", parameters={"candidates": text})


@pytest.mark.parametrize("text", [None, 5, ["full"]])
def test_candidates_are_text(text: Any) -> None:
    with pytest.raises(ParameterError, match=r"^ranking\.candidates: must be text, got"):
        build(Ranking, "ranking", parameters={"candidates": text})
    assert Ranking(candidates="uni7").draw == ("uni", 7)
    assert Ranking(candidates="pop9").draw == ("pop", 9)
    assert Ranking().draw is None


@pytest.mark.parametrize("item", [True, False, np.True_, 1.7, np.float32(2.5), np.inf, -np.inf, np.nan, None, "1_0"])
def test_what_is_no_id_is_unknown(model: segue.Popularity, item: Any) -> None:
    assert Vocabulary.from_items(pl.Series([0, 1, 10])).index([item]) == [0]
    texts = ["True", "1.7", "2.5", "inf", "-inf", "nan", "None"]
    assert Vocabulary.from_items(pl.Series(texts)).index([item]) == [0]
    answer = model.recommend([item], k=3)
    assert answer.source == "popularity"
    assert len(answer.unknown) == 1


def test_whole_numbers_are_ids_of_any_type() -> None:
    numbers, texts = Vocabulary.from_items(pl.Series([1, 20])), Vocabulary.from_items(pl.Series(["1", "20"]))
    for item in (20, 20.0, np.int8(20), np.float64(20), "20"):
        assert (numbers.index([item]), texts.index([item])) == ([2], [2])


@pytest.mark.parametrize(
    "sessions", [[{"a": 1}], [[101], [{"a": 1}]], [[[1], [1, 2]]], [[[1, 2]]], [[101, [102]]], [{1}]]
)
def test_what_cannot_be_an_id_is_refused(model: segue.Popularity, sessions: Any) -> None:
    with pytest.raises(ParameterError, match=r"^sessions: must contain item ids, got .* at \d of a session"):
        model.recommend(sessions, k=3)


@pytest.mark.parametrize("sessions", [np.array("3"), "3", 3, None, {"a": 1}])
def test_sessions_are_a_list(model: segue.Popularity, sessions: Any) -> None:
    with pytest.raises(ParameterError, match=r"^sessions: must be a list of item ids, or a list of such lists"):
        model.recommend(sessions, k=3)
    with pytest.raises(ParameterError, match=r"^items: must be item ids, got \[1\] at 1"):
        model.vocabulary.index([101, [1]])


@pytest.mark.parametrize("raw_id", [1.7, True, np.inf, np.nan, 2**70, "1_0", -(2**63) - 1])
@pytest.mark.parametrize("kind", [pl.Int64, pl.String])
def test_no_session_is_found_by_what_is_no_id(raw_id: Any, kind: Any) -> None:
    sessions = markov_chain(n_sessions=60).train
    keys = pl.DataFrame({"session": pl.Series(range(1, len(sessions) + 1)).cast(kind)})
    sessions = replace(sessions, keys=keys)
    with pytest.raises(ParameterError, match=r"^raw_id: must be the id of one of these"):
        Sessions.find(sessions, raw_id)
    assert [sessions.find(one) for one in (2, 2.0, "2")] == [1, 1, 1]


def told(values: Any, sizes: list[int]) -> list[int]:
    """Return the times that are read of current sessions with so many events."""
    vocabulary = Vocabulary.from_items(pl.Series([1, 2, 3]))
    times = encode_sessions([[1] * size for size in sizes], vocabulary, {"time": values}).times
    assert times is not None
    return times.tolist()


@pytest.mark.parametrize("values", ["20", 20, None, {"a": 1, "b": 2}, np.array(20), {1, 2}, [20]])
def test_several_sessions_have_an_entry_each(values: Any) -> None:
    with pytest.raises(ParameterError, match=r"^context\.time: must contain one entry per session, 2, got"):
        told(values, [1, 1])


@pytest.mark.parametrize("values", [[[[20], [30]]], [np.array([[20], [30]])], [{"a": 1}], [[20, (30, 40)]], [[20]]])
def test_an_event_has_one_value(values: Any) -> None:
    with pytest.raises(ParameterError, match=r"^context\.time: must contain one value per item of each session"):
        told(values, [2])


def test_arrays_are_lists_of_values(model: segue.Popularity) -> None:
    days = np.array(["1970-01-02", "1970-01-03"], dtype="datetime64[ns]")
    for values in (
        [days],
        [pl.Series(days)],
        [list(days)],
        [["1970-01-02", "1970-01-03"]],
        [np.array([86400, 172800])],
    ):
        assert told(values, [2]) == [86400, 172800]
    assert told(np.array([[20, 30], [40, 50]]), [2, 2]) == [20, 30, 40, 50]
    assert told(np.array([20, 30]), [2, 1]) == [20, 20, 30]
    assert told([np.array(20)], [2]) == [20, 20]
    assert told(days, [1, 1]) == [86400, 172800]
    assert told([list(days)], [2]) == [86400, 172800]
    assert len(model.recommend([101, 102], k=3, context={"time": np.array([20, 30])}).items) == 3
    with pytest.raises(ParameterError, match=r"^context: must be values by the name of their column, got 'time'"):
        model.recommend([101], k=3, context="time")


@pytest.mark.parametrize("given", [None, 3, "sasrec", segue.Popularity])
def test_what_is_no_model_neither_teaches_nor_is_a_stage(model: segue.Popularity, given: Any) -> None:
    train = markov_chain(n_sessions=60).train
    with pytest.raises(ParameterError, match=r"^teacher: must be (a model|fitted)"):
        segue.SASRec().learn_from(given, train)
    with pytest.raises(ParameterError, match=r"^retriever: must be a model, got"):
        segue.TwoStage.of(given, model)
    with pytest.raises(ParameterError, match=r"^ranker: must be a model, got"):
        segue.TwoStage.of(model, given)


def test_a_teacher_and_a_stage_are_fitted(model: segue.Popularity) -> None:
    train = markov_chain(n_sessions=60).train
    with pytest.raises(ParameterError, match=r"^teacher: must be fitted, got popularity without"):
        segue.SASRec().learn_from(segue.Popularity(), train)
    with pytest.raises(ParameterError, match=r"^ranker: must be fitted, got sasrec without"):
        segue.TwoStage.of(model, segue.SASRec())
