"""Baskets: the events of a session that have one time, such as the items of an order."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Int32, Int64

from segue.compiled import njit
from segue.data.sessions import Prefixes, Sessions


@dataclass(frozen=True, eq=False)
class Baskets:
    """The items of each basket of a log, every item once.

    Attributes:
        items: item index of each entry.
        numbers: basket of each entry; they count up by 1 from one basket to the next, over all sessions.
        offsets: session ``s`` has the entries ``offsets[s]`` to ``offsets[s + 1]``.
    """

    items: Int32[np.ndarray, "m"]
    numbers: Int64[np.ndarray, "m"]
    offsets: Int64[np.ndarray, "s+1"]

    @classmethod
    def of(cls, sessions: Sessions) -> Self:
        """Find the baskets of sessions with times."""
        assert sessions.times is not None
        begins = np.diff(sessions.times, prepend=-1) != 0
        begins[sessions.offsets[:-1][sessions.lengths > 0]] = True
        numbers = np.cumsum(begins) - 1
        _, first = np.unique(numbers * (len(sessions.vocabulary) + 1) + sessions.items, return_index=True)
        kept = np.sort(first)
        return cls(sessions.items[kept], numbers[kept], np.searchsorted(kept, sessions.offsets))

    @classmethod
    def of_one(cls, sessions: Sessions) -> Self:
        """Take every event as a basket."""
        return cls(sessions.items, np.arange(len(sessions.items)), sessions.offsets)


def last_baskets(prefixes: Prefixes) -> Prefixes:
    """Return the last basket of each prefix; without times the last event."""
    if prefixes.times is None:
        starts = np.maximum(prefixes.ends - 1, prefixes.starts)
    else:
        starts = _last_starts(prefixes.times, prefixes.starts, prefixes.ends)
    return Prefixes(prefixes.items, starts, prefixes.ends)


@njit(nogil=True)
def _last_starts(
    times: Int64[np.ndarray, "n"], starts: Int64[np.ndarray, "B"], ends: Int64[np.ndarray, "B"]
) -> Int64[np.ndarray, "B"]:
    found = ends.copy()
    for b in range(len(ends)):
        while found[b] > starts[b] and times[found[b] - 1] == times[ends[b] - 1]:
            found[b] -= 1
    return found
