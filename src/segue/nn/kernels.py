"""Compiled loops of the samplers."""

import numpy as np
from numba import njit


@njit(cache=True)
def alias_table(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Build the alias table of Vose (1991): O(1) draws from any discrete distribution.

    Args:
        weights: [n] positive float64, in proportion to the probabilities.

    Returns:
        Cell ``i`` stands for itself with probability ``keep[i]``, and else for ``alias[i]``.
    """
    n = len(weights)
    keep = weights * (n / weights.sum())
    alias = np.arange(n)
    small = [i for i in range(n) if keep[i] < 1.0]
    large = [i for i in range(n) if keep[i] >= 1.0]
    while len(small) > 0 and len(large) > 0:
        low, high = small.pop(), large.pop()
        alias[low] = high
        keep[high] -= 1.0 - keep[low]
        if keep[high] < 1.0:
            small.append(high)
        else:
            large.append(high)
    for i in small + large:
        keep[i] = 1.0
    return keep, alias


@njit(cache=True)
def accidental_hits(ids: np.ndarray, n_targets: int, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the columns that hold the target of a row without being its own column.

    Args:
        ids: [M] item of each column; column ``b < n_targets`` is the target of row ``b``.
        n_targets: number of rows.
        heads: [N+1] scratch, all -1; left as it was.

    Returns:
        Rows and columns, one pair per hit.
    """
    # Rows with the same target form a list that starts at heads[target].
    following = np.full(n_targets, -1, dtype=np.int64)
    for row in range(n_targets):
        following[row] = heads[ids[row]]
        heads[ids[row]] = row
    n_hits = 0
    for column in range(len(ids)):
        row = heads[ids[column]]
        while row >= 0:
            n_hits += row != column
            row = following[row]
    rows, columns = np.empty(n_hits, dtype=np.int64), np.empty(n_hits, dtype=np.int64)
    hit = 0
    for column in range(len(ids)):
        row = heads[ids[column]]
        while row >= 0:
            if row != column:
                rows[hit], columns[hit] = row, column
                hit += 1
            row = following[row]
    for row in range(n_targets):
        heads[ids[row]] = -1
    return rows, columns
