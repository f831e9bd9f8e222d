"""Compiled loops of the layers and samplers."""

import numpy as np
from numba import njit


@njit(cache=True)
def accidental_hits(ids, n_targets, heads):  # type: ignore[no-untyped-def]
    """List the (row, column) pairs where a column that is not the row's own target holds the row's target.

    Args:
        ids: item index of each column; column ``b`` below ``n_targets`` is the target of row ``b``.
        n_targets: number of rows.
        heads: scratch of one int32 per item, all -1; left as it was.
    """
    following = np.full(n_targets, -1, dtype=np.int32)
    for row in range(n_targets - 1, -1, -1):
        following[row] = heads[ids[row]]
        heads[ids[row]] = row
    rows = []
    columns = []
    for column in range(len(ids)):
        row = heads[ids[column]]
        while row >= 0:
            if row != column:
                rows.append(row)
                columns.append(column)
            row = following[row]
    for row in range(n_targets):
        heads[ids[row]] = -1
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)


@njit(cache=True)
def alias_table(weights):  # type: ignore[no-untyped-def]
    """Build Vose's alias table: cell ``i`` is kept with probability ``keep[i]``, else it stands for ``alias[i]``."""
    n = len(weights)
    keep = weights * (n / weights.sum())
    alias = np.arange(n)
    small = [i for i in range(n) if keep[i] < 1.0]
    large = [i for i in range(n) if keep[i] >= 1.0]
    while small and large:
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
