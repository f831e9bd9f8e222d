"""Markov, sequential rules and item-kNN: hand-worked tables, and naive loops over a generated log."""

from collections import defaultdict
from dataclasses import replace
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from chains import blocks, browsing, markov_chain, prefixes, sessions
from contract import ModelContract

from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.evaluation.ranking import top_k
from segue.models.item_knn import ItemKNN
from segue.models.markov import Markov
from segue.models.sequential_rules import SequentialRules


class TestMarkov(ModelContract):
    model = Markov
    make_task = staticmethod(markov_chain)


class TestPersonalMarkov(ModelContract):
    model = Markov
    parameters: ClassVar = {"history_weight": 0.1, "smoothing": 1.0, "decay_days": 90, "n_neighbours": 10}
    make_task = staticmethod(markov_chain)


class TestSequentialRules(ModelContract):
    model = SequentialRules
    make_task = staticmethod(markov_chain)


class TestItemKNN(ModelContract):
    model = ItemKNN
    make_task = staticmethod(blocks)


LOG = [[1, 2, 3], [1, 2], [1, 3, 1]]


def scores(model: Markov | SequentialRules | ItemKNN, *lists: list[int]) -> np.ndarray:
    return model.score(prefixes(*lists)).numpy()


def rows(log: Sessions) -> list[list[int]]:
    return [part.tolist() for part in np.split(log.items, log.offsets[1:-1])]


