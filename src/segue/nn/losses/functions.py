"""Losses on scores: pure functions with one signature, one value per row, the mean or sum left to the caller.

Every row of ``scores`` compares its own target with the other columns, its negatives. With target ``i`` and ``k``
negatives ``j``, and ``s`` the softmax over the negatives alone:

    cross-entropy   -log softmax(r)_i over target and negatives
    bce             -log sigma(r_i) - mean_j log sigma(-r_j)
    gbce            -[beta log sigma(r_i) + sum_j log sigma(-r_j)] / (k + 1)
    nce             -log sigma(r_i) - sum_j log sigma(-r_j)
    bpr             mean_j -log sigma(r_i - r_j)
    top1            mean_j [sigma(r_j - r_i) + sigma(r_j^2)]
    top1-max        sum_j s_j [sigma(r_j - r_i) + sigma(r_j^2)]
    bpr-max         -log sum_j s_j sigma(r_i - r_j) + regularisation * sum_j s_j r_j^2

BPR, TOP1: Hidasi et al. 2016 (arXiv 1511.06939); their max variants: Hidasi and Karatzoglou 2018 (arXiv 1706.03847).
The papers' TOP1 averages over the whole mini-batch, target included; here the target is not a negative of itself.
BCE: Kang and McAuley 2018 (arXiv 1808.09781), who draw one negative: more of them have the same mean. gBCE: Petrov and
Macdonald 2023 (arXiv 2308.07192). NCE: Gutmann and Hyvarinen 2010; Mnih and Teh 2012.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

_TINY = 1e-24
"""Keeps a logarithm finite where every negative beats the target by far."""


@runtime_checkable
class ScoreLoss(Protocol):
    """The signature of every loss."""

    def __call__(
        self,
        scores: Float[Tensor, "B M"],
        targets: Int64[Tensor, "B"],
        excluded: Bool[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "B"]:
        """Return the loss of each row.

        Args:
            scores: score of each column for each row.
            targets: the column of each row's target.
            excluded: True where a column takes no part; never at the target.
        """


def cross_entropy(
    scores: Float[Tensor, "B M"], targets: Int64[Tensor, "B"], excluded: Bool[Tensor, "B M"] | None = None
) -> Float[Tensor, "B"]:
    """Softmax cross-entropy of the target among all columns."""
    if excluded is not None:
        scores = scores.masked_fill(excluded, -torch.inf)
    return functional.cross_entropy(scores, targets, reduction="none")


def bpr(
    scores: Float[Tensor, "B M"], targets: Int64[Tensor, "B"], excluded: Bool[Tensor, "B M"] | None = None
) -> Float[Tensor, "B"]:
    """Bayesian personalised ranking (Rendle et al., 2009), averaged over the negatives."""
    negative, gap = _against_target(scores, targets, excluded)
    return _mean(-functional.logsigmoid(gap), negative)


def top1(
    scores: Float[Tensor, "B M"], targets: Int64[Tensor, "B"], excluded: Bool[Tensor, "B M"] | None = None
) -> Float[Tensor, "B"]:
    """TOP1: relative rank of the target, with a regularisation of the negatives' scores towards zero."""
    negative, gap = _against_target(scores, targets, excluded)
    return _mean(torch.sigmoid(-gap) + torch.sigmoid(scores.square()), negative)


def top1_max(
    scores: Float[Tensor, "B M"], targets: Int64[Tensor, "B"], excluded: Bool[Tensor, "B M"] | None = None
) -> Float[Tensor, "B"]:
    """TOP1 where each negative counts by its share of the softmax over the negatives."""
    negative, gap = _against_target(scores, targets, excluded)
    share = _softmax(scores, negative)
    return (share * (torch.sigmoid(-gap) + torch.sigmoid(scores.square()))).sum(1)


def bpr_max(
    scores: Float[Tensor, "B M"],
    targets: Int64[Tensor, "B"],
    excluded: Bool[Tensor, "B M"] | None = None,
    *,
    regularisation: float = 1.0,
) -> Float[Tensor, "B"]:
    """BPR against the softmax over the negatives, with score regularisation; a row without negatives counts 0."""
    negative, gap = _against_target(scores, targets, excluded)
    share = _softmax(scores, negative)
    ranking = -torch.log((share * torch.sigmoid(gap)).sum(1) + _TINY)
    return torch.where(negative.any(1), ranking, 0.0) + regularisation * (share * scores.square()).sum(1)


def bce(
    scores: Float[Tensor, "B M"], targets: Int64[Tensor, "B"], excluded: Bool[Tensor, "B M"] | None = None
) -> Float[Tensor, "B"]:
    """Binary cross-entropy of the target and of the average negative."""
    negative, _ = _against_target(scores, targets, excluded)
    return _mean(functional.softplus(scores), negative) - functional.logsigmoid(_at_target(scores, targets))


