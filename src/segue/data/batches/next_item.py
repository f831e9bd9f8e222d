"""Next-item batches: the target follows every position of a window, or a whole prefix."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from segue.data.arrays import concatenate_ranges
from segue.data.batches.windows import Window, batch_by_length, cut_sessions, window_of
from segue.data.sessions import Sessions
from segue.errors import EmptyDataError
from segue.rng import generator


@dataclass(frozen=True, eq=False)
class NextItemBatch:
    """The batch of one step.

    Attributes:
        window: the inputs.
        targets: the T items to predict.
        events: positions of the targets in the training sessions.
        positions: positions in the flattened window at which the targets are predicted; None if each is predicted
            after the last event of its session (T = B).
    """

    window: Window
    targets: Int64[Tensor, "T"]
    events: Int64[Tensor, "T"]
    positions: Int64[Tensor, "T"] | None = None

    def targets_of(self, examples: slice) -> slice:
        """Return which targets are those of consecutive examples."""
        if self.positions is None:
            return examples
        width = self.window.items.shape[1]
        first, end = torch.searchsorted(
            self.positions, torch.tensor([examples.start * width, examples.stop * width])
        ).tolist()
        return slice(first, end)

    def part(self, examples: slice) -> "NextItemBatch":
        """Return the batch of consecutive examples alone."""
        targets, positions = self.targets_of(examples), None
        if self.positions is not None:
            positions = self.positions[targets] - examples.start * self.window.items.shape[1]
        window = self.window.map(lambda numbers: numbers[examples])
        return NextItemBatch(window, self.targets[targets], self.events[targets], positions)


class NextItemBatches(ABC):
    """The batches of each epoch; examples of similar length are batched together, in random order.

    Args:
        sessions: the training sessions.
        batch_size: examples per step.
        max_length: events per window.
        seed: seed of the order and of any other random choice.

    Raises:
        EmptyDataError: no session has two events.
    """

    def __init__(self, sessions: Sessions, batch_size: int, max_length: int, seed: int) -> None:
        if not (sessions.lengths >= 2).any():
            raise EmptyDataError(
                "training sessions: at least 1 must have two events or more, got 0; "
                "relax the cleaning, or train on a larger log"
            )
        self._sessions = sessions
        self._batch_size = batch_size
        self._max_length = max_length
        self._seed = seed
        self._epoch = 0

    def begin_epoch(self, epoch: int) -> int:
        """Shuffle the examples of an epoch; return the number of steps."""
        self._epoch = epoch
        rng = generator(self._seed, "order", epoch)
        self._starts, self._ends = self._examples(rng)
        order = rng.permutation(len(self._starts))
        self._batches = batch_by_length(self._ends - self._starts, order, self._batch_size, rng)
        return len(self._batches)

    @abstractmethod
    def batch(self, step: int) -> NextItemBatch:
        """Return the batch of one step of the current epoch."""

    @abstractmethod
    def _examples(self, rng: np.random.Generator) -> tuple[Int64[np.ndarray, "E"], Int64[np.ndarray, "E"]]:
        """Return the first input of each example of an epoch, and one past its last."""


class EveryPosition(NextItemBatches):
    """The next item is predicted at every position of a window; for causal encoders only.

    A session longer than the window is cut into pieces, at different positions in every epoch, so that each event
    after the first is a target once per epoch.

    Args:
        sessions: the training sessions.
        batch_size: windows per step.
        max_length: events per window.
        seed: seed of the order and of the cuts.
        recent_only: keep only the most recent piece of each session, as the authors of SASRec do.

    Raises:
        EmptyDataError: no session has two events.
    """

    def __init__(
        self, sessions: Sessions, batch_size: int, max_length: int, seed: int, *, recent_only: bool = False
    ) -> None:
        super().__init__(sessions, batch_size, max_length, seed)
        self._recent_only = recent_only

    def batch(self, step: int) -> NextItemBatch:
        """Return the windows of a step, and the items that follow each of their events."""
        chosen = self._batches[step]
        items = self._sessions.items
        starts, ends = self._starts[chosen], self._ends[chosen]
        window = window_of(self._sessions.prefixes(starts, ends), self._max_length)
        events = concatenate_ranges(starts + 1, ends - starts)
        targets = torch.from_numpy(items[events].astype(np.int64))
        positions = window.items.reshape(-1).nonzero().squeeze(1)
        return NextItemBatch(window, targets, torch.from_numpy(events), positions)

    def _examples(self, rng: np.random.Generator) -> tuple[Int64[np.ndarray, "E"], Int64[np.ndarray, "E"]]:
        starts, ends = self._sessions.offsets[:-1], self._sessions.offsets[1:] - 1  # The last event is only a target.
        usable = ends > starts
        return cut_sessions(starts[usable], ends[usable], self._max_length, None if self._recent_only else rng)


class EveryPrefix(NextItemBatches):
    """Every prefix of every session is an example, and the next item is its target (Tan et al., 2016).

    Prefixes are never materialised: an example is the position of its target.

    Args:
        sessions: the training sessions.
        batch_size: prefixes per step.
        max_length: events to keep of a prefix.
        seed: seed of the order and of the dropout.
        width: columns of a window; None for as many as the batch needs.
        click_dropout: share of the events of a prefix to drop, different ones in every epoch.

    Raises:
        EmptyDataError: no session has two events.
    """

    def __init__(
        self,
        sessions: Sessions,
        batch_size: int,
        max_length: int,
        seed: int,
        *,
        width: int | None = None,
        click_dropout: float = 0.0,
    ) -> None:
        super().__init__(sessions, batch_size, max_length, seed)
        self._width = width
        self._click_dropout = click_dropout

    def batch(self, step: int) -> NextItemBatch:
        """Return the prefixes of a step, and the items that follow them."""
        chosen = self._batches[step]
        targets = self._ends[chosen]
        prefixes = self._sessions.prefixes(self._starts[chosen], targets)
        window = window_of(prefixes, self._max_length, width=self._width)
        if self._click_dropout > 0:
            rng = generator(self._seed, "clicks", self._epoch, step)
            window = window.drop(torch.from_numpy(rng.random(window.items.shape) < self._click_dropout))
        items = torch.from_numpy(self._sessions.items[targets].astype(np.int64))
        return NextItemBatch(window, items, torch.from_numpy(targets))

    def _examples(self, rng: np.random.Generator) -> tuple[Int64[np.ndarray, "E"], Int64[np.ndarray, "E"]]:
        targets, starts = self._sessions.targets()
        return np.maximum(starts, targets - self._max_length), targets
