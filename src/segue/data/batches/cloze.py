"""Cloze batches: masked events of a window are predicted from the others."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Int64

from segue.data.batches.next_item import NextItemBatch, NextItemBatches
from segue.data.batches.windows import cut_sessions, window_of
from segue.data.sessions import Sessions
from segue.data.vocabulary import PADDING
from segue.rng import generator


class Cloze(NextItemBatches):
    """Events of a window are masked at random and predicted from all others (Sun et al. 2019, arXiv 1904.06690).

    In some windows only the last event is masked, as in prediction. A masked event has the index N + 1 in the window.
    Sessions longer than the window are cut as for ``EveryPosition``; a piece of one event is skipped, since it has no
    event besides the mask.

    Args:
        sessions: the training sessions.
        batch_size: windows per step.
        max_length: events per window.
        seed: seed of the order, the cuts and the masks.
        mask_ratio: share of events to mask, at least one per window.
        last_ratio: share of windows in which only the last event is masked.
        recent_only: keep only the most recent piece of each session.

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
        mask_ratio: float,
        last_ratio: float,
        recent_only: bool = False,
    ) -> None:
        super().__init__(sessions, batch_size, max_length, seed)
        self._mask_ratio = mask_ratio
        self._last_ratio = last_ratio
        self._recent_only = recent_only

    def batch(self, step: int) -> NextItemBatch:
        """Return the masked windows of a step, and the masked items."""
        chosen = self._batches[step]
        ends, log = self._ends[chosen], self._sessions
        window = window_of(log.prefixes(self._starts[chosen], ends), self._max_length)
        items = window.items
        masked = self._masks((items != PADDING).numpy(), generator(self._seed, "masks", self._epoch, step))
        positions = np.flatnonzero(masked)
        rows, columns = np.divmod(positions, items.shape[1])
        events = ends[rows] - items.shape[1] + columns
        hidden = items.masked_fill(torch.from_numpy(masked), len(log.vocabulary) + 1)
        targets = items.reshape(-1)[positions]
        window = replace(window, items=hidden)
        return NextItemBatch(window, targets, torch.from_numpy(events), torch.from_numpy(positions))

    def _examples(self, rng: np.random.Generator) -> tuple[Int64[np.ndarray, "E"], Int64[np.ndarray, "E"]]:
        starts, ends = self._sessions.offsets[:-1], self._sessions.offsets[1:]
        starts, ends = cut_sessions(starts, ends, self._max_length, None if self._recent_only else rng)
        usable = ends - starts >= 2
        return starts[usable], ends[usable]

    def _masks(self, real: Bool[np.ndarray, "B L"], rng: np.random.Generator) -> Bool[np.ndarray, "B L"]:
        draws = np.where(real, rng.random(real.shape), 2.0)
        draws[rng.random(len(real)) < self._last_ratio, -1] = -1.0
        # The smallest draw of a window is always masked, and is the only one if it was set to -1.
        least = draws.min(axis=1, keepdims=True)
        masked: np.ndarray = draws <= np.where(least < 0, least, np.maximum(least, self._mask_ratio))
        return masked
