"""Cross-entropy against soft labels: several items of a row each hold a share of the target."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from segue.nn.losses.shared_softmax import Precision, SharedSoftmax


def soft_cross_entropy(
    states: Float[Tensor, "T D"],
    table: Float[Tensor, "M W"],
    labels: Int64[Tensor, "T K"],
    shares: Float[Tensor, "T K"],
    weights: Float[Tensor, "T"],
    *,
    temperature: float = 1.0,
    precision: Precision = "fp32",
) -> Float[Tensor, ""]:
    """Return the weighted sum of ``-temperature ** 2 * sum_k shares_k log softmax(scores / temperature)_k``.

    This is the softened Kullback-Leibler divergence of knowledge distillation (Hinton et al. 2015, arXiv 1503.02531)
    up to the entropy of the labels, which no parameter of the student changes; the square keeps its gradient as large
    as that of hard labels. As scores are dot products, the mean score of a row's labels is its score against the
    mean of their embeddings, so that soft labels cost as much as a hard one.

    Args:
        states: what the encoder says at each row.
        table: embedding, and bias where W = D + 1, of every item; row 0 (padding) takes no part.
        labels: item indices that hold a share.
        shares: the shares, which sum to 1 in each row.
        weights: weight of each row.
        temperature: softens the student as it has softened the labels.
        precision: precision of the matrix products.
    """
    own = functional.embedding_bag(labels, table, mode="sum", per_sample_weights=shares) / temperature
    loss: Tensor = _SoftCrossEntropy.apply(states, table / temperature, own, weights, precision)  # type: ignore[no-untyped-call]
    return temperature**2 * loss


class _SoftCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor, own: Tensor, weights: Tensor, precision: Precision) -> Tensor:
        terms = SharedSoftmax(table[1:], precision=precision).terms(states, own, weights)
        of_table = torch.empty_like(table)
        of_table[0], of_table[1:] = 0.0, terms.of_items
        ctx.save_for_backward(terms.of_states, of_table, terms.of_own)
        return terms.loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor | None, ...]:
        of_states, of_table, of_own = (tensor * of_loss for tensor in ctx.saved_tensors)
        return of_states, of_table, of_own, None, None
