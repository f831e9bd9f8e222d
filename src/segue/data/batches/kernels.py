"""Compiled loops over the sessions of a training log."""

import numpy as np
from jaxtyping import Int64
from numba import njit


@njit(cache=True)
def assign_lanes(
    steps: Int64[np.ndarray, "s"], n_lanes: int
) -> tuple[Int64[np.ndarray, "s"], Int64[np.ndarray, "s"], Int64[np.ndarray, "L"]]:
    """Give each session, in order, to the lane that is free first; lanes that are free together are taken in order.

    Args:
        steps: steps that each session takes, at least 1.
        n_lanes: number of lanes, at most the number of sessions.

    Returns:
        The lane of each session, its first step, and the step at which each lane has run out of sessions.
    """
    free = np.zeros(n_lanes, dtype=np.int64)
    lanes = np.empty(len(steps), dtype=np.int64)
    first = np.empty(len(steps), dtype=np.int64)
    for session in range(len(steps)):
        lane = np.argmin(free)
        lanes[session] = lane
        first[session] = free[lane]
        free[lane] += steps[session]
    return lanes, first, free
