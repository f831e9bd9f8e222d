"""V-SKNN, STAN and VSTAN: against a naive search through all sessions, and what their options do."""

from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from chains import blocks, browsing, prefixes, sessions
from contract import ModelContract

from segue.data.session_ranges import SessionRange
from segue.data.sessions import SECONDS_PER_DAY, Sessions
from segue.errors import ParameterError
from segue.evaluation.ranking import top_k
from segue.models.neighbours.index import build_index, build_postings, index_range, merge_postings
from segue.models.neighbours.model import NeighbourModel
from segue.models.stan import STAN
from segue.models.v_sknn import VSKNN
from segue.models.vstan import VSTAN


class TestVSKNN(ModelContract):
    model = VSKNN
    make_task = staticmethod(blocks)


class TestVMISKNN(ModelContract):
    model = VSKNN
    parameters: ClassVar = {"idf": "multiply", "sample_size": 50, "k": 20}
    make_task = staticmethod(blocks)


class TestSTAN(ModelContract):
    model = STAN
    parameters: ClassVar = {"age_scale_days": 50}
    make_task = staticmethod(blocks)


class TestVSTAN(ModelContract):
    model = VSTAN
    parameters: ClassVar = {"age_scale_days": 50}
    make_task = staticmethod(blocks)


POSITION = {
    "linear": lambda after, length: max(0, 1 - 0.1 * after),
    "div": lambda after, length: (length - after) / length,
    "quadratic": lambda after, length: ((length - after) / length) ** 2,
    "log": lambda after, length: 1 / np.log10(after + 1.7),
    "same": lambda after, length: 1,
}
MATCH = {
    "linear": lambda after: max(0, 1 - 0.1 * (after + 1)),
    "div": lambda after: 1 / (after + 1),
    "quadratic": lambda after: 1 / (after + 1) ** 2,
    "log": lambda after: 1 / np.log10(after + 2.7),
    "same": lambda after: 1,
}


