"""Weighted sampling without replacement, as compiled loops over test cases that release the interpreter lock."""

import numpy as np

from segue.compiled import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_REJECTION_SHARE = 4
"""Rejection sampling is slower than sorting keys where more than one in so many of the free items is drawn."""


@njit(nogil=True)
def draw_rows(
    seeds: np.ndarray, cumulative: np.ndarray, excluded: np.ndarray, ends: np.ndarray, drawn: np.ndarray
) -> None:
    """Draw distinct items for each row, those with more weight more often, one after the other without replacement.

    Args:
        seeds: [B], uint64; a row depends only on its own seed.
        cumulative: [N+1], float64; item ``j`` has the weight ``cumulative[j] - cumulative[j - 1]``, above 0.
        excluded: [n], item indices that a row must not draw, row after row, ascending and distinct within a row.
        ends: [B], one past the last of ``excluded`` of each row.
        drawn: [B, n], given as 0 and written; a row of fewer free items ends in 0.
    """
    begin = 0
    for b in range(len(seeds)):
        row_excluded = excluded[begin : ends[b]]
        begin = ends[b]
        free = len(cumulative) - 1 - len(row_excluded)
        if drawn.shape[1] * _REJECTION_SHARE > free:
            _draw_by_keys(seeds[b], cumulative, row_excluded, drawn[b])
        else:
            _draw_by_rejection(seeds[b], cumulative, row_excluded, drawn[b])


@njit()
def _unit(state: np.uint64) -> float:
    """Return a number of [0, 1) that the state decides (splitmix64, Steele et al. 2014)."""
    mixed = (state ^ (state >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return float((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@njit()
def _holds(ascending: np.ndarray, item: int) -> bool:
    place = int(np.searchsorted(ascending, item))
    return place < len(ascending) and int(ascending[place]) == item


@njit()
def _draw_by_rejection(state: np.uint64, cumulative: np.ndarray, excluded: np.ndarray, drawn: np.ndarray) -> None:
    """Draw until all items are distinct."""
    chosen = set([np.int64(0)])  # noqa: C405 (a compiled set needs the type of what it will hold)
    count = 0
    while count < len(drawn):
        state += _GOLDEN
        item = np.searchsorted(cumulative, _unit(state) * cumulative[-1], side="right")
        if item < len(cumulative) and item not in chosen and not _holds(excluded, item):
            chosen.add(item)
            drawn[count] = item
            count += 1


@njit()
def _draw_by_keys(state: np.uint64, cumulative: np.ndarray, excluded: np.ndarray, drawn: np.ndarray) -> None:
    """Take the items with the lowest random keys: the same distribution (Efraimidis and Spirakis 2006)."""
    keys = np.full(len(cumulative), np.inf)
    for item in range(1, len(cumulative)):
        state += _GOLDEN
        keys[item] = -np.log(1.0 - _unit(state)) / (cumulative[item] - cumulative[item - 1])
    for item in excluded:
        keys[item] = np.inf
    order = np.argsort(keys)
    count = min(len(drawn), len(cumulative) - 1 - len(excluded))
    drawn[:count] = order[:count]
