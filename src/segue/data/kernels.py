"""Loops over whole logs."""

import numpy as np
from jaxtyping import Int32, Int64
from numba import njit

SOUND, BAD_RANGE, BAD_ITEM = 0, 1, 2
"""What ``check_ranges`` found."""


@njit(cache=True)
def concatenate_ranges(starts: Int64[np.ndarray, "s"], lengths: Int64[np.ndarray, "s"]) -> Int64[np.ndarray, "n"]:
    """Return ``starts[j], starts[j] + 1, ...`` (``lengths[j]`` numbers) for each j, one range behind the other.

    numpy does it with four temporary arrays of the size of the result.
    """
    numbers = np.empty(np.maximum(lengths, 0).sum(), dtype=np.int64)
    position = 0
    for j in range(len(starts)):
        for step in range(lengths[j]):
            numbers[position + step] = starts[j] + step
        position += lengths[j]
    return numbers


@njit(cache=True, nogil=True)
def check_ranges(
    items: Int32[np.ndarray, "n"], starts: Int64[np.ndarray, "B"], ends: Int64[np.ndarray, "B"], largest: int
) -> tuple[int, int]:
    """Check that no other kernel can be led out of its arrays.

    Args:
        items: item indices.
        starts: range b is ``items[starts[b]:ends[b]]``.
        ends: one past the last event of each range.
        largest: largest item index that there is.

    Returns:
        ``SOUND`` and 0; or ``BAD_RANGE`` and the first range that is not within ``items``; or ``BAD_ITEM`` and the
        first position whose item is not between 1 and ``largest``.
    """
    for b in range(len(starts)):
        if not 0 <= starts[b] <= ends[b] <= len(items):
            return BAD_RANGE, b
        for position in range(starts[b], ends[b]):
            if not 1 <= items[position] <= largest:
                return BAD_ITEM, position
    return SOUND, 0
