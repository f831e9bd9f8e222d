"""Cross-entropy against sampled items, whose scores and gradients are one differentiable operation.

Written as a chain of small operations, most of a training step goes into temporaries. Here the scores of B states
against M candidates exist once: the softmax is taken in place and turned into the gradient in place.
``functions.cross_entropy`` says the same, and is what the tests compare with.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from segue.nn.losses.shared_softmax import Pairs, Precision, SharedSoftmax

_TINY = 1e-24
"""Keeps the logarithm finite where a negative beats the target by far, as in the authors' code of GRU4Rec."""


def sampled_cross_entropy(
    states: Float[Tensor, "B D"],
    candidates: Float[Tensor, "M W"],
    log_q: Float[Tensor, "M"],
    excluded: tuple[Int64[Tensor, "E"], Int64[Tensor, "E"]],
) -> Float[Tensor, "B"]:
    """Return ``-log softmax(states @ embeddings.T + biases - log_q)`` at column ``b`` of each row ``b``.

    Args:
        states: what the encoder says about each session.
        candidates: embedding of each compared item and, in the last column, its bias (W = D + 1); shared by all
            rows, the first B are the targets of the rows.
        log_q: what to subtract from each column.
        excluded: rows and columns of the scores that take no part (accidental hits).
    """
    loss: Tensor = _SampledCrossEntropy.apply(states, candidates, log_q, excluded)  # type: ignore[no-untyped-call]
    return loss


def shared_cross_entropy(
    states: Float[Tensor, "T D"],
    rows: Float[Tensor, "R W"],
    weights: Float[Tensor, "T"],
    log_counts: Float[Tensor, "M"],
    excluded: Pairs,
    *,
    precision: Precision = "fp32",
) -> Float[Tensor, ""]:
    """Return the weighted sum of ``-log softmax`` of each row's target against itself and the shared negatives.

    Args:
        states: what the encoder says at each row.
        rows: embedding, and bias where W = D + 1, of the target of each row and of the drawn items.
        weights: weight of each row.
        log_counts: what is subtracted from the score of each negative; these are the last M of ``rows``.
        excluded: scores against the negatives that take no part.
        precision: precision of the matrix products.
    """
    loss: Tensor = _SharedCrossEntropy.apply(states, rows, weights, log_counts, excluded, precision)  # type: ignore[no-untyped-call]
    return loss


class _SampledCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, candidates: Tensor, log_q: Tensor, excluded: tuple[Tensor, Tensor]) -> Tensor:
        scores = torch.addmm(candidates[:, -1] - log_q, states, candidates[:, :-1].T)
        scores[excluded] = -torch.inf
        gradient = torch.softmax(scores, dim=1, out=scores)
        at_target = gradient.diagonal()
        loss = -torch.log(at_target + _TINY)
        at_target -= 1.0
        ctx.save_for_backward(states, candidates, gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor | None, ...]:
        states, candidates, gradient = ctx.saved_tensors
        weight = of_loss.unsqueeze(1)
        of_states = torch.mm(gradient, candidates[:, :-1]).mul_(weight)
        of_candidates = torch.empty_like(candidates)
        torch.mm(gradient.T, states * weight, out=of_candidates[:, :-1])
        of_candidates[:, -1] = torch.mv(gradient.T, of_loss)
        return of_states, of_candidates, None, None


class _SharedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        rows: Tensor,
        weights: Tensor,
        log_counts: Tensor,
        excluded: Pairs,
        precision: Precision,
    ) -> Tensor:
        first = len(rows) - len(log_counts)
        softmax = SharedSoftmax(rows[first:], log_counts=log_counts, excluded=excluded, precision=precision)
        terms = softmax.terms(states, rows[: len(states)], weights)
        of_rows = torch.zeros_like(rows)
        of_rows[: len(states)] = terms.of_own
        of_rows[first:] += terms.of_items
        ctx.save_for_backward(terms.of_states, of_rows)
        return terms.loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor | None, ...]:
        of_states, of_rows = ctx.saved_tensors
        return of_states * of_loss, of_rows * of_loss, None, None, None, None
