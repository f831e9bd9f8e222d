"""Softmax cross-entropy of few rows over very many items, computed with its gradient in chunks of items.

A step of GRU4Rec has a row per lane: chunks of rows, as in ``softmax.py``, would contain the scores of all items for
dozens of rows at once. Here a first pass over chunks of items sums the exponentials, and a second one computes the
scores again for the gradient; if all scores fit into one chunk, they are kept instead. Products are in fp32.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from segue.nn.losses.label_smoothing import add_smoothed, smoothed

_BUDGETS = {"cpu": 1 << 20, "cuda": 1 << 26}
"""Scores in a chunk by device."""


def wide_cross_entropy(
    states: Float[Tensor, "T D"],
    table: Float[Tensor, "M W"],
    targets: Int64[Tensor, "T"],
    *,
    label_smoothing: float = 0.0,
    budget: int | None = None,
) -> Float[Tensor, ""]:
    """Return the sum of ``-log softmax(states @ embeddings.T + biases)`` at the targets.

    Args:
        states: output of the encoder at each row.
        table: embedding, and bias where W = D + 1, of every item; row 0 (padding) takes no part.
        targets: item index of each row's target, 1 or above.
        label_smoothing: share of the labels that is spread evenly over all items; see ``full_cross_entropy``.
        budget: scores in a chunk; None takes what suits the device.
    """
    budget = budget or _BUDGETS.get(states.device.type, _BUDGETS["cuda"])
    loss: Tensor = _WideCrossEntropy.apply(states, table, targets, label_smoothing, budget)  # type: ignore[no-untyped-call]
    return loss


class _WideCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, table: Tensor, targets: Tensor, label_smoothing: float, budget: int
    ) -> Tensor:
        size, width = states.shape[1], table.shape[1]
        queries = functional.pad(states, (0, width - size), value=1.0)  # [T, W]: the last column adds the bias
        items = table[1:]
        columns = max(1, budget // max(len(states), 1))
        chunks = [slice(first, first + columns) for first in range(0, len(items), columns)]
        log_sum = queries.new_full((len(queries),), -torch.inf)
        for chunk in chunks:
            scores = queries @ items[chunk].T
            log_sum = torch.logaddexp(log_sum, torch.logsumexp(scores, 1))
        own = smoothed(table[targets], table, label_smoothing)
        grad_queries, grad_table = -own, torch.zeros_like(table)
        for chunk in chunks:
            if len(chunks) > 1:
                scores = queries @ items[chunk].T
            shares = scores.sub_(log_sum.unsqueeze(1)).exp_()
            grad_queries += shares @ items[chunk]
            torch.mm(shares.T, queries, out=grad_table[1:][chunk])
        add_smoothed(grad_table, targets, -queries, label_smoothing)
        ctx.save_for_backward(grad_queries[:, :size], grad_table)
        return (log_sum - (queries * own).sum(1)).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        grad_states, grad_table = ctx.saved_tensors
        return grad_states * grad_loss, grad_table * grad_loss, None, None, None
