"""Cross-entropy over the whole catalogue, in memory that does not grow with rows x items."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from segue.nn.losses.shared_softmax import Precision, SharedSoftmax


def full_cross_entropy(
    states: Float[Tensor, "T D"],
    table: Float[Tensor, "M W"],
    targets: Int64[Tensor, "T"],
    weights: Float[Tensor, "T"] | None = None,
    *,
    precision: Precision = "fp32",
    budget: int | None = None,
) -> Float[Tensor, ""]:
    """Return the weighted sum of ``-log softmax(states @ embeddings.T + biases)`` at the targets.

    The gradient is computed with the loss, chunk by chunk, which is why the weight of each row must be known: what
    is kept for the backward pass has the size of ``states`` and of ``table``.

    Args:
        states: what the encoder says at each row.
        table: embedding, and bias where W = D + 1, of every item; row 0 (padding) takes no part.
        targets: item index of each row's target, 1 or above.
        weights: weight of each row; None takes the mean over the rows.
        precision: precision of the matrix products.
        budget: scores in a chunk; None takes what suits the device.
    """
    if weights is None:
        weights = states.new_full((len(states),), 1.0 / len(states))
    loss: Tensor = _FullCrossEntropy.apply(states, table, targets, weights, precision, budget)  # type: ignore[no-untyped-call]
    return loss


class _FullCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        table: Tensor,
        targets: Tensor,
        weights: Tensor,
        precision: Precision,
        budget: int | None,
    ) -> Tensor:
        terms = SharedSoftmax(table[1:], precision=precision, budget=budget).terms(states, table[targets], weights)
        of_table = torch.empty_like(table)
        of_table[0], of_table[1:] = 0.0, terms.of_items
        of_table.index_add_(0, targets, terms.of_own)
        ctx.save_for_backward(terms.of_states, of_table)
        return terms.loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor | None, ...]:
        of_states, of_table = ctx.saved_tensors
        return of_states * of_loss, of_table * of_loss, None, None, None, None
