"""The softmax over many shared items and its gradient, in chunks of rows.

Training with a softmax costs three matrix products and the work on T x M scores between them. Here one chunk of the
scores exists at a time, and next to nothing is done to it but ``exp``, in place. Columns added to both factors of the
products do the rest: they subtract the score of the row's own target, add the items' biases, and sum the exponentials
up. These are never normalised, for the sum of a row can as well scale the small factor of the product that follows.

The subtraction also makes bf16 products exact enough. A bf16 number has 8 bits, and what is rounded is how far an item
is from the target: what matters most is rounded least.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

Precision = Literal["fp32", "bf16"]
"""Precision of the matrix products with the items; what comes in and goes out keeps its own type."""

_BUDGETS = {"cpu": 1 << 20, "cuda": 1 << 27}
"""Scores in a chunk by device: they stay in the cache of a CPU, and keep a GPU busy between two looks at the sums."""
_LEAST = 64
"""Rows of a chunk whatever the number of items: fewer make a matrix product slow."""
_LARGE = 1e20
"""Sum of exponentials above which they are taken relative to the largest score; float32 ends at 3e38, and its inverse
must be a number as well."""


class Pairs(NamedTuple):
    """Rows and columns of scores that take no part, ordered by row."""

    rows: Int64[Tensor, "E"]
    columns: Int64[Tensor, "E"]


class SoftmaxTerms(NamedTuple):
    """A weighted sum of ``-log softmax``, and its gradients by the states, the rows' own targets, and the items."""

    loss: Float[Tensor, ""]
    of_states: Float[Tensor, "T D"]
    of_own: Float[Tensor, "T W"]
    of_items: Float[Tensor, "M W"]


class SharedSoftmax:
    """The softmax of each row's own target against items that all rows share.

    Args:
        items: embedding, and bias where W = D + 1, of each item.
        log_counts: what is subtracted from the scores of the items, none of which is a row's own target; None says
            that the items are all there is, the targets among them.
        excluded: scores that take no part.
        precision: precision of the matrix products.
        budget: scores in a chunk; None takes what suits the device.
    """

    def __init__(
        self,
        items: Float[Tensor, "M W"],
        *,
        log_counts: Float[Tensor, "M"] | None = None,
        excluded: Pairs | None = None,
        precision: Precision = "fp32",
        budget: int | None = None,
    ) -> None:
        self._items = items
        self._log_counts = log_counts
        self._excluded = excluded
        self._type = torch.bfloat16 if precision == "bf16" else items.dtype
        budget = budget or _BUDGETS.get(items.device.type, _BUDGETS["cuda"])
        self._rows = max(_LEAST, budget // max(len(items), 1))

    def terms(
        self, states: Float[Tensor, "T D"], own: Float[Tensor, "T W"], weights: Float[Tensor, "T"]
    ) -> SoftmaxTerms:
        """Return the weighted sum of the rows' losses and its gradients.

        Args:
            states: what the encoder says at each row.
            own: embedding and bias of each row's target.
            weights: weight of each row.
        """
        (n_rows, size), width = states.shape, own.shape[1]
        keys = self._keys(size)
        of_keys = states.new_zeros(keys.shape[1], len(keys))
        buffer = keys.new_empty(min(self._rows, n_rows), len(keys))
        target = (self._rounded(states) * self._rounded(own[:, :size])).sum(1) + own[:, size:].sum(1)
        losses, of_target, of_states = torch.empty_like(target), torch.empty_like(target), torch.empty_like(states)
        for rows, pairs in self._chunks(n_rows):
            scores = buffer[: len(target[rows])]
            queries, sums, base = self._exponentials(states[rows], target[rows], keys, pairs, scores)
            own_term = torch.exp(target[rows] - base) if self._log_counts is not None else torch.zeros_like(base)
            total = sums[:, -1] + own_term
            losses[rows] = torch.log(total) + base - target[rows]
            scale = (weights[rows] / total).unsqueeze(1)
            of_target[rows] = weights[rows] * (own_term / total - 1.0)
            of_states[rows] = sums[:, :size] * scale
            of_keys += torch.mm((queries * scale).to(self._type).T, scores)
        of_states += of_target.unsqueeze(1) * own[:, :size]
        of_own = of_target.unsqueeze(1) * functional.pad(states, (0, width - size), value=1.0)
        return SoftmaxTerms(losses @ weights, of_states, of_own, of_keys[:width].T)

    def _chunks(self, n_rows: int) -> Iterator[tuple[slice, Pairs | None]]:
        starts = range(0, n_rows, self._rows)
        if self._excluded is None:
            yield from ((slice(start, start + self._rows), None) for start in starts)
            return
        rows, columns = self._excluded
        cuts = torch.searchsorted(rows, torch.tensor([*starts, n_rows], device=rows.device)).tolist()
        for start, (first, end) in zip(starts, pairwise(cuts), strict=True):
            yield slice(start, start + self._rows), Pairs(rows[first:end] - start, columns[first:end])

    def _rounded(self, values: Float[Tensor, "T D"]) -> Float[Tensor, "T D"]:
        """Return the values as the products see them, so that a target is at no distance from itself."""
        return values.to(self._type).to(values.dtype)

    def _keys(self, size: int) -> Float[Tensor, "M K"]:
        """Return [embedding, offset in two parts, 1, 1] of each item."""
        offset = self._items[:, size:].sum(1)
        if self._log_counts is not None:
            offset = offset - self._log_counts
        high, low = _two_parts(offset, self._type)
        ones = torch.ones_like(high)
        added = torch.stack((high, low, ones, ones), dim=1)
        return torch.cat((self._items[:, :size].to(self._type), added), dim=1)

    def _queries(self, states: Float[Tensor, "B D"], base: Float[Tensor, "B"]) -> Float[Tensor, "B K"]:
        """Return [state, 1, 1, -base in two parts] of each row."""
        high, low = _two_parts(-base, self._type)
        ones = torch.ones_like(high)
        return torch.cat((states.to(self._type), torch.stack((ones, ones, high, low), dim=1)), dim=1)

    def _exponentials(
        self,
        states: Float[Tensor, "B D"],
        base: Float[Tensor, "B"],
        keys: Float[Tensor, "M K"],
        pairs: Pairs | None,
        out: Float[Tensor, "B M"],
    ) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"], Float[Tensor, "B"]]:
        """Write ``exp(score - base)`` to ``out``; return queries, sums of the keys by it, and the base.

        The base is the score of the target, or the largest score where that one is too far above it.
        """
        queries = self._queries(states, base)
        torch.mm(queries, keys.T, out=out).exp_()
        if pairs is not None:
            out[pairs] = 0.0
        sums = torch.mm(out, keys).to(base.dtype)
        if bool((sums[:, -1] > _LARGE).any()):
            torch.mm(queries, keys.T, out=out)
            if pairs is not None:
                out[pairs] = -torch.inf
            largest = out.amax(1).to(base.dtype)
            return self._exponentials(states, base + largest.clamp(min=0.0), keys, pairs, out)
        return queries, sums, base


def _two_parts(values: Float[Tensor, "_"], kind: torch.dtype) -> tuple[Float[Tensor, "_"], Float[Tensor, "_"]]:
    """Split numbers into two of a shorter type whose sum is nearly exact."""
    high = values.to(kind)
    return high, (values - high).to(kind)
