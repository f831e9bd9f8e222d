"""Generated logs with a known best answer; drawn from uniform doubles, so that a seed means the same everywhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from segue.data.cases import Cases
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.models.base import Model

SECONDS_BETWEEN_SESSIONS = 6 * 3600


@dataclass(frozen=True)
class Task:
    """A log to learn from, and how well its rule can be known.

    Attributes:
        train: the training sessions.
        cases: the test cases, from the same rule.
        k: length of the lists that are judged.
        optimum: hit@k on ``cases`` of someone who knows the rule.
    """

    train: Sessions
    cases: Cases
    k: int
    optimum: float


def hit_rate(model: Model, task: Task) -> float:
    """Return hit@k on the cases of a task; ties count against the model."""
    scores = model.score(task.cases.prefixes)[:, 1:]
    target = scores[np.arange(len(task.cases)), task.cases.targets - 1][:, None]
    return ((scores >= target).sum(dim=1) <= task.k).double().mean().item()


def sessions(lists: Sequence[Sequence[int]], n_items: int, *, times: bool = True) -> Sessions:
    """Encode sessions of item indices 1..n_items; item index j has the raw id 100 + j, a session ends every 6 hours."""
    items = np.concatenate([np.asarray(one, dtype=np.int32) for one in lists])
    offsets = np.cumsum([0, *(len(one) for one in lists)]).astype(np.int64)
    counts = np.bincount(items, minlength=n_items + 1)[1:]
    table = pl.DataFrame({"item": np.arange(101, 101 + n_items), "support": counts.astype(np.int64)})
    owner = np.repeat(np.arange(len(lists)), np.diff(offsets))
    to_end = offsets[owner + 1] - 1 - np.arange(len(items))
    seconds = (owner + 1) * SECONDS_BETWEEN_SESSIONS - 60 * to_end
    return Sessions(items, offsets, seconds.astype(np.int64) if times else None, Vocabulary(table))


def prefixes(*lists: Sequence[int]) -> Prefixes:
    """Encode current sessions of item indices."""
    return Prefixes.from_lists([np.asarray(one, dtype=np.int32) for one in lists])


def _split(lists: list[list[int]], n_items: int) -> tuple[Sessions, Sessions]:
    cut = len(lists) * 3 // 4
    return sessions(lists[:cut], n_items), sessions(lists[cut:], n_items)


def _below(rng: np.random.Generator, n: int) -> int:
    return int(rng.random() * n)


def every_next(log: Sessions) -> Cases:
    """Every event after the first of each session is to be predicted from all before it."""
    targets = np.setdiff1d(np.arange(len(log.items)), log.offsets)
    groups = np.searchsorted(log.offsets, targets, side="right") - 1
    prefixes = log.prefixes(log.offsets[groups], targets)
    return Cases(prefixes, log.items[targets], groups)


def last_event(log: Sessions) -> Cases:
    """The last event of each session is to be predicted from all before it."""
    cases = every_next(log)
    return cases[np.flatnonzero(np.isin(cases.prefixes.ends + 1, log.offsets))]


def _log(one: Callable[[np.random.Generator], list[int]], n_sessions: int, seed: int) -> list[list[int]]:
    rng = np.random.Generator(np.random.PCG64(seed))
    return [one(rng) for _ in range(n_sessions)]


def markov_chain(n_items: int = 30, n_sessions: int = 800, length: int = 8, certainty: float = 0.8) -> Task:
    """Every item has one best next item, taken with probability ``certainty``, else any item follows."""
    following = [0, *(item % n_items + 1 for item in range(1, n_items + 1))]

    def one(rng: np.random.Generator) -> list[int]:
        session = [1 + _below(rng, n_items)]
        while len(session) < length:
            session.append(following[session[-1]] if rng.random() < certainty else 1 + _below(rng, n_items))
        return session

    train, test = _split(_log(one, n_sessions, seed=1), n_items)
    cases = every_next(test)
    last = test.items[cases.prefixes.ends - 1]
    return Task(train, cases, k=1, optimum=float(np.mean(np.array(following)[last] == cases.targets)))


def blocks(n_blocks: int = 6, size: int = 5, n_sessions: int = 800, certainty: float = 0.9) -> Task:
    """A session stays inside one block of items; its last event leaves the block now and then."""
    n_items = n_blocks * size

    def one(rng: np.random.Generator) -> list[int]:
        first = 1 + size * _below(rng, n_blocks)
        shuffled = sorted(range(first, first + size), key=lambda _: rng.random())
        return [*shuffled[:3], shuffled[3] if rng.random() < certainty else 1 + _below(rng, n_items)]

    train, test = _split(_log(one, n_sessions, seed=2), n_items)
    cases = last_event(test)
    block = (test.items[cases.prefixes.ends - 1] - 1) // size
    return Task(train, cases, k=size, optimum=float(np.mean(block == (cases.targets - 1) // size)))


def skewed(n_items: int = 30, n_sessions: int = 800, length: int = 5) -> Task:
    """Events know nothing of each other; item j is drawn with a probability that falls geometrically."""
    weights = 0.8 ** np.arange(n_items)
    edges = np.cumsum(weights / weights.sum())

    def one(rng: np.random.Generator) -> list[int]:
        return [1 + min(n_items - 1, int(np.searchsorted(edges, rng.random()))) for _ in range(length)]

    train, test = _split(_log(one, n_sessions, seed=3), n_items)
    cases = every_next(test)
    return Task(train, cases, k=5, optimum=float(np.mean(cases.targets <= 5)))


def favourites(n_items: int = 30, n_sessions: int = 400, length: int = 12, certainty: float = 0.7) -> Task:
    """Every session has one item that it comes back to."""

    known: list[int] = []

    def one(rng: np.random.Generator) -> list[int]:
        favourite = 1 + _below(rng, n_items)
        known.append(favourite)
        return [favourite if rng.random() < certainty else 1 + _below(rng, n_items) for _ in range(length)]

    train, test = _split(_log(one, n_sessions, seed=4), n_items)
    cases = last_event(test)
    favourite = np.array(known[-len(test) :])[cases.groups]
    return Task(train, cases, k=1, optimum=float(np.mean(favourite == cases.targets)))


def browsing(n_items: int = 60, n_sessions: int = 400, seed: int = 5) -> tuple[Sessions, list[list[int]]]:
    """A log with repeats, long and short sessions and popular items; and current sessions to score."""

    def one(rng: np.random.Generator) -> list[int]:
        session = [1 + int(n_items * rng.random() ** 2)]
        while len(session) < 14 and rng.random() < 0.8:
            near = (session[-1] + _below(rng, 7) - 3) % n_items + 1
            session.append(session[_below(rng, len(session))] if rng.random() < 0.2 else near)
        return session

    lists = _log(one, n_sessions + 100, seed)
    return sessions(lists[:n_sessions], n_items), lists[n_sessions:]
