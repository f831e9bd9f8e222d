"""Losses on whole lists, for a model that puts a retrieved list in order; one value per list."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def list_net(
    scores: Float[Tensor, "B M"], relevance: Float[Tensor, "B M"], mask: Bool[Tensor, "B M"]
) -> Float[Tensor, "B"]:
    """Cross-entropy between the shares of relevance and the softmax of the scores (ListNet, Cao et al. 2007).

    The paper's top-one probability is in proportion to a function of the relevance, in its experiments ``exp``. Here
    it is the relevance itself, so that an irrelevant item has no share: with one relevant item per list this is the
    cross-entropy of that item. A list without a relevant item costs nothing.

    Args:
        scores: score of each item of each list.
        relevance: its relevance, 0 or above.
        mask: False where a list has ended.
    """
    relevance = relevance * mask
    share = relevance / relevance.sum(1, keepdim=True).clamp(min=torch.finfo(relevance.dtype).tiny)
    log_softmax = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).log_softmax(dim=1)
    return -(share * log_softmax).sum(1)


def lambda_rank(
    scores: Float[Tensor, "B M"], relevance: Float[Tensor, "B M"], mask: Bool[Tensor, "B M"]
) -> Float[Tensor, "B"]:
    """Pairwise logistic loss, each pair weighted by what swapping it changes in NDCG (LambdaRank, Burges 2010).

    Its gradient is that of the paper; the weights take part in none. Memory grows with the square of M. A list without
    a relevant item costs nothing.

    Args:
        scores: score of each item of each list.
        relevance: its relevance, 0 or above; the gain is ``2 ** relevance - 1``.
        mask: False where a list has ended.
    """
    gain = (torch.exp2(relevance) - 1.0) * mask
    places = scores.detach().masked_fill(~mask, -torch.inf).argsort(dim=1, descending=True, stable=True).argsort(1)
    discount = 1.0 / torch.log2(torch.arange(scores.shape[1], device=scores.device, dtype=scores.dtype) + 2.0)
    ideal = (gain.sort(1, descending=True).values * discount).sum(1)
    at_place = discount[places]
    change = _differences(gain) * _differences(at_place).abs()
    pairs = (change > 0) & mask.unsqueeze(2) & mask.unsqueeze(1)
    losses = (change * pairs * functional.softplus(-_differences(scores))).sum((1, 2))
    return losses / ideal.clamp(min=torch.finfo(scores.dtype).tiny)


def _differences(values: Float[Tensor, "B M"]) -> Float[Tensor, "B M M"]:
    """Return the first of each pair less the second."""
    return values.unsqueeze(2) - values.unsqueeze(1)
