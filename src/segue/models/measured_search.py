"""Which search to use: each is measured against the exact one, on this machine and this model."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError, UnknownNameError
from segue.models.item_search import SEARCHES, FaissSearch, ItemSearch
from segue.rng import generator

Search = Literal["exact", "int8", "faiss"]
EXACT: Search = "exact"
AUTO = "auto"

LEAST_RECALL = 0.99
"""Least share of the exact top 20 that is accepted."""

_TUNED_RECALL = 0.995
"""Recall for which an index reads more clusters."""

BATCHES = (1, 32)
"""Numbers of sessions for which the searches are timed."""

FAISS_FROM = 100_000
"""Items from which on ``auto`` builds an index of clusters."""

MEASURED_K = 20
"""Length of the lists that are compared."""

_TUNING, _TEST = 128, 256
"""States for choosing the number of clusters to read, and for measuring."""
_ROUNDS, _SECONDS = (3, 15), 1.0

ListItems = Callable[[ItemSearch | None, Float32[Tensor, "B D"]], Int64[np.ndarray, "B k"]]
"""Lists the best items of states by a search; None scores all items."""


@dataclass(frozen=True)
class SearchReport:
    """How the best items are found.

    Attributes:
        search: name of the search.
        speed: for each number of sessions at once, time of exact search divided by that of this search.
        recall: mean share of the exact top 20 that it finds; 1 for exact search.
        reason: why ``auto`` chose exact search.
    """

    search: Search = EXACT
    speed: Mapping[int, float] = field(default_factory=dict)
    recall: float = 1.0
    reason: str | None = None

    def __str__(self) -> str:
        if self.search == EXACT:
            return EXACT if self.reason is None else f"{EXACT} ({self.reason})"
        times = ", ".join(f"{speed:.1f} times as fast for {_sessions(batch)}" for batch, speed in self.speed.items())
        return f"{self.search}: {times}; {self.recall:.4f} of the exact top {MEASURED_K}"

    @property
    def problem(self) -> str | None:
        """Why the search is not accepted."""
        if self.recall < LEAST_RECALL:
            return f"{self.search} finds {self.recall:.3f} of the exact top {MEASURED_K}, less than {LEAST_RECALL}"
        batch, slowest = min(self.speed.items(), key=lambda pair: pair[1])
        if slowest < 1:
            return f"{self.search} is {slowest:.2f} times as fast as exact search for {_sessions(batch)}"
        return None


def _sessions(batch: int) -> str:
    return "1 session" if batch == 1 else f"{batch} sessions"


def check_search(name: str) -> None:
    """Check the name of a search.

    Raises:
        UnknownNameError: there is none.
    """
    known = (*get_args(Search), AUTO)
    if name not in known:
        raise UnknownNameError("search", name, known)


def sample_sessions(vocabulary: Vocabulary, rows: int) -> list[list[int]]:
    """Return random sessions of 1 to 19 items, drawn in proportion to their training events."""
    rng, known = generator(0, "sessions"), np.flatnonzero(vocabulary.known)
    shares = np.cumsum(vocabulary.support[known] + 1.0)
    lengths = rng.integers(1, 20, rows)
    items = known[np.searchsorted(shares, rng.random(lengths.sum()) * shares[-1], side="right")]
    return [part.tolist() for part in np.split(items, np.cumsum(lengths)[:-1])]


def choose_search(
    name: str,
    build: Callable[[type[ItemSearch]], ItemSearch],
    states: Callable[[int], Float32[Tensor, "B D"]],
    listed: ListItems,
    n_items: int,
) -> tuple[ItemSearch | None, SearchReport]:
    """Return the search of a name, measured; for ``auto`` the fastest that is accepted, or None for exact search.

    Args:
        name: its name.
        build: builds a search for the item table.
        states: returns a number of states of the model.
        listed: lists items by a search.
        n_items: size of the catalogue.

    Raises:
        UnknownNameError: there is no such search.
        ParameterError: it is slower than exact search, or its recall is too low.
        MissingExtraError: faiss is not installed.
    """
    check_search(name)
    if name == EXACT:
        return None, SearchReport()
    sample = states(_TUNING + _TEST)
    if name != AUTO:
        search = build(SEARCHES[name])
        report = measure_search(search, sample, listed)
        if report.problem is not None:
            raise ParameterError(
                f"search: {report.problem}, on this machine and {n_items:,} items; use 'exact', or 'auto' for what pays"
            )
        return search, report
    accepted, reasons = [], []
    for kind in SEARCHES.values():
        if kind is FaissSearch and (n_items < FAISS_FROM or find_spec("faiss") is None):
            continue
        search = build(kind)
        report = measure_search(search, sample, listed)
        if report.problem is None:
            accepted.append((min(report.speed.values()), search, report))
        else:
            reasons.append(report.problem)
    if not accepted:
        return None, SearchReport(reason="; ".join(reasons))
    _, search, report = max(accepted, key=lambda one: one[0])
    return search, report


def measure_search(search: ItemSearch, states: Float32[Tensor, "S D"], listed: ListItems) -> SearchReport:
    """Tune and time a search, and measure its recall on other states than those it was tuned on."""
    tuning, test = states[:_TUNING], states[_TUNING:]
    wanted = _in_batches(None, tuning, listed)
    while _recall(_in_batches(search, tuning, listed), wanted) < _TUNED_RECALL and search.widen():
        pass
    recall = _recall(_in_batches(search, test, listed), _in_batches(None, test, listed))
    return SearchReport(search.name, {batch: _speed(search, test, batch, listed) for batch in BATCHES}, recall)


def _in_batches(search: ItemSearch | None, states: Tensor, listed: ListItems) -> Int64[np.ndarray, "S k"]:
    return np.concatenate([listed(search, part) for part in torch.split(states, BATCHES[-1])])


def _recall(found: Int64[np.ndarray, "S k"], wanted: Int64[np.ndarray, "S k"]) -> float:
    shares = [np.isin(right[right > 0], left).mean() for left, right in zip(found, wanted, strict=True)]
    return float(np.mean(shares))


def _speed(search: ItemSearch, states: Tensor, batch: int, listed: ListItems) -> float:
    """Return the least time of exact search divided by that of another; they are timed in turns."""
    parts = torch.split(states, batch)
    least = {False: np.inf, True: np.inf}
    start = time.perf_counter()
    for round_ in range(_ROUNDS[1]):
        if round_ >= _ROUNDS[0] and time.perf_counter() - start > _SECONDS:
            break
        for exact in (True, False):
            least[exact] = min(least[exact], _seconds(None if exact else search, parts[round_ % len(parts)], listed))
    return least[True] / least[False]


def _seconds(search: ItemSearch | None, states: Tensor, listed: ListItems) -> float:
    start = time.perf_counter()
    listed(search, states)
    return time.perf_counter() - start