def naive_v_sknn(log: Sessions, prefix: list[int], model: VSKNN) -> np.ndarray:
    """Compare every session with the prefix, as the definition says."""
    config = model.config
    past = [part.tolist() for part in np.split(log.items, log.offsets[1:-1])]
    left_out = {"nothing": [], "last": prefix[-1:], "session": prefix}[config.leave_out]
    prefix = prefix[-config.max_length :]
    after = {item: len(prefix) - 1 - place for place, item in enumerate(prefix)}
    recent = [number for number in range(len(past) - 1, -1, -1) if set(past[number]) & set(prefix)][
        : config.sample_size
    ]
    weight = {item: POSITION[config.position_decay](d, len(prefix)) for item, d in after.items()}
    latest_first = sorted(after, key=after.__getitem__)
    similarity = {n: sum(weight[item] for item in latest_first if item in past[n]) / len(after) for n in recent}
    scores = np.zeros(len(log.vocabulary) + 1)
    for n in sorted(recent, key=lambda n: (-similarity[n], -n))[: config.k]:
        match = MATCH[config.match_decay](min(after[item] for item in set(past[n]) & set(prefix)))
        for item in set(past[n]):
            rarity = np.log(len(past) / np.sum(log.items == item))
            factor = {"off": 1.0, "add": 1 + config.idf_weight * rarity, "multiply": rarity}[config.idf]
            scores[item] += similarity[n] * match * factor
    scores[left_out] = 0
    return scores


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"k": 5, "sample_size": 12},
        {"position_decay": "div", "match_decay": "div", "max_length": 20},
        {"position_decay": "quadratic", "match_decay": "quadratic", "max_length": 3, "leave_out": "last"},
        {"position_decay": "log", "match_decay": "log", "idf": "add", "idf_weight": 2.0, "leave_out": "session"},
        {"position_decay": "same", "match_decay": "same", "idf": "multiply", "k": 30, "sample_size": 60},
        {"max_length": 3, "leave_out": "session"},
    ],
)
def test_v_sknn_equals_a_naive_search(parameters: dict[str, Any]) -> None:
    log, running = browsing()
    model = VSKNN(**parameters).fit(log)
    scores = model.score(prefixes(*running)).numpy()
    for row, prefix in zip(scores, running, strict=True):
        np.testing.assert_allclose(row, naive_v_sknn(log, prefix, model), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", [VSKNN, STAN, VSTAN])
def test_all_items_of_a_session_are_left_out_however_long_it_is(kind: type[NeighbourModel]) -> None:
    log = sessions([[1, 2, 3, 4]], 4)
    for leave_out, told in (("nothing", [1, 2, 3, 4]), ("last", [1, 2, 4]), ("session", [4])):
        model = kind(max_length=2, leave_out=leave_out).fit(log)
        assert np.flatnonzero(model.score(prefixes([1, 2, 3]))[0].numpy()).tolist() == told


def test_linear_decays_stop_at_zero() -> None:
    log = sessions([[1, 2], [3, 4], [5, 6]], 40)
    model = VSKNN(match_decay="linear", max_length=20).fit(log)
    far, further = [3, *range(10, 19)], [3, *range(10, 20)]  # The match has nine and ten events after it.
    assert not model.score(prefixes(far, further)).any()
    assert model.score(prefixes(far[:-1]))[0, 4] > 0


def test_the_more_recent_of_equal_sessions_is_the_neighbour() -> None:
    model = VSKNN(k=1).fit(sessions([[1, 2], [1, 3], [4, 5]], 5))
    assert np.flatnonzero(model.score(prefixes([1]))[0].numpy()).tolist() == [1, 3]


def test_the_index_drops_sessions_that_can_never_be_neighbours() -> None:
    log = sessions([[1, 2], [1, 3], [1, 2], [1, 2]], 3)
    index, kept, distinct = build_index(log, sample_size=2)
    assert kept.tolist() == [1, 2, 3]
    assert distinct.tolist() == [2, 2, 2, 2]
    assert index["items"].tolist() == [1, 3, 1, 2, 1, 2]
    assert index["offsets"].tolist() == [0, 2, 4, 6]
    assert index["postings"].tolist() == [2, 1, 2, 1, 0]
    assert index["posting_offsets"].tolist() == [0, 0, 2, 4, 5]


@pytest.mark.parametrize("sample_size", [1, 3, 1000])
def test_the_postings_of_ranges_are_those_of_all_sessions(sample_size: int) -> None:
    log, _ = browsing()
    size = len(log.vocabulary) + 1
    *expected, distinct = build_postings(log.items, log.offsets, size, sample_size)
    for cuts in ([0, 1, len(log)], [0, 5, 6, len(log) // 2, len(log)], [*range(len(log) + 1)]):
        parts = []
        for first, last in pairwise(cuts):
            start, end = log.offsets[[first, last]]
            part = SessionRange(log.items[start:end], log.offsets[first : last + 1] - start, first)
            parts.append(index_range(part, size, sample_size))
        for found, whole in zip(merge_postings(parts, size, sample_size), expected, strict=True):
            np.testing.assert_array_equal(found, whole)
        np.testing.assert_array_equal(pl.concat([one["sessions"] for one in parts])["distinct"], distinct)


@pytest.mark.parametrize("kind", [VSKNN, STAN, VSTAN])
def test_threads_change_nothing(kind: type[NeighbourModel], monkeypatch: pytest.MonkeyPatch) -> None:
    log, running = browsing()
    model = kind().fit(log)
    batches = []
    for threads in (1, 3):
        monkeypatch.setattr("torch.get_num_threads", lambda threads=threads: threads)
        batches.append(model.score(prefixes(*running)).numpy())
    np.testing.assert_array_equal(*batches)


def test_stan_by_hand() -> None:
    log = sessions([[1, 2, 3], [4, 1], [2, 1, 2]], 4)  # They end 12, 6 and 0 hours before the end of training.
    model = STAN(position_scale=2.0, age_scale_days=0.5, gap_scale=3.0).fit(log)
    first, last = np.exp(-1 / 2), 1.0
    norm = np.hypot(first, last)
    oldest = (first + last) / (norm * np.sqrt(3)) * np.exp(-1)
    middle = first / (norm * np.sqrt(2)) * np.exp(-1 / 2)
    newest = (first + last) / (norm * np.sqrt(2))
    expected = [
        0,
        oldest * np.exp(-1 / 3) + middle + newest * np.exp(-1 / 3),
        oldest + newest,
        oldest * np.exp(-1 / 3),
        middle * np.exp(-1 / 3),
    ]
    np.testing.assert_allclose(model.score(prefixes([1, 2]))[0].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("age_scale_days", [20.0, 2.0])
def test_neighbours_that_are_very_old_still_vote(age_scale_days: float) -> None:
    """Their weights are e^-125, which float32 takes for 0, or the least that float64 knows."""
    log = sessions([[1, *range(4, 40)], [1, 2, 3], [2, 41, 42], [43, 44]], 44)
    log = replace(log, times=log.times + 2500 * SECONDS_PER_DAY * (log.items > 42))
    running = prefixes([1, 2], [39], [43])
    slow, fast = (STAN(age_scale_days=days).fit(log).score(running) for days in (2000, age_scale_days))
    assert torch.isfinite(fast).all()
    assert torch.equal(fast > 0, slow > 0)
    assert torch.equal(*(scores.argsort(descending=True, stable=True) for scores in (fast, slow)))


@pytest.mark.parametrize("kind", [VSKNN, STAN, VSTAN])
def test_scores_that_float32_hardly_holds_lose_no_item(kind: type[NeighbourModel]) -> None:
    """One decay leaves the neighbours next to nothing, and ties among them are parted by steps of float32."""
    lists = [[1, *range(2 + 3 * number, 5 + 3 * number)] for number in range(4)]
    log = sessions([*lists, [30, 31]], 31)
    for days in (95, 100, 103, 105, 110):
        old = replace(log, times=log.times + days * SECONDS_PER_DAY * (log.items >= 30))
        model = kind(**{"decay_days": 1.0} if kind is VSKNN else {"age_scale_days": 1.0}).fit(old)
        scores = model.score(prefixes([1], [30, 1]))
        expected, _ = top_k(scores, 14, order=log.vocabulary.order)
        np.testing.assert_array_equal(model.top_k(prefixes([1], [30, 1]), 14)[0], expected)
        assert (expected > 0).all()


def test_the_item_of_the_more_similar_session_comes_first_among_equals() -> None:
    """Items 3 and 4 are each in one neighbour that votes alike: 4 is the more popular one, 3 in the recent session."""
    log = sessions([[4, 5], [4, 6], [1, 4], [1, 3]], 6)
    near = VSKNN(match_decay="same").fit(log)
    popular = VSKNN(match_decay="same", tie_order="popularity").fit(log)
    assert near.top_k(prefixes([1]), 3)[0].tolist() == [[1, 3, 4]]
    assert popular.top_k(prefixes([1]), 3)[0].tolist() == [[1, 4, 3]]
    np.testing.assert_allclose(near.score(prefixes([1])), popular.score(prefixes([1])), rtol=1e-6)


def test_arrays_of_another_catalogue_are_refused() -> None:
    log = sessions([[1, 2, 3, 4]], 4)
    with pytest.raises(
        ParameterError, match=r"v-sknn\.posting_offsets: must have the shape \(N\+2\) = \(4\), got \(6\)"
    ):
        VSKNN().restore(VSKNN().fit(log).arrays(), sessions([[1, 2]], 2).vocabulary)


def test_v_sknn_can_weight_sessions_by_age() -> None:
    log = sessions([[1, 2], [1, 3], [1, 4]], 4)  # They end 12, 6 and 0 hours before the end of training.
    scores = VSKNN(decay_days=0.25).fit(log).score(prefixes([1]))[0].numpy()
    np.testing.assert_allclose(scores[2:] / scores[4], np.exp([-2, -1, 0]), rtol=1e-6)
    ranked = VSKNN(decay_share=1 / 3, k=1).fit(sessions([[1, 2], [1, 3], [1, 4]], 4, times=False))
    assert ranked.notes == ("the log has no times, so the rank of a session takes the place of its age",)
    assert np.flatnonzero(ranked.score(prefixes([1]))[0]).tolist() == [1, 4]


def test_vstan_adds_the_match_and_the_idf() -> None:
    log = sessions([[1, 2], [3, 4], [4, 1]], 4)
    parameters: ClassVar = {"position_scale": 2.0, "age_scale_days": 1.0}
    stan = STAN(**parameters).fit(log).score(prefixes([3, 2]))[0].numpy()
    vstan = VSTAN(**parameters, match_scale=4.0, idf_weight=2.0).fit(log).score(prefixes([3, 2]))[0].numpy()
    rarity = 1 + 2.0 * np.log(3 / np.array([1, 2, 1, 1, 2]))
    match = np.array([1, 1, 1, np.exp(-1 / 4), np.exp(-1 / 4)])
    np.testing.assert_allclose(vstan[1:], (stan * match * rarity)[1:], rtol=1e-6)


def test_without_times_the_rank_takes_the_place_of_the_age_and_it_is_said() -> None:
    lists = [[1, 2], [1, 3], [1, 4], [1, 5]]
    ranked = STAN(age_scale_share=0.5).fit(sessions(lists, 5, times=False))
    assert ranked.notes == ("the log has no times, so the rank of a session takes the place of its age",)
    timed = STAN(age_scale_days=0.5).fit(sessions(lists, 5))
    np.testing.assert_allclose(ranked.session_weights, timed.session_weights)  # A quarter of the log, a quarter day.
    assert ranked.fit(sessions(lists, 5)).notes == ()
