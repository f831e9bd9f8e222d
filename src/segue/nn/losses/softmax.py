"""Softmax losses over many items that all rows share, computed with their gradients in chunks of rows.

Training with a softmax costs three matrix products and the work on T x M scores between them. Here one chunk of the
scores exists at a time, and the only elementwise operation on it is ``exp``, in place. Extra columns in both factors of
the products subtract the score of the row's target, add the items' biases and sum the exponentials. The exponentials
are not normalised: the sum of a row scales the smaller factor of the next product instead.

Subtracting the target's score also keeps bf16 products accurate. A bf16 number has 8 significant bits, and the rounded
quantity is the difference to the target, so the items closest to the target are rounded least.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from segue.nn.losses.label_smoothing import add_smoothed, smoothed
from segue.nn.negatives import Pairs

ProductPrecision = Literal["fp32", "bf16"]
"""Precision of the matrix products with the items; inputs and outputs keep their own type."""

_BUDGETS = {"cpu": 1 << 22, "cuda": 1 << 28}
"""Scores in a chunk by device: large enough for fast products, and on a CPU small enough for its last cache."""
_LEAST = 64
"""Rows of a chunk whatever the number of items: fewer make a matrix product slow."""
_LARGE = 1e20
"""Sum of exponentials above which they are taken relative to the largest score; float32 ends at 3e38, and its inverse
must be a number as well."""


def full_cross_entropy(
    states: Float[Tensor, "T D"],
    table: Float[Tensor, "M W"],
    targets: Int64[Tensor, "T"],
    weights: Float[Tensor, "T"] | None = None,
    *,
    label_smoothing: float = 0.0,
    precision: ProductPrecision = "fp32",
    budget: int | None = None,
) -> Float[Tensor, ""]:
    """Return the weighted sum of ``-log softmax(states @ embeddings.T + biases)`` at the targets.

    With label smoothing, the label of the target is ``1 - label_smoothing + label_smoothing / N``, and that of each
    other item ``label_smoothing / N``. Smoothed labels cost as much as hard ones; see ``smoothed``.

    The gradient is computed with the loss, chunk by chunk, which is why the weight of each row must be known: what
    is kept for the backward pass has the size of ``states`` and of ``table``.

    Args:
        states: output of the encoder at each row.
        table: embedding, and bias where W = D + 1, of every item; row 0 (padding) takes no part.
        targets: item index of each row's target, 1 or above.
        weights: weight of each row; None takes the mean over the rows.
        label_smoothing: share of the labels that is spread evenly over all items.
        precision: precision of the matrix products.
        budget: scores in a chunk; None takes what suits the device.
    """
    if weights is None:
        weights = states.new_full((len(states),), 1.0 / len(states))
    loss: Tensor = _FullCrossEntropy.apply(  # type: ignore[no-untyped-call]
        states, table, targets, weights, label_smoothing, precision, budget
    )
    return loss


def soft_cross_entropy(
    states: Float[Tensor, "T D"],
    table: Float[Tensor, "M W"],
    labels: Int64[Tensor, "T K"],
    shares: Float[Tensor, "T K"],
    weights: Float[Tensor, "T"],
    *,
    temperature: float = 1.0,
    precision: ProductPrecision = "fp32",
) -> Float[Tensor, ""]:
    """Return the weighted sum of ``-temperature ** 2 * sum_k shares_k log softmax(scores / temperature)_k``.

    This is the softened Kullback-Leibler divergence of knowledge distillation (Hinton et al. 2015, arXiv 1503.02531)
    up to the entropy of the labels, which no parameter of the student changes; the square keeps its gradient roughly as
    large as that of hard labels. All other items have a share of 0, so their scores are pushed down.

    As scores are dot products, the mean score of a row's labels is its score against the mean of their embeddings, so
    that soft labels cost as much as a hard one.

    Args:
        states: output of the encoder at each row.
        table: embedding, and bias where W = D + 1, of every item; row 0 (padding) takes no part.
        labels: item indices of the soft labels.
        shares: their shares, which sum to 1 in each row.
        weights: weight of each row.
        temperature: divides the student's scores as it has divided the teacher's.
        precision: precision of the matrix products.
    """
    own = functional.embedding_bag(labels, table, mode="sum", per_sample_weights=shares) / temperature
    items = (table / temperature)[1:]
    loss: Tensor = _SoftCrossEntropy.apply(states, items, own, weights, precision)  # type: ignore[no-untyped-call]
    return temperature**2 * loss


class _FullCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        table: Tensor,
        targets: Tensor,
        weights: Tensor,
        label_smoothing: float,
        precision: ProductPrecision,
        budget: int | None,
    ) -> Tensor:
        own = smoothed(table[targets], table, label_smoothing)
        result = SharedSoftmax(table[1:], precision=precision, budget=budget).loss_and_gradients(states, own, weights)
        grad_table = torch.empty_like(table)
        grad_table[0], grad_table[1:] = 0.0, result.grad_items
        add_smoothed(grad_table, targets, result.grad_targets, label_smoothing)
        ctx.save_for_backward(result.grad_states, grad_table)
        return result.loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        grad_states, grad_table = ctx.saved_tensors
        return grad_states * grad_loss, grad_table * grad_loss, None, None, None, None, None


class _SoftCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, items: Tensor, own: Tensor, weights: Tensor, precision: ProductPrecision
    ) -> Tensor:
        result = SharedSoftmax(items, precision=precision).loss_and_gradients(states, own, weights)
        ctx.save_for_backward(result.grad_states, result.grad_items, result.grad_targets)
        return result.loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        grad_states, grad_items, grad_targets = (tensor * grad_loss for tensor in ctx.saved_tensors)
        return grad_states, grad_items, grad_targets, None, None


class LossAndGradients(NamedTuple):
    """A weighted sum of ``-log softmax``, and its gradients by the states, the rows' own targets, and the items."""

    loss: Float[Tensor, ""]
    grad_states: Float[Tensor, "T D"]
    grad_targets: Float[Tensor, "T W"]
    grad_items: Float[Tensor, "M W"]


