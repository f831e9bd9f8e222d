"""Chains and rules over baskets: worked by hand, and against a naive loop over baskets."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest
from chains import Task, markov_chain, sessions
from contract import ModelContract

from segue.data.sessions import Prefixes, Sessions
from segue.errors import ParameterError
from segue.evaluation.ranking import top_k
from segue.models.markov import Markov
from segue.models.sequential_rules import SequentialRules

Log = Sequence[Sequence[Sequence[int]]]
"""Sessions of baskets of items."""


def in_pairs() -> Task:
    """The events of a chain, of which every two have one time."""
    task = markov_chain()
    assert task.train.times is not None
    return replace(task, train=replace(task.train, times=task.train.times // 120))


class TestBasketMarkov(ModelContract):
    model = Markov
    parameters: ClassVar = {"baskets": True, "smoothing": 2.0}
    make_task = staticmethod(markov_chain)


class TestBasketRules(ModelContract):
    model = SequentialRules
    parameters: ClassVar = {"baskets": True}
    make_task = staticmethod(markov_chain)


def basket_log(log: Log, n_items: int) -> Sessions:
    """Encode sessions of baskets; a session may begin at the time at which the one before has ended."""
    flat = sessions([[item for basket in session for item in basket] for session in log], n_items)
    clock = [number for session in log for number, basket in enumerate(session) for _ in basket]
    return replace(flat, times=np.array(clock, dtype=np.int64))


def after(*running: Sequence[Sequence[int]]) -> Prefixes:
    """Encode running sessions of baskets."""
    log = basket_log(running, 99)
    return replace(log.as_prefixes(), vocabulary=None)


HAND: Log = [[[1, 2], [3], [1, 3]], [[1], [2, 3]]]


def test_a_chain_over_baskets_is_the_mean_over_the_items_of_the_last_one() -> None:
    model = Markov(baskets=True, smoothing=0).fit(basket_log(HAND, 3))
    expected = [[0, 0, 1 / 4, 1], [0, 1, 0, 1], [0, 0, 1 / 2, 1], [0, 0, 1 / 2, 1]]
    found = model.score(after([[3], [1, 2]], [[3]], [[2], [1]], [[2], [1, 1]])).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # Without times the last event is the last basket.
    np.testing.assert_allclose(model.score(Prefixes.from_lists([[1, 2]])).numpy(), [[0, 0, 0, 1]], rtol=1e-6)


def test_smoothing_adds_baskets_of_one_item_by_popularity() -> None:
    model = Markov(baskets=True, smoothing=2.0).fit(basket_log(HAND, 3))
    expected = [[0, 0.21875, (1.5 / 4 + 0.5 / 3) / 2, (2.75 / 4 + 1.75 / 3) / 2], [0, 3 / 8, 2 / 8, 3 / 8]]
    np.testing.assert_allclose(model.score(after([[1, 2]], [])).numpy()[:, 1:], np.array(expected)[:, 1:], rtol=1e-6)


def test_rules_over_baskets_count_their_distance_in_baskets() -> None:
    model = SequentialRules(baskets=True).fit(basket_log(HAND, 3))
    expected = [[0, 1 / 2, 1, 5 / 2], [0, 1 / 2, 1 / 2, 2]]
    np.testing.assert_allclose(model.score(after([[1]], [[3], [2, 1]])).numpy(), expected, rtol=1e-6)
    near = SequentialRules(baskets=True, max_distance=1).fit(basket_log(HAND, 3))
    np.testing.assert_allclose(near.score(after([[1]])).numpy(), [[0, 0, 1, 2]], rtol=1e-6)


def random_baskets(n_items: int = 12, n_sessions: int = 60) -> Log:
    rng = np.random.default_rng(4)
    return [
        [rng.integers(1, n_items + 1, rng.integers(1, 5)).tolist() for _ in range(rng.integers(1, 6))]
        for _ in range(n_sessions)
    ]


def naive_chain(log: Log, last: Sequence[int], n_items: int) -> list[Fraction]:
    """Equation 4 of Rendle et al. 2010, and the mean over the last basket."""
    steps = [(set(before), set(then)) for session in log for before, then in itertools.pairwise(session)]
    scores = [Fraction(0)] * (n_items + 1)
    for item in set(last):
        left = [then for before, then in steps if item in before]
        for other in range(1, n_items + 1):
            if left:
                scores[other] += Fraction(sum(other in then for then in left), len(left) * len(set(last)))
    return scores


def naive_rules(log: Log, last: Sequence[int], n_items: int) -> list[Fraction]:
    scores = [Fraction(0)] * (n_items + 1)
    for session in log:
        for y, then in enumerate(session):
            for x in range(max(0, y - 3), y):
                for _before in set(session[x]) & set(last):
                    for other in set(then):
                        scores[other] += Fraction(1, (y - x) * len(set(last)))
    return scores


@pytest.mark.parametrize("kind", [Markov, SequentialRules])
def test_scores_and_lists_equal_a_naive_loop_over_baskets(kind: type[Markov] | type[SequentialRules]) -> None:
    log, n_items = random_baskets(), 12
    naive = naive_chain if kind is Markov else naive_rules
    given = {"smoothing": 0.0} if kind is Markov else {"max_distance": 3}
    model = kind(baskets=True, **given).fit(basket_log(log, n_items))
    running = [session[: 1 + number % len(session)] for number, session in enumerate(log)]
    found = model.score(after(*running))
    expected = [naive(log, session[-1], n_items) for session in running]
    np.testing.assert_allclose(found.numpy(), np.array(expected, dtype=float), rtol=1e-5, atol=1e-7)
    listed, _ = model.top_k(after(*running), 6)
    np.testing.assert_array_equal(listed, top_k(found, 6, order=model.vocabulary.order)[0])


@pytest.mark.parametrize("parameters", [{"smoothing": 1.5, "decay_days": 3.0}, {"smoothing": 0.0}])
def test_baskets_of_one_event_are_the_chain_over_events(parameters: dict[str, float]) -> None:
    task = markov_chain()
    one, other = (Markov(baskets=baskets, **parameters).fit(task.train) for baskets in (False, True))
    some = task.cases.prefixes[:50]
    assert np.array_equal(one.score(some).numpy(), other.score(some).numpy())


def test_baskets_make_a_difference_where_events_share_a_time() -> None:
    task = in_pairs()
    one, other = (Markov(baskets=baskets).fit(task.train) for baskets in (False, True))
    assert not np.array_equal(one.arrays()["neighbours"], other.arrays()["neighbours"])


def test_what_baskets_need_is_said() -> None:
    log = replace(basket_log(HAND, 3), times=None)
    for model in (Markov(baskets=True), SequentialRules(baskets=True)):
        with pytest.raises(ParameterError) as caught:
            model.fit(log)
        assert str(caught.value) == (
            f"{model.name}.baskets: needs a log with times and this one has none, got true; leave it out"
        )
    with pytest.raises(ParameterError, match=r"markov.history_weight: .* with baskets=true"):
        Markov(baskets=True, history_weight=0.1)
