"""Session-parallel batches, computed by index arithmetic on whole arrays."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from segue.compiled import njit
from segue.data.sessions import Sessions
from segue.errors import EmptyDataError

_BLOCK = 128
"""Steps that are computed at once: enough to make the overhead of one negligible, few enough to save memory."""


@dataclass(frozen=True, eq=False)
class LaneBatch:
    """One step of all active lanes.

    Attributes:
        inputs: the current item of each lane, 1..N.
        targets: the item that follows.
        starts: True for a lane that starts a session, so that its hidden state must be reset.
        kept: which lanes of the previous step are still active, or None if all are.
    """

    inputs: Int64[np.ndarray, "L"]
    targets: Int64[np.ndarray, "L"]
    starts: Bool[np.ndarray, "L"]
    kept: Bool[np.ndarray, "_"] | None


class SessionParallel:
    """Session-parallel mini-batches (Hidasi et al., 2016): lanes step through sessions in parallel.

    A lane that has finished its session takes the next one, in the order of ``sessions``; if none is left, the lane is
    dropped and the batch shrinks. Sessions of one event are skipped. The schedule takes memory per session, not per
    event, and allows random access to steps.

    Args:
        sessions: the training sessions.
        n_lanes: number of parallel sessions.
        min_lanes: the epoch ends when fewer lanes are active; 2 if the other lanes are the only negatives.

    Raises:
        EmptyDataError: there is no step.
    """

    def __init__(self, sessions: Sessions, n_lanes: int, min_lanes: int = 1) -> None:
        usable = np.flatnonzero(sessions.lengths >= 2)
        if len(usable) < min_lanes:
            raise EmptyDataError(
                f"training sessions: at least {min_lanes} must have two events or more, got {len(usable)}; "
                "relax the cleaning, or train on a larger log"
            )
        self._items = sessions.items
        self.n_lanes = min(n_lanes, len(usable))
        lanes, first, ends = _assign_lanes(sessions.lengths[usable] - 1, self.n_lanes)
        self.n_steps = int(np.sort(ends)[-min_lanes]) if min_lanes <= self.n_lanes else 0
        self._ends = ends
        self._span = int(ends.max()) + 1
        keys = lanes * self._span + first
        order = np.argsort(keys)
        self._keys = keys[order]
        self._first = first[order]
        self._starts = sessions.offsets[:-1][usable][order]
        self._block: tuple[int, list[LaneBatch]] = (-1, [])

    def batch(self, step: int) -> LaneBatch:
        """Return the batch of one step, 0 <= step < n_steps."""
        block, within = divmod(step, _BLOCK)
        if self._block[0] != block:
            self._block = (block, self._compute(block * _BLOCK, min((block + 1) * _BLOCK, self.n_steps)))
        return self._block[1][within]

    def active(self, step: int) -> Bool[np.ndarray, "n"]:
        """Return which of all lanes take part in a step."""
        active: Bool[np.ndarray, n] = self._ends > step
        return active

    def _compute(self, begin: int, end: int) -> list[LaneBatch]:
        steps = np.arange(begin, end)[:, None]
        session = np.searchsorted(self._keys, np.arange(self.n_lanes) * self._span + steps, side="right") - 1
        position = steps - self._first[session]
        event = self._starts[session] + position
        event[steps >= self._ends] = 0
        inputs, targets = self._items[event].astype(np.int64), self._items[event + 1].astype(np.int64)
        starts = position == 0
        if end <= self._ends.min():
            return [LaneBatch(*arrays, None) for arrays in zip(inputs, targets, starts, strict=True)]
        active, before = steps < self._ends, np.maximum(steps - 1, 0) < self._ends
        return [
            LaneBatch(
                inputs[row][active[row]],
                targets[row][active[row]],
                starts[row][active[row]],
                None if (active[row] == before[row]).all() else active[row][before[row]],
            )
            for row in range(end - begin)
        ]


@njit()
def _assign_lanes(
    steps: Int64[np.ndarray, "s"], n_lanes: int
) -> tuple[Int64[np.ndarray, "s"], Int64[np.ndarray, "s"], Int64[np.ndarray, "L"]]:
    """Assign each session, in order, to the lane that is free first; ties go to the first lane.

    Args:
        steps: steps of each session, at least 1.
        n_lanes: number of lanes, at most the number of sessions.

    Returns:
        The lane of each session, its first step, and the step at which each lane ends.
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
