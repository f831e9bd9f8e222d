"""Which items a step compares the targets with, and how likely each was to be drawn."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int, Int64

from segue.nn.kernels import accidental_hits, alias_table
from segue.rng import generator

_BLOCK = 64
"""Steps drawn at once; a generator costs more to make than one step's draws."""


@runtime_checkable
class Sampler(Protocol):
    """Draws the negatives of a step."""

    log_weights: Float32[np.ndarray, "items"]
    """Logarithm of what each item is drawn in proportion to."""

    def draw(self, epoch: int, step: int) -> Int64[np.ndarray, "S"]:
        """Return the item indices of one step, as a pure function of epoch and step."""


class PopularitySampler:
    """Negatives drawn with replacement by ``support ** alpha``; 0 is uniform, 1 is popularity.

    The draw of a step is a pure function of (seed, epoch, step), so a resumed training sees the same negatives.

    Args:
        support: training events per item index; an item without any is never drawn.
        alpha: the power.
        size: draws per step.
        seed: seed of the draws.
    """

    def __init__(self, support: Int[np.ndarray, "M"], alpha: float, size: int, seed: int) -> None:
        self.log_weights = (alpha * np.log(np.maximum(support, 1))).astype(np.float32)
        self._size = size
        self._seed = seed
        self._items = np.flatnonzero(support)
        self._keep, self._alias = alias_table(support[self._items] ** float(alpha))
        self._block: tuple[int, int] = (-1, -1)
        self._drawn = np.zeros((0, size), dtype=np.int64)

    def draw(self, epoch: int, step: int) -> Int64[np.ndarray, "S"]:
        """Return the item indices of one step."""
        block, within = divmod(step, _BLOCK)
        if self._block != (epoch, block):
            self._block = (epoch, block)
            self._drawn = self._draw_block(generator(self._seed, "negatives", epoch, block))
        drawn: Int64[np.ndarray, S] = self._drawn[within]
        return drawn

    def _draw_block(self, rng: np.random.Generator) -> Int64[np.ndarray, "T S"]:
        # One uniform number picks the cell by its whole part and decides on the alias by its fraction.
        point = rng.random((_BLOCK, self._size)) * len(self._items)
        cell = point.astype(np.int64)
        cell = np.where(point - cell < self._keep[cell], cell, self._alias[cell])
        drawn: Int64[np.ndarray, "T S"] = self._items[cell]
        return drawn


class AccidentalHits:
    """Finds negatives that are the target after all.

    Args:
        n_items: number of items N.
    """

    def __init__(self, n_items: int) -> None:
        self._heads = np.full(n_items + 1, -1, dtype=np.int64)

    def find(
        self, ids: Int64[np.ndarray, "M"], n_targets: int
    ) -> tuple[Int64[np.ndarray, "E"], Int64[np.ndarray, "E"]]:
        """Return the rows and columns of scores where a column holds its row's target but is not its target column.

        Args:
            ids: item of each column; the first ``n_targets`` are the targets of the rows.
            n_targets: number of rows B.
        """
        rows, columns = accidental_hits(ids, n_targets, self._heads)
        return rows, columns
