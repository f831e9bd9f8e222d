"""Loops over rows of scores, compiled; they release the interpreter lock, so that threads can share the rows."""

from typing import NamedTuple

import numpy as np
from numba import njit

_BLOCK = 64
"""Scores that are compared with the k-th best together, before any of them is looked at alone."""


class Seen(NamedTuple):
    """The items that are no candidates in row b: ``items[starts[b]:ends[b]]``, item indices."""

    items: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def of(self, part: slice) -> "Seen":
        """Return what is seen in a part of the rows."""
        return Seen(self.items, self.starts[part], self.ends[part])


@njit(cache=True, nogil=True)
def top_k_rows(
    scores: np.ndarray,
    prior: np.ndarray,
    seen: Seen,
    items: np.ndarray,
    values: np.ndarray,
) -> None:
    """Fill ``items`` (given as 0) and ``values`` (given as -inf) with the best of each row.

    Args:
        scores: [B, N+1]; column 0 is not read.
        prior: [N+1], decides between equal scores.
        seen: the items that are no candidates.
        items: [B, k], written.
        values: [B, k], written.
    """
    for b in range(scores.shape[0]):
        _top_k_row(_candidates(scores[b], seen, b), prior, items[b], values[b])


@njit(cache=True, nogil=True)
def count_rows(
    scores: np.ndarray,
    targets: np.ndarray,
    seen: Seen,
    counts: np.ndarray,
) -> None:
    """Count the other candidates ahead of each target (``counts[b, r, 0]``) and level with it (``counts[b, r, 1]``).

    A NaN is ahead of everything; the targets of a row are not counted against each other; a target that is no
    candidate gets -1 ahead.

    Args:
        scores: [B, N+1]; column 0 is not read.
        targets: [B, R], item indices, 0 behind the last one of a row.
        seen: the items that are no candidates.
        counts: [B, R, 2], written.
    """
    for b in range(scores.shape[0]):
        row = _candidates(scores[b], seen, b)
        for r in range(targets.shape[1]):
            _count(row, targets[b], row[targets[b, r]] if targets[b, r] else -np.inf, counts[b, r])


@njit(cache=True)
def _count(row: np.ndarray, targets: np.ndarray, score: float, counts: np.ndarray) -> None:
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


@njit(cache=True)
def _candidates(row: np.ndarray, seen: Seen, b: int) -> np.ndarray:
    """Return a copy of row b with the items seen masked, or the row itself if there are none."""
    if seen.ends[b] <= seen.starts[b]:
        return row
    masked = row.copy()
    for position in range(seen.starts[b], seen.ends[b]):
        masked[seen.items[position]] = -np.inf
    return masked


@njit(cache=True)
def _top_k_row(row: np.ndarray, prior: np.ndarray, items: np.ndarray, values: np.ndarray) -> None:
    last = len(items) - 1
    for begin in range(1, len(row), _BLOCK):
        block = row[begin : begin + _BLOCK]
        hopeful = 0
        for score in block:
            hopeful += score >= values[last]
        if hopeful == 0:
            continue
        for offset in range(len(block)):
            score = block[offset]
            if score >= values[last] and score > -np.inf:
                _insert(begin + offset, score, items, values, prior)


@njit(cache=True)
def _insert(item: int, score: float, items: np.ndarray, values: np.ndarray, prior: np.ndarray) -> None:
    """Put an item into its place; the last one falls off. Of equals, the one that came first (lower index) leads."""
    place = len(items)
    while place > 0 and (
        score > values[place - 1] or (score == values[place - 1] and prior[item] > prior[items[place - 1]])
    ):
        place -= 1
    for behind in range(len(items) - 1, place, -1):
        items[behind] = items[behind - 1]
        values[behind] = values[behind - 1]
    if place < len(items):
        items[place] = item
        values[place] = score
