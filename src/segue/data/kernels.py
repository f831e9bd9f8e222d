"""Loops over whole logs."""

import numpy as np
from jaxtyping import Int64
from numba import njit


@njit(cache=True)
def concatenate_ranges(starts: Int64[np.ndarray, "s"], lengths: Int64[np.ndarray, "s"]) -> Int64[np.ndarray, "n"]:
    """Return ``starts[j], starts[j] + 1, ...`` (``lengths[j]`` numbers) for each j, one range behind the other.

    numpy does it with four temporary arrays of the size of the result.
    """
    numbers = np.empty(lengths.sum(), dtype=np.int64)
    position = 0
    for j in range(len(starts)):
        for step in range(lengths[j]):
            numbers[position + step] = starts[j] + step
        position += lengths[j]
    return numbers
