"""Loops over whole logs."""

import numpy as np
from numba import njit


@njit(cache=True)
def concatenate_ranges(starts: np.ndarray, lengths: np.ndarray, out: np.ndarray) -> None:
    """Write ``starts[j], starts[j] + 1, ...`` (``lengths[j]`` numbers) for each j, one range behind the other.

    numpy does it with four temporary arrays of the size of the log.

    Args:
        starts: [s] int64.
        lengths: [s] int64.
        out: [sum of lengths] int64, written.
    """
    position = 0
    for j in range(len(starts)):
        for step in range(lengths[j]):
            out[position + step] = starts[j] + step
        position += lengths[j]
