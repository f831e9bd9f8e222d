"""What a step of training predicts: the next item at every position of a window, or after a whole prefix."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from segue.data.batches.windows import Window, by_length, pieces, window_of
from segue.data.kernels import concatenate_ranges
from segue.data.sessions import Sessions
from segue.errors import EmptyDataError
from segue.rng import generator


@dataclass(frozen=True, eq=False)
class NextItemBatch:
    """One step.

    Attributes:
        window: the inputs.
        targets: the T items to predict.
        events: where in the training sessions the targets stand.
        positions: where in the flattened window each target is predicted; None where it is after the last event of
            each session (T = B).
    """

    window: Window
    targets: Int64[Tensor, "T"]
    events: Int64[Tensor, "T"]
    positions: Int64[Tensor, "T"] | None = None


class NextItemBatches(Protocol):
    """The batches of each epoch; a batch is a pure function of seed, epoch and step."""

    def begin_epoch(self, epoch: int) -> int:
        """Lay out an epoch; return the number of steps."""

    def batch(self, step: int) -> NextItemBatch:
        """Return the batch of one step of the epoch that was begun."""


class EveryPosition:
    """The next item is predicted at every position of a window; for causal encoders only.

    A session that is longer than the window is cut into pieces, at other places in every epoch, so that each event
    after the first is a target once per epoch.

    Args:
        sessions: what is learnt from.
        batch_size: windows per step.
        longest: events per window.
        seed: seed of the order and of the cuts.
        recent_only: keep only the most recent piece of each session, as the authors of SASRec do.

    Raises:
        EmptyDataError: no session has two events.
    """

    def __init__(
        self, sessions: Sessions, batch_size: int, longest: int, seed: int, *, recent_only: bool = False
    ) -> None:
        require_targets(sessions)
        self._sessions = sessions
        self._batch_size = batch_size
        self._longest = longest
        self._seed = seed
        self._recent_only = recent_only

    def begin_epoch(self, epoch: int) -> int:
        """Cut the sessions into pieces and shuffle them."""
        rng = generator(self._seed, "order", epoch)
        self._starts, self._ends = self._cut(rng)
        order = rng.permutation(len(self._starts))
        self._batches = by_length(self._ends - self._starts, order, self._batch_size, rng)
        return len(self._batches)

    def batch(self, step: int) -> NextItemBatch:
        """Return the windows of a step, and what follows each of their events."""
        chosen = self._batches[step]
        items = self._sessions.items
        starts, ends = self._starts[chosen], self._ends[chosen]
        window = window_of(self._sessions.prefixes(starts, ends), self._longest)
        events = concatenate_ranges(starts + 1, ends - starts)
        targets = torch.from_numpy(items[events].astype(np.int64))
        positions = window.items.reshape(-1).nonzero().squeeze(1)
        return NextItemBatch(window, targets, torch.from_numpy(events), positions)

    def _cut(self, rng: np.random.Generator) -> tuple[Int64[np.ndarray, "P"], Int64[np.ndarray, "P"]]:
        """Return the first event of each piece, and one past the last event that is an input."""
        starts, ends = self._sessions.offsets[:-1], self._sessions.offsets[1:] - 1
        usable = ends > starts
        starts, ends = starts[usable], ends[usable]
        if self._recent_only:
            return np.maximum(starts, ends - self._longest), ends
        return pieces(starts, ends, self._longest, rng)


class EveryPrefix:
    """Every prefix of every session is an example, and what follows it is the target (Tan et al., 2016).

    The prefixes are never written out: an example is the position of its target.

    Args:
        sessions: what is learnt from.
        batch_size: prefixes per step.
        longest: events that are kept of a prefix.
        seed: seed of the order.
        width: columns of a window; None takes as many as the batch needs.
        click_dropout: share of the events of a prefix that are left out of it, other ones in every epoch.

    Raises:
        EmptyDataError: no session has two events.
    """

    def __init__(
        self,
        sessions: Sessions,
        batch_size: int,
        longest: int,
        seed: int,
        *,
        width: int | None = None,
        click_dropout: float = 0.0,
    ) -> None:
        require_targets(sessions)
        first = np.zeros(len(sessions.items) + 1, dtype=bool)
        first[sessions.offsets] = True
        self._targets = np.flatnonzero(~first[:-1])
        self._sessions = sessions
        self._batch_size = batch_size
        self._longest = longest
        self._seed = seed
        self._width = width
        self._click_dropout = click_dropout
        self._epoch = 0

    def begin_epoch(self, epoch: int) -> int:
        """Shuffle the prefixes."""
        self._epoch = epoch
        rng = generator(self._seed, "order", epoch)
        lengths = np.minimum(self._targets - self._starts(self._targets), self._longest)
        order = rng.permutation(len(self._targets))
        self._batches = by_length(lengths, order, self._batch_size, rng)
        return len(self._batches)

    def batch(self, step: int) -> NextItemBatch:
        """Return the prefixes of a step, and what follows them."""
        targets = self._targets[self._batches[step]]
        items = self._sessions.items
        prefixes = self._sessions.prefixes(self._starts(targets), targets)
        window = window_of(prefixes, self._longest, width=self._width)
        if self._click_dropout > 0:
            rng = generator(self._seed, "clicks", self._epoch, step)
            window = window.without(torch.from_numpy(rng.random(window.items.shape) < self._click_dropout))
        return NextItemBatch(window, torch.from_numpy(items[targets].astype(np.int64)), torch.from_numpy(targets))

    def _starts(self, events: Int64[np.ndarray, "_"]) -> Int64[np.ndarray, "_"]:
        """Return the first event of the session of each event."""
        offsets = self._sessions.offsets
        starts: np.ndarray = offsets[np.searchsorted(offsets, events, side="right") - 1]
        return starts


def require_targets(sessions: Sessions) -> None:
    """Refuse sessions that nothing can be learnt from.

    Raises:
        EmptyDataError: no session has two events.
    """
    if not (sessions.lengths >= 2).any():
        raise EmptyDataError(
            "training sessions: at least 1 must have two events or more, got 0; "
            "relax the cleaning, or train on a larger log"
        )