def test_markov_is_the_share_of_transitions() -> None:
    model = Markov(smoothing=0).fit(sessions(LOG, 3))
    expected = [[0, 0, 2 / 3, 1 / 3], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(scores(model, [1], [3, 2], [3], []), expected, rtol=1e-6)


def test_markov_smooths_towards_popularity() -> None:
    model = Markov(smoothing=2.0).fit(sessions(LOG, 3))
    popularity = np.array([0, 4, 2, 2]) / 8
    expected = [
        (np.array([0, 0, 2, 1]) + 2 * popularity) / 5,
        (np.array([0, 1, 0, 0]) + 2 * popularity) / 3,
        popularity,
    ]
    np.testing.assert_allclose(scores(model, [1], [3], []), expected, rtol=1e-6)


def test_markov_mixes_in_the_running_history_and_backs_off() -> None:
    model = Markov(smoothing=0, history_weight=0.25).fit(sessions(LOG, 3))
    left_before = 0.75 * np.array([0, 0, 2 / 3, 1 / 3]) + 0.25 * np.array([0, 1 / 2, 0, 1 / 2])
    expected = [left_before, [0, 0, 0, 1]]
    np.testing.assert_allclose(scores(model, [1, 3, 1, 1], [1, 2]), expected, rtol=1e-6)


@pytest.mark.parametrize(("times", "parameters"), [(True, {"decay_days": 0.5}), (False, {"decay_share": 2 / 3})])
def test_markov_forgets_old_sessions(times: bool, parameters: dict[str, float]) -> None:
    model = Markov(smoothing=0, **parameters).fit(
        sessions([[1, 2], [2, 1], [1, 3]], 3, times=times)
    )  # Six hours from one to the next.
    old = np.exp(-2 * 0.25 / 0.5)
    np.testing.assert_allclose(scores(model, [1]), [[0, 0, old / (1 + old), 1 / (1 + old)]], rtol=1e-6)


def test_rules_and_co_occurrence_forget_old_sessions() -> None:
    log = sessions([[1, 2], [2, 1], [1, 3]], 3)  # They end 12, 6 and 0 hours before the end of training.
    oldest, older = np.exp(-1), np.exp(-1 / 2)
    rules = SequentialRules(decay_days=0.5).fit(log)
    np.testing.assert_allclose(scores(rules, [1]), [[0, 0, oldest, 1]], rtol=1e-6)
    knn = ItemKNN(decay_days=0.5, damping=0, alpha=0.5).fit(log)
    both = oldest + older  # Sessions that hold 1 and 2, and events on 2.
    expected = [[0, 0, both / np.sqrt((both + 1) * both), 1 / np.sqrt(both + 1)]]
    np.testing.assert_allclose(scores(knn, [1]), expected, rtol=1e-6)


def test_markov_says_what_it_made_of_a_log_without_times() -> None:
    log, timed = sessions([[1, 2]], 2, times=False), sessions([[1, 2]], 2)
    assert Markov(decay_share=0.5).fit(log).notes == (
        "the log has no times, so the rank of a session takes the place of its age",
    )
    assert Markov(decay_days=5).fit(log).notes == ("the log has no times, so all its sessions weigh alike",)
    assert Markov(decay_days=5).fit(timed).notes == Markov().fit(log).notes == ()


def test_sequential_rules_count_later_events_by_distance() -> None:
    log = sessions([[1, 2, 3, 1, 2], [1, 3]], 3)
    expected = [[0, 1 / 3, 1 + 1 / 4 + 1, 1 / 2 + 1]]
    np.testing.assert_allclose(scores(SequentialRules().fit(log), [2, 1]), expected, rtol=1e-6)
    np.testing.assert_allclose(scores(SequentialRules(max_distance=1).fit(log), [1]), [[0, 0, 2, 1]], rtol=1e-6)


def test_only_the_best_successors_are_kept_and_popular_ones_among_equals() -> None:
    log = sessions([[4, 1], [4, 2], [4, 3], [4, 3], [2, 5]], 5)
    assert scores(SequentialRules(n_neighbours=1).fit(log), [4]).tolist() == [[0, 0, 0, 2, 0, 0]]
    assert scores(SequentialRules(n_neighbours=2).fit(log), [4]).tolist() == [[0, 0, 1, 2, 0, 0]]


def test_sequential_rules_equal_a_naive_loop() -> None:
    log, _ = browsing()
    sums: dict[tuple[int, int], float] = defaultdict(float)
    for session in rows(log):
        for y, after in enumerate(session):
            for x in range(max(0, y - 4), y):
                sums[session[x], after] += 1 / (y - x)
    expected = np.zeros((61, 61))
    for (before, after), value in sums.items():
        expected[before, after] = value
    model = SequentialRules(max_distance=4).fit(log)
    np.testing.assert_allclose(scores(model, *([item] for item in range(1, 61))), expected[1:], rtol=1e-6)


@pytest.mark.parametrize(("damping", "alpha"), [(0.0, 0.5), (20.0, 0.5), (3.0, 0.2), (0.0, 1.0)])
def test_item_knn_equals_a_naive_loop(damping: float, alpha: float) -> None:
    log, _ = browsing()
    together, support = np.zeros((61, 61)), np.bincount(log.items, minlength=61)
    for session in rows(log):
        for item in session:
            for other in set(session) - {item}:
                together[item, other] += 1
    support = np.maximum(support, 1) + damping
    expected = together / np.outer(support**alpha, support ** (1 - alpha))
    model = ItemKNN(damping=damping, alpha=alpha).fit(log)
    np.testing.assert_allclose(scores(model, *([item] for item in range(1, 61))), expected[1:], rtol=1e-6)


def test_item_knn_keeps_the_most_similar_not_the_most_frequent() -> None:
    log = sessions([[1, 2], [1, 2], [2, 4], [2, 5], [2, 4], [2, 5], [1, 3]], 5)
    assert np.flatnonzero(scores(ItemKNN(n_neighbours=1, damping=0, alpha=0).fit(log), [1])[0]).tolist() == [3]


def test_bounds_are_named_together() -> None:
    with pytest.raises(ParameterError) as error:
        ItemKNN(alpha=1.5, damping=-1)
    assert "item-knn.alpha: must be less than or equal to 1, got 1.5" in str(error.value)
    assert "item-knn.damping: must be greater than or equal to 0, got -1" in str(error.value)


def test_lists_follow_the_scores_where_the_catalogue_is_more_popular_elsewhere() -> None:
    """The support of the vocabulary, which orders equal scores, is not what the model has counted."""
    log, running = browsing()
    support = log.vocabulary.support[:0:-1]
    other = Vocabulary(log.vocabulary.table.with_columns(support=pl.Series(support)))
    for model in (Markov(smoothing=0), Markov(smoothing=0.3), SequentialRules(), ItemKNN()):
        fitted = model.fit(replace(log, vocabulary=other))
        expected, _ = top_k(fitted.score(prefixes(*running)), 20, order=other.order)
        np.testing.assert_array_equal(fitted.top_k(prefixes(*running), 20)[0], expected)
