"""Session-parallel batches, by index arithmetic on whole arrays."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from segue.data.batches.kernels import assign_lanes
from segue.data.sessions import Sessions
from segue.errors import EmptyDataError

_BLOCK = 128
"""Steps that are laid out at once: enough to make the cost of one negligible, little enough to stay small."""


@dataclass(frozen=True, eq=False)
class LaneBatch:
    """One step of all lanes that still have a session.

    Attributes:
        inputs: the item each lane is at, 1..N.
        targets: the item that follows.
        fresh: True for a lane that starts a session, so that its hidden state must be reset.
        kept: which lanes of the step before are still there, or None if all are.
    """

    inputs: Int64[np.ndarray, "L"]
    targets: Int64[np.ndarray, "L"]
    fresh: Bool[np.ndarray, "L"]
    kept: Bool[np.ndarray, "_"] | None


class SessionParallel:
    """Session-parallel mini-batches (Hidasi et al., 2016): lanes walk through sessions side by side.

    A lane that has finished its session takes the next one, in the order of ``sessions``; when none is left the
    lane is dropped and the batch shrinks. Sessions of one event have nothing to predict and are left out. The lane
    plan takes memory per session, not per event, and any step can be asked for at any time.

    Args:
        sessions: what is walked through.
        n_lanes: how many sessions side by side.
        least: the walk ends when fewer lanes are left; 2 where the other lanes are the only negatives.

    Raises:
        EmptyDataError: no step is left.
    """

    def __init__(self, sessions: Sessions, n_lanes: int, least: int = 1) -> None:
        usable = np.flatnonzero(sessions.lengths >= 2)
        if len(usable) < least:
            raise EmptyDataError(
                f"training sessions: at least {least} must have two events or more, got {len(usable)}; "
                "relax the cleaning, or train on a larger log"
            )
        self._items = sessions.items
        self.n_lanes = min(n_lanes, len(usable))
        lanes, first, ends = assign_lanes(sessions.lengths[usable] - 1, self.n_lanes)
        self.n_steps = int(np.sort(ends)[-least]) if least <= self.n_lanes else 0
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
            self._block = (block, self._lay_out(block * _BLOCK, min((block + 1) * _BLOCK, self.n_steps)))
        return self._block[1][within]

    def _lay_out(self, begin: int, end: int) -> list[LaneBatch]:
        steps = np.arange(begin, end)[:, None]
        session = np.searchsorted(self._keys, np.arange(self.n_lanes) * self._span + steps, side="right") - 1
        into = steps - self._first[session]
        event = self._starts[session] + into
        event[steps >= self._ends] = 0
        inputs, targets = self._items[event].astype(np.int64), self._items[event + 1].astype(np.int64)
        fresh = into == 0
        if end <= self._ends.min():
            return [LaneBatch(*arrays, None) for arrays in zip(inputs, targets, fresh, strict=True)]
        active, before = steps < self._ends, np.maximum(steps - 1, 0) < self._ends
        return [
            LaneBatch(
                inputs[row][active[row]],
                targets[row][active[row]],
                fresh[row][active[row]],
                None if (active[row] == before[row]).all() else active[row][before[row]],
            )
            for row in range(end - begin)
        ]