def gbce(
    scores: Float[Tensor, "B M"],
    targets: Int64[Tensor, "B"],
    excluded: Bool[Tensor, "B M"] | None = None,
    *,
    n_items: int | None = None,
    calibration: float = 0.75,
) -> Float[Tensor, "B"]:
    """Generalised binary cross-entropy, which takes back the overconfidence that few negatives bring.

    Args:
        scores: see ``ScoreLoss``.
        targets: see ``ScoreLoss``.
        excluded: see ``ScoreLoss``.
        n_items: number of items N, the target among them; None takes the columns of a row for all items.
        calibration: t of the paper, from 0 (none: beta is 1) to 1 (all of it: beta is the share of items drawn).
    """
    negative, _ = _against_target(scores, targets, excluded)
    count = negative.sum(1)
    rate = count / max(n_items - 1, 1) if n_items is not None else torch.ones_like(scores[:, 0])
    beta = 1.0 - calibration * (1.0 - rate.clamp(max=1.0))
    of_negatives = (functional.softplus(scores) * negative).sum(1)
    return (of_negatives - beta * functional.logsigmoid(_at_target(scores, targets))) / (count + 1)


def nce(
    scores: Float[Tensor, "B M"], targets: Int64[Tensor, "B"], excluded: Bool[Tensor, "B M"] | None = None
) -> Float[Tensor, "B"]:
    """Noise-contrastive estimation: is an item data or noise?

    ``scores`` are those of a model with log Z = 0, less the logarithm of how often each item is expected as noise.
    """
    negative, _ = _against_target(scores, targets, excluded)
    return (functional.softplus(scores) * negative).sum(1) - functional.logsigmoid(_at_target(scores, targets))


def cosine(states: Float[Tensor, "B D"], embeddings: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
    """Cosine distance of each state to the embedding of its target, which is taken as given."""
    return 1.0 - functional.cosine_similarity(states, embeddings.detach(), dim=1)


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


LOSSES: dict[str, ScoreLoss] = {
    "cross-entropy": cross_entropy,
    "bce": bce,
    "gbce": gbce,
    "nce": nce,
    "bpr": bpr,
    "top1": top1,
    "top1-max": top1_max,
    "bpr-max": bpr_max,
}
"""Every loss on scores by its name."""


def row_shares(states: Float[Tensor, "T D"], weights: Float[Tensor, "T"] | None) -> Float[Tensor, "T"]:
    """Return the weight of each row in the mean over the rows."""
    if weights is None:
        return states.new_full((len(states),), 1.0 / len(states))
    return weights / weights.sum()


def activated(loss: ScoreLoss, activation: str, elu: float = 1.0) -> ScoreLoss:
    """Return a loss of activated scores; see ``activate``."""
    return loss if activation == "linear" else lambda scores, *rest: loss(activate(scores, activation, elu), *rest)


def activate(scores: Float[Tensor, "B M"], activation: str, elu: float) -> Float[Tensor, "B M"]:
    """Apply a final activation: ``linear``, ``tanh``, or ``elu`` with the given weight of its negative part.

    All of them keep the order of the scores, so they matter for the loss and never for a ranking.
    """
    match activation:
        case "linear":
            return scores
        case "elu":
            return functional.elu(scores, elu)
        case _:
            return torch.tanh(scores)


def _against_target(
    scores: Float[Tensor, "B M"], targets: Int64[Tensor, "B"], excluded: Bool[Tensor, "B M"] | None
) -> tuple[Bool[Tensor, "B M"], Float[Tensor, "B M"]]:
    """Return which columns are negatives, and by how much the target leads each column."""
    column = targets.unsqueeze(1)
    negative = torch.ones_like(scores, dtype=torch.bool) if excluded is None else ~excluded
    return negative.scatter(1, column, False), scores.gather(1, column) - scores


def _at_target(scores: Float[Tensor, "B M"], targets: Int64[Tensor, "B"]) -> Float[Tensor, "B"]:
    return scores.gather(1, targets.unsqueeze(1)).squeeze(1)


def _mean(values: Float[Tensor, "B M"], chosen: Bool[Tensor, "B M"]) -> Float[Tensor, "B"]:
    return (values * chosen).sum(1) / chosen.sum(1).clamp(min=1)


def _softmax(scores: Float[Tensor, "B M"], chosen: Bool[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """Softmax over the chosen columns; all zero where a row has none."""
    return scores.masked_fill(~chosen, torch.finfo(scores.dtype).min).softmax(dim=1) * chosen


def _differences(values: Float[Tensor, "B M"]) -> Float[Tensor, "B M M"]:
    """Return the first of each pair less the second."""
    return values.unsqueeze(2) - values.unsqueeze(1)
