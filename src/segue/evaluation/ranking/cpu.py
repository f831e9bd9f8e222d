"""Ranking on a CPU: compiled loops over rows of scores, without the interpreter lock, so that threads share rows."""

from typing import NamedTuple

import numpy as np

from segue.compiled import njit
from segue.data.sessions import Prefixes

_BLOCK = 64
"""Scores compared with the k-th best together, before any of them is compared alone."""


class Excluded(NamedTuple):
    """The items that are not candidates in row b: ``items[starts[b]:ends[b]]``, item indices."""

    items: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def by(cls, prefixes: Prefixes | None, rows: int) -> "Excluded":
        """Exclude the items of one prefix per row, or nothing."""
        if prefixes is None:
            none = np.zeros(rows, dtype=np.int64)
            return cls(np.zeros(0, dtype=np.int32), none, none)
        return cls(prefixes.items, prefixes.starts, prefixes.ends)

    def rows(self, part: slice) -> "Excluded":
        """Return a part of the rows."""
        return Excluded(self.items, self.starts[part], self.ends[part])


@njit(nogil=True)
def top_k_rows(
    scores: np.ndarray,
    places: np.ndarray,
    excluded: Excluded,
    allowed: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
) -> None:
    """List the best items of each row and their scores, inserting one by one.

    Args:
        scores: [B, N+1]; column 0 is not read.
        places: [N+1], decides between equal scores, lower first.
        excluded: the items that are not candidates.
        allowed: [N+1] bool, the candidates of all rows; empty for all items.
        items: [B, k], given as 0 and written.
        values: [B, k], given as -inf and written.
    """
    for b in range(scores.shape[0]):
        _top_k_row(_candidates(scores[b], excluded, b, allowed), places, items[b], values[b])


@njit(nogil=True)
def sort_rows(
    scores: np.ndarray,
    order: np.ndarray,
    excluded: Excluded,
    allowed: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
) -> None:
    """Do what ``top_k_rows`` does by sorting each row, which is faster for long lists.

    ``order`` are the item indices [N], the first of equal scores first; the others are those of ``top_k_rows``.
    """
    for b in range(scores.shape[0]):
        row = _candidates(scores[b], excluded, b, allowed)
        keys = -row[order]
        for place in range(len(keys)):
            if not keys[place] < np.inf:  # NaN is not a candidate.
                keys[place] = np.inf
        best = np.argsort(keys, kind="mergesort")  # Stable, so that equal scores keep the given order.
        for rank in range(min(len(best), items.shape[1])):
            if keys[best[rank]] == np.inf:
                break
            items[b, rank] = order[best[rank]]
            values[b, rank] = row[order[best[rank]]]


@njit(nogil=True)
def count_rows(
    scores: np.ndarray,
    targets: np.ndarray,
    places: np.ndarray,
    excluded: Excluded,
    counts: np.ndarray,
) -> None:
    """Count, for each target, the other candidates around it.

    ``counts[b, r]`` is the number of candidates ahead of it, of those with its score, and of those among the latter
    that are listed before it. A NaN is ahead of everything; the targets of a row are not counted against each other; a
    target that is not a candidate gets -1 ahead.

    Args:
        scores: [B, N+1]; column 0 is not read.
        targets: [B, R], item indices, 0 behind the last one of a row.
        places: [N+1], decides between equal scores, lower first.
        excluded: the items that are not candidates.
        counts: [B, R, 3], written.
    """
    everything = np.zeros(0, dtype=np.bool_)
    for b in range(scores.shape[0]):
        row = _candidates(scores[b], excluded, b, everything)
        for r in range(targets.shape[1]):
            _count(row, targets[b], targets[b, r], places, counts[b, r])


@njit()
def _count(row: np.ndarray, targets: np.ndarray, target: int, places: np.ndarray, counts: np.ndarray) -> None:
    score = row[target] if target else np.float32(-np.inf)
    counts[:] = 0
    if not score > -np.inf:
        counts[0] = -1
        return
    ahead = 0
    level = 0
    for item in range(1, len(row)):
        ahead += not row[item] <= score
        level += row[item] == score
    for other in targets:
        if other:
            ahead -= not row[other] <= score
            level -= row[other] == score
    counts[0] = ahead
    counts[1] = level
    if level:
        before = 0
        for item in range(1, len(row)):
            before += row[item] == score and places[item] < places[target]
        for other in targets:
            if other:
                before -= row[other] == score and places[other] < places[target]
        counts[2] = before


@njit()
def _candidates(row: np.ndarray, excluded: Excluded, b: int, allowed: np.ndarray) -> np.ndarray:
    """Return a copy of row b with the items that are not candidates masked, or the row itself if all are."""
    if excluded.ends[b] <= excluded.starts[b] and not len(allowed):
        return row
    masked = row.copy()
    for item in range(len(allowed)):
        if not allowed[item]:
            masked[item] = -np.inf
    for position in range(excluded.starts[b], excluded.ends[b]):
        masked[excluded.items[position]] = -np.inf
    return masked


@njit()
def _top_k_row(row: np.ndarray, places: np.ndarray, items: np.ndarray, values: np.ndarray) -> None:
    last = len(items) - 1
    for begin in range(1, len(row), _BLOCK):
        block = row[begin : begin + _BLOCK]
        better = 0
        for score in block:
            better += score >= values[last]
        if better == 0:
            continue
        for offset in range(len(block)):
            score = block[offset]
            if score >= values[last] and score > -np.inf:
                insert(begin + offset, score, places, items, values)


@njit(nogil=True)
def is_excluded(item: int, excluded: Excluded, b: int, allowed: np.ndarray) -> bool:
    """Return whether an item is not a candidate in row b."""
    if len(allowed) and not allowed[item]:
        return True
    for position in range(excluded.starts[b], excluded.ends[b]):  # noqa: SIM110 (numba knows no generators)
        if excluded.items[position] == item:
            return True
    return False


@njit(nogil=True)
def insert(item: int, score: float, places: np.ndarray, items: np.ndarray, values: np.ndarray) -> None:
    """Put an item into its place in a list, best first; the last one falls off."""
    place = len(items)
    while place > 0 and (
        score > values[place - 1] or (score == values[place - 1] and places[item] < places[items[place - 1]])
    ):
        place -= 1
    for behind in range(len(items) - 1, place, -1):
        items[behind] = items[behind - 1]
        values[behind] = values[behind - 1]
    if place < len(items):
        items[place] = item
        values[place] = score
