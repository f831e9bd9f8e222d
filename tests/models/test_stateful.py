"""Sessions taken event by event give the answers of sessions that are read whole."""

import numpy as np
import pytest
from chains import markov_chain, prefixes

import segue
from segue.errors import ParameterError, SegueError
from segue.models.recommendation import Stateful

SMALL = {"hidden_size": 16, "training": {"epochs": 2, "batch_size": 32, "loss": {"n_samples": 32}}}
KINDS = {
    "gru": {},
    "lstm, two layers": {"cell": "lstm", "layers": 2},
    "one-hot": {"embedding": "one-hot"},
    "separate": {"embedding": "separate", "embedding_size": 12},
}


@pytest.fixture(scope="module")
def model() -> segue.GRU4Rec:
    return segue.GRU4Rec(**SMALL).fit(markov_chain(n_sessions=200).train)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_equal_those_of_the_whole_sessions(kind: str) -> None:
    model = segue.GRU4Rec(**SMALL, **KINDS[kind]).fit(markov_chain(n_sessions=200).train)
    assert isinstance(model, Stateful)
    lists = np.array([[3, 9, 9, 27], [1, 2, 3, 4], [30, 30, 30, 30]])
    state = model.initial_state(3)
    for length in range(5):
        items, scores = model.top_k_of_state(state, 30)
        expected, values = model.top_k(prefixes(*(row[:length] for row in lists)), 30)
        np.testing.assert_allclose(scores, values, rtol=1e-4, atol=1e-5)
        same = items == expected  # Rounding may swap neighbours whose scores all but agree.
        np.testing.assert_allclose(scores[~same], values[~same], rtol=1e-5, atol=1e-6)
        if length < 4:
            state = model.step(state, lists[:, length])


def test_a_state_is_not_changed_by_what_follows(model: segue.GRU4Rec) -> None:
    before = model.step(model.initial_state(), np.array([3]))
    items, scores = model.top_k_of_state(before, 10)
    for item in range(1, 30):
        model.step(before, np.array([item]))
    again, values = model.top_k_of_state(before, 10)
    np.testing.assert_array_equal(again, items)
    np.testing.assert_array_equal(values, scores)


def test_filters_act_as_on_lists(model: segue.GRU4Rec) -> None:
    state = model.step(model.initial_state(2), np.array([3, 4]))
    allowed, exclude = np.arange(1, 12), [[1, 2], [5]]
    items, _ = model.top_k_of_state(state, 11, allowed=allowed, exclude=exclude)
    expected, _ = model.top_k(prefixes([3], [4]), 11, allowed=allowed, exclude=exclude)
    np.testing.assert_array_equal(items, expected)


def test_mistakes_are_explained(model: segue.GRU4Rec) -> None:
    with pytest.raises(SegueError, match="gru4rec: the model is not fitted"):
        segue.GRU4Rec().initial_state()
    with pytest.raises(ParameterError, match=r"items: must be item indices from 1 to 30, got 31 to 31"):
        model.step(model.initial_state(), np.array([31]))
    with pytest.raises(ParameterError, match="items: must be one item index per session, 1, got 2"):
        model.step(model.initial_state(), np.array([3, 4]))
    with pytest.raises(ParameterError, match="k: must be at least 1, got 0"):
        model.top_k_of_state(model.initial_state(), 0)


def test_models_that_read_windows_are_not_stateful() -> None:
    assert not isinstance(segue.SASRec(), Stateful)
    assert not isinstance(segue.VSKNN(), Stateful)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_joined_and_split(kind: str) -> None:
    model = segue.GRU4Rec(**SMALL, **KINDS[kind]).fit(markov_chain(n_sessions=200).train)
    state = model.step(model.initial_state(3), np.array([3, 4, 5]))
    alone = model.split(state)
    assert len(alone) == 3
    again = model.join([alone[2], model.join(alone[:2])])
    items, scores = model.top_k_of_state(again, 10)
    expected, values = model.top_k_of_state(state, 10)
    np.testing.assert_array_equal(items, expected[[2, 0, 1]])
    np.testing.assert_allclose(scores, values[[2, 0, 1]], rtol=1e-5)
