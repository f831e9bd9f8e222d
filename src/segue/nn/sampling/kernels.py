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
def accidental_hits(
    targets: np.ndarray, columns: np.ndarray, own: bool, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the columns that hold the target of a row.

    Args:
        targets: [B] target of each row.
        columns: [M] item of each column.
        own: column ``b`` is row ``b``'s own, for every row, and no hit of it.
        last: [N+1] scratch, all -1; left as it was.

    Returns:
        Rows and columns, one pair per hit, ordered by row and column.
    """
    # The columns of an item form a list that starts at last[item]; built backwards, it runs forwards.
    following = np.full(len(columns), -1, dtype=np.int64)
    for column in range(len(columns) - 1, -1, -1):
        following[column] = last[columns[column]]
        last[columns[column]] = column
    n_hits = 0
    for row in range(len(targets)):
        column = last[targets[row]]
        while column >= 0:
            n_hits += not (own and column == row)
            column = following[column]
    hit_rows, hit_columns = np.empty(n_hits, dtype=np.int64), np.empty(n_hits, dtype=np.int64)
    hit = 0
    for row in range(len(targets)):
        column = last[targets[row]]
        while column >= 0:
            if not (own and column == row):
                hit_rows[hit], hit_columns[hit] = row, column
                hit += 1
            column = following[column]
    for column in range(len(columns)):
        last[columns[column]] = -1
    return hit_rows, hit_columns