class SharedSoftmax:
    """The softmax of each row's own target against items that all rows share.

    Args:
        items: embedding, and bias where W = D + 1, of each item.
        log_counts: what is subtracted from the scores of the items, none of which is a row's own target; None if the
            targets are among the items.
        excluded: scores that are left out.
        precision: precision of the matrix products.
        budget: scores in a chunk; None takes what suits the device.
    """

    def __init__(
        self,
        items: Float[Tensor, "M W"],
        *,
        log_counts: Float[Tensor, "M"] | None = None,
        excluded: Pairs | None = None,
        precision: ProductPrecision = "fp32",
        budget: int | None = None,
    ) -> None:
        self._items = items
        self._log_counts = log_counts
        self._excluded = excluded
        self._type = torch.bfloat16 if precision == "bf16" else items.dtype
        budget = budget or _BUDGETS.get(items.device.type, _BUDGETS["cuda"])
        self._rows = max(_LEAST, budget // max(len(items), 1))
        self._on_host = items.device.type == "cpu"

    def loss_and_gradients(
        self, states: Float[Tensor, "T D"], own: Float[Tensor, "T W"], weights: Float[Tensor, "T"]
    ) -> LossAndGradients:
        """Return the weighted sum of the rows' losses and its gradients.

        Args:
            states: output of the encoder at each row.
            own: embedding and bias of each row's target.
            weights: weight of each row.
        """
        result, largest = self._in_chunks(states, own, weights, look=self._on_host)
        if not self._on_host and bool(largest > _LARGE):  # A look waits for a GPU to catch up: one per step.
            result, _ = self._in_chunks(states, own, weights, look=True)
        return result

    def _in_chunks(
        self, states: Float[Tensor, "T D"], own: Float[Tensor, "T W"], weights: Float[Tensor, "T"], *, look: bool
    ) -> tuple[LossAndGradients, Float[Tensor, ""]]:
        """Return the loss and its gradients, and the largest sum of exponentials; ``look`` is for ``_exponentials``."""
        (n_rows, size), width = states.shape, own.shape[1]
        keys = self._keys(size)
        grad_keys = states.new_zeros(keys.shape[1], len(keys))
        buffer = keys.new_empty(min(self._rows, n_rows), len(keys))
        target = (self._rounded(states) * self._rounded(own[:, :size])).sum(1) + own[:, size:].sum(1)
        losses, grad_target_scores = torch.empty_like(target), torch.empty_like(target)
        grad_states, largest = torch.empty_like(states), states.new_zeros(())
        for rows, pairs in self._chunks(n_rows):
            scores = buffer[: len(target[rows])]
            queries, sums, base = self._exponentials(states[rows], target[rows], keys, pairs, scores, look=look)
            largest = torch.maximum(largest, sums[:, -1].amax())
            own_term = torch.exp(target[rows] - base) if self._log_counts is not None else torch.zeros_like(base)
            total = sums[:, -1] + own_term
            losses[rows] = torch.log(total) + base - target[rows]
            scale = (weights[rows] / total).unsqueeze(1)
            grad_target_scores[rows] = weights[rows] * (own_term / total - 1.0)
            grad_states[rows] = sums[:, :size] * scale
            grad_keys += torch.mm((queries * scale).to(self._type).T, scores)
        grad_states += grad_target_scores.unsqueeze(1) * own[:, :size]
        grad_targets = grad_target_scores.unsqueeze(1) * functional.pad(states, (0, width - size), value=1.0)
        return LossAndGradients(losses @ weights, grad_states, grad_targets, grad_keys[:width].T), largest

    def _chunks(self, n_rows: int) -> Iterator[tuple[slice, Pairs | None]]:
        starts = range(0, n_rows, self._rows)
        if self._excluded is None or len(starts) == 1:
            yield from ((slice(start, start + self._rows), self._excluded) for start in starts)
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
        *,
        look: bool,
    ) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"], Float[Tensor, "B"]]:
        """Write ``exp(score - base)`` to ``out``; return queries, sums of the keys by it, and the base.

        The base is the score of the target, or, if ``look``, the largest score where that one is too far above it.
        """
        queries = self._queries(states, base)
        torch.mm(queries, keys.T, out=out).exp_()
        if pairs is not None:
            out[pairs] = 0.0
        sums = torch.mm(out, keys).to(base.dtype)
        if look and bool((sums[:, -1] > _LARGE).any()):
            torch.mm(queries, keys.T, out=out)
            if pairs is not None:
                out[pairs] = -torch.inf
            largest = out.amax(1).to(base.dtype)
            return self._exponentials(states, base + largest.clamp(min=0.0), keys, pairs, out, look=True)
        return queries, sums, base


def _two_parts(values: Float[Tensor, "_"], kind: torch.dtype) -> tuple[Float[Tensor, "_"], Float[Tensor, "_"]]:
    """Split numbers into two of a shorter type whose sum is nearly exact."""
    high = values.to(kind)
    return high, (values - high).to(kind)
