"""Which items a step compares the targets with, and how likely each was to be drawn."""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64
from torch import Tensor

from segue.nn.sampling.kernels import accidental_hits, alias_table
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
            self._drawn = self._draw(generator(self._seed, "negatives", epoch, block), _BLOCK)
        drawn: Int64[np.ndarray, S] = self._drawn[within]
        return drawn

    def draw_rows(self, epoch: int, step: int, rows: int) -> Int64[np.ndarray, "G S"]:
        """Return the item indices of one step in several draws that know nothing of each other."""
        return self._draw(generator(self._seed, "negatives of rows", epoch, step), rows)

    def _draw(self, rng: np.random.Generator, rows: int) -> Int64[np.ndarray, "T S"]:
        # One uniform number picks the cell by its whole part and decides on the alias by its fraction.
        point = rng.random((rows, self._size)) * len(self._items)
        cell = point.astype(np.int64)
        cell = np.where(point - cell < self._keep[cell], cell, self._alias[cell])
        drawn: Int64[np.ndarray, "T S"] = self._items[cell]
        return drawn


def log_probabilities(
    log_weights: Float32[np.ndarray, "items"], support: Int[np.ndarray, "items"]
) -> Float32[np.ndarray, "items"]:
    """Return the logarithm of the probability of each item in one draw.

    Args:
        log_weights: logarithm of what the items are drawn in proportion to.
        support: training events per item index; what is returned has no meaning for an item without any, which is
            never drawn.
    """
    total = np.logaddexp.reduce(log_weights[support > 0], dtype=np.float64)
    log_q: Float32[np.ndarray, items] = log_weights - np.float32(total)
    return log_q


class AccidentalHits:
    """Finds negatives that are the target after all.

    Args:
        n_items: number of items N.
    """

    def __init__(self, n_items: int) -> None:
        self._last = np.full(n_items + 1, -1, dtype=np.int64)

    def find(
        self, targets: Int64[np.ndarray, "B"], columns: Int64[np.ndarray, "M"], *, own: bool
    ) -> tuple[Int64[np.ndarray, "E"], Int64[np.ndarray, "E"]]:
        """Return the rows and columns of scores where a column holds its row's target, ordered by row.

        Args:
            targets: target of each row.
            columns: item of each column.
            own: the first B columns are the rows' own targets, and no hits of their rows.
        """
        rows, hit_columns = accidental_hits(targets, columns, own, self._last)
        return rows, hit_columns


def hardest(
    scores: Float[Tensor, "T M"], excluded: Bool[Tensor, "T M"], candidates: int
) -> tuple[Float[Tensor, "T S"], Bool[Tensor, "T S"]]:
    """Keep the best-scored one of every few columns, for each row its own (dynamic negative sampling).

    Args:
        scores: scores of the negatives.
        excluded: negatives that take no part; one is left only where all of its group are.
        candidates: columns of a group; must divide M.
    """
    groups = scores.view(len(scores), -1, candidates)
    out = excluded.view(len(excluded), -1, candidates)
    best = groups.detach().masked_fill(out, -torch.inf).argmax(2, keepdim=True)
    return groups.gather(2, best).squeeze(2), out.gather(2, best).squeeze(2)
