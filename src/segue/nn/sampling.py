"""Negative sampling: draw the items that a step compares its targets with."""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64

from segue.compiled import njit
from segue.nn.negatives import Negatives, Pairs
from segue.rng import generator

_BLOCK = 64
"""Number of steps to sample at once, because creating a generator costs more than sampling one step."""


@runtime_checkable
class ItemSampler(Protocol):
    """Samples items."""

    log_weights: Float32[np.ndarray, "M"]
    """Logarithm of the sampling weight of each item."""

    def draw(self, epoch: int, step: int) -> Int64[np.ndarray, "S"]:
        """Return the item indices of one step, as a pure function of epoch and step."""


class PopularitySampler:
    """Samples items with replacement in proportion to ``support ** alpha``; 0 is uniform, 1 is by popularity.

    The sample of a step is a pure function of (seed, epoch, step), so a resumed training has the same negatives.

    Args:
        support: training events per item index; items without events are never sampled.
        alpha: the power.
        size: number of items per sample.
        seed: random seed.
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

    def draw_groups(self, epoch: int, step: int, groups: int) -> Int64[np.ndarray, "G S"]:
        """Return several independent samples of one step."""
        return self._draw(generator(self._seed, "negatives of rows", epoch, step), groups)

    def _draw(self, rng: np.random.Generator, rows: int) -> Int64[np.ndarray, "T S"]:
        # One uniform number picks the cell by its whole part and decides on the alias by its fraction.
        point = rng.random((rows, self._size)) * len(self._items)
        cell = point.astype(np.int64)
        cell = np.where(point - cell < self._keep[cell], cell, self._alias[cell])
        drawn: Int64[np.ndarray, "T S"] = self._items[cell]
        return drawn


@runtime_checkable
class NegativeSampler(Protocol):
    """Samples the negatives of a step on the host, together with its batch."""

    def draw(self, targets: Int64[np.ndarray, "T"], epoch: int, step: int) -> Negatives:
        """Return the negatives of some targets, as a pure function of targets, epoch and step."""


class SharedNegatives:
    """Negatives that all rows of a step share: sampled items, the targets of the other rows, or both.

    Args:
        sampler: samples the items; None samples no items.
        support: training events per item index.
        in_batch: whether the targets of other rows are negatives.
        reject_hits: whether negatives that equal the target of a row are dropped for this row.
    """

    def __init__(
        self, sampler: ItemSampler | None, support: Int[np.ndarray, "M"], *, in_batch: bool, reject_hits: bool = True
    ) -> None:
        self._sampler = sampler
        self._in_batch = in_batch
        self._reject_hits = reject_hits
        self._log_support = np.log(np.maximum(support, 1)).astype(np.float32)
        self._log_p = log_probabilities(self._log_support, support)
        self._log_q = self._log_p if sampler is None else log_probabilities(sampler.log_weights, support)
        self._last = np.full(len(support), -1, dtype=np.int64)

    def draw(self, targets: Int64[np.ndarray, "T"], epoch: int, step: int) -> Negatives:
        """Draw the negatives; see ``NegativeSampler``."""
        drawn = np.zeros(0, dtype=np.int64) if self._sampler is None else self._sampler.draw(epoch, step)
        ids = np.concatenate((targets, drawn))
        first = 0 if self._in_batch else len(targets)
        counts = self._log_counts(targets, drawn)
        return Negatives(
            torch.from_numpy(ids), first, _pairs(*self._excluded(targets, ids[first:])), torch.from_numpy(counts)
        )

    def _excluded(
        self, targets: Int64[np.ndarray, "T"], negatives: Int64[np.ndarray, "M"]
    ) -> tuple[Int64[np.ndarray, "E"], Int64[np.ndarray, "E"]]:
        if self._reject_hits:
            rows, columns = accidental_hits(targets, negatives[None], len(targets), self._last)
            return rows, columns
        # A row's own target is never among its negatives.
        own = np.arange(len(targets) if self._in_batch else 0)
        return own, own

    def _log_counts(self, targets: Int64[np.ndarray, "T"], drawn: Int64[np.ndarray, "S"]) -> Float32[np.ndarray, "R"]:
        items, others = np.concatenate((targets, drawn)), len(targets) - 1 if self._in_batch else 0
        counts = np.float32(len(drawn)) * np.exp(self._log_q[items]) + np.float32(others) * np.exp(self._log_p[items])
        log_counts: Float32[np.ndarray, R] = np.log(np.maximum(counts, np.finfo(np.float32).tiny))
        return log_counts


class SessionParallelNegatives(SharedNegatives):
    """Negatives of GRU4Rec's steps: the targets of all rows, where column ``b`` is row ``b``'s, and sampled items.

    As in the authors' code, an item meets other rows in proportion to its support as their target and to
    ``support ** alpha`` as a sampled item; the counts are these weights, and do not sum to the number of negatives.

    Args:
        sampler: samples the items; None samples no items.
        support: training events per item index.
        reject_hits: whether negatives that equal the target of a row are dropped for this row.
    """

    def __init__(self, sampler: ItemSampler | None, support: Int[np.ndarray, "M"], *, reject_hits: bool = True) -> None:
        super().__init__(sampler, support, in_batch=True, reject_hits=reject_hits)

    def _excluded(
        self, targets: Int64[np.ndarray, "T"], negatives: Int64[np.ndarray, "M"]
    ) -> tuple[Int64[np.ndarray, "E"], Int64[np.ndarray, "E"]]:
        rows, columns = super()._excluded(targets, negatives)
        hits = rows != columns
        return rows[hits], columns[hits]

    def _log_counts(self, targets: Int64[np.ndarray, "T"], drawn: Int64[np.ndarray, "S"]) -> Float32[np.ndarray, "R"]:
        of_targets = self._log_support[targets]
        return of_targets if self._sampler is None else np.concatenate((of_targets, self._sampler.log_weights[drawn]))


class GroupedNegatives:
    """Sampled items that a few consecutive rows share.

    Where thousands of rows share their negatives, a step pushes these few items down with all its weight, and a loss
    that judges every item by itself, as BCE and gBCE do, hardly learns. With negatives for every few rows, it does.

    Args:
        sampler: samples the items.
        n_items: number of items N.
        group_size: number of rows that share a sample.
        reject_hits: whether negatives that equal the target of a row are dropped for this row.
    """

    def __init__(self, sampler: PopularitySampler, n_items: int, *, group_size: int, reject_hits: bool = True) -> None:
        self._sampler = sampler
        self._group_size = group_size
        self._reject_hits = reject_hits
        self._last = np.full(n_items + 1, -1, dtype=np.int64)

    def draw(self, targets: Int64[np.ndarray, "T"], epoch: int, step: int) -> Negatives:
        """Draw the negatives; see ``NegativeSampler``."""
        drawn = self._sampler.draw_groups(epoch, step, -(-len(targets) // self._group_size))
        hits = accidental_hits(targets if self._reject_hits else targets[:0], drawn, self._group_size, self._last)
        ids = torch.from_numpy(np.concatenate((targets, drawn.ravel())))
        return Negatives(ids, len(targets), _pairs(*hits), group_size=self._group_size)


def _pairs(rows: Int64[np.ndarray, "E"], columns: Int64[np.ndarray, "E"]) -> Pairs:
    return Pairs(torch.from_numpy(rows), torch.from_numpy(columns))


def log_probabilities(log_weights: Float32[np.ndarray, "M"], support: Int[np.ndarray, "M"]) -> Float32[np.ndarray, "M"]:
    """Return the logarithm of the probability of each item in one draw.

    Args:
        log_weights: logarithm of the sampling weights of items.
        support: training events per item index; the result has no meaning for items without any, which are never
            drawn.
    """
    total = np.logaddexp.reduce(log_weights[support > 0], dtype=np.float64)
    log_q: Float32[np.ndarray, M] = log_weights - np.float32(total)
    return log_q


@njit()
def alias_table(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Build the alias table of Vose (1991): O(1) samples from any discrete distribution.

    Args:
        weights: [n] positive float64, in proportion to the probabilities.

    Returns:
        Cell ``i`` stands for itself with probability ``keep[i]``, and else for ``alias[i]``.
    """
    n = len(weights)
    keep = weights * (n / weights.sum())
    alias = np.arange(n)
    small = [i for i in range(n) if keep[i] < 1.0]
    large = [i for i in range(n) if keep[i] >= 1.0]
    while len(small) > 0 and len(large) > 0:
        low, high = small.pop(), large.pop()
        alias[low] = high
        keep[high] -= 1.0 - keep[low]
        if keep[high] < 1.0:
            small.append(high)
        else:
            large.append(high)
    for i in small + large:
        keep[i] = 1.0
    return keep, alias


@njit()
def accidental_hits(
    targets: np.ndarray, negatives: np.ndarray, group_size: int, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the negatives that are the target of their row.

    Args:
        targets: [T] target of each row.
        negatives: [G, M] negatives of each group of rows.
        group_size: consecutive rows of a group.
        last: [N+1] scratch, all -1; left as it was.

    Returns:
        Rows and columns, one pair per hit, ordered by row and column.
    """
    rows, columns = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    following = np.empty(negatives.shape[1], dtype=np.int64)
    for group in range(len(negatives)):
        # The columns of an item form a list that starts at last[item]; built backwards, it runs forwards.
        for column in range(negatives.shape[1] - 1, -1, -1):
            following[column] = last[negatives[group, column]]
            last[negatives[group, column]] = column
        for row in range(group * group_size, min((group + 1) * group_size, len(targets))):
            column = last[targets[row]]
            while column >= 0:
                rows.append(np.int64(row))
                columns.append(np.int64(column))
                column = following[column]
        for column in range(negatives.shape[1]):
            last[negatives[group, column]] = -1
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)
