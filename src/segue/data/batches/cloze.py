"""What a step of the cloze task predicts: events of a window that are masked."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool

from segue.data.batches.next_item import NextItemBatch, require_targets
from segue.data.batches.windows import by_length, pieces, window_of
from segue.data.sessions import Sessions
from segue.data.vocabulary import PADDING
from segue.rng import generator


class Cloze:
    """Events of a window are masked at random and predicted from all others (Sun et al. 2019, arXiv 1904.06690).

    In some windows the last event alone is masked, which is what the model is asked for later. A masked event has the
    index N + 1 in the window. Sessions that are longer than the window are cut as for ``EveryPosition``; a piece of one
    event takes no part, since nothing stands beside its mask.

    Args:
        sessions: what is learnt from.
        batch_size: windows per step.
        longest: events per window.
        seed: seed of the order, the cuts and the masks.
        mask_ratio: share of the events that are masked, at least one of each window.
        last_ratio: share of the windows in which the last event alone is masked.
        recent_only: keep only the most recent piece of each session.

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
        mask_ratio: float,
        last_ratio: float,
        recent_only: bool = False,
    ) -> None:
        require_targets(sessions)
        self._sessions = sessions
        self._batch_size = batch_size
        self._longest = longest
        self._seed = seed
        self._mask_ratio = mask_ratio
        self._last_ratio = last_ratio
        self._recent_only = recent_only
        self._epoch = 0

    def begin_epoch(self, epoch: int) -> int:
        """Cut the sessions into pieces and shuffle them."""
        self._epoch = epoch
        rng = generator(self._seed, "order", epoch)
        starts, ends = self._sessions.offsets[:-1], self._sessions.offsets[1:]
        if self._recent_only:
            starts = np.maximum(starts, ends - self._longest)
        else:
            starts, ends = pieces(starts, ends, self._longest, rng)
        usable = ends - starts >= 2
        self._starts, self._ends = starts[usable], ends[usable]
        order = rng.permutation(len(self._starts))
        self._batches = by_length(self._ends - self._starts, order, self._batch_size, rng)
        return len(self._batches)

    def batch(self, step: int) -> NextItemBatch:
        """Return the windows of a step, masked, and the items behind the masks."""
        chosen = self._batches[step]
        ends, log = self._ends[chosen], self._sessions
        window = window_of(log.prefixes(self._starts[chosen], ends), self._longest)
        items = window.items
        masked = self._masks((items != PADDING).numpy(), generator(self._seed, "masks", self._epoch, step))
        positions = np.flatnonzero(masked)
        rows, columns = np.divmod(positions, items.shape[1])
        events = ends[rows] - items.shape[1] + columns
        hidden = items.masked_fill(torch.from_numpy(masked), len(log.vocabulary) + 1)
        targets, places = items.reshape(-1)[positions], torch.from_numpy(positions)
        return NextItemBatch(replace(window, items=hidden), targets, torch.from_numpy(events), places)

    def _masks(self, real: Bool[np.ndarray, "B L"], rng: np.random.Generator) -> Bool[np.ndarray, "B L"]:
        draws = np.where(real, rng.random(real.shape), 2.0)
        draws[rng.random(len(real)) < self._last_ratio, -1] = -1.0
        # The least draw of a window is masked in any case, and where it is that of the last event, it is the only one.
        least = draws.min(axis=1, keepdims=True)
        masked: np.ndarray = draws <= np.where(least < 0, least, np.maximum(least, self._mask_ratio))
        return masked
