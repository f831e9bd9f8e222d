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
The papers' TOP1 averages over the whole mini-batch, target included; here the target is no negative of itself.
BCE: Kang and McAuley 2018 (arXiv 1808.09781), who draw one negative: more of them have the same mean. gBCE: Petrov and
Macdonald 2023 (arXiv 2308.07192). NCE: Gutmann and Hyvarinen 2010; Mnih and Teh 2012.
"""

from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

_TINY = 1e-24
"""Keeps a logarithm finite where every negative beats the target by far."""


@runtime_checkable
class Loss(Protocol):
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
    """TOP1: relative rank of the target, and negatives drawn towards zero."""
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
        scores: see ``Loss``.
        targets: see ``Loss``.
        excluded: see ``Loss``.
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


LOSSES: dict[str, Loss] = {
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


def make_loss(
    name: str,
    *,
    activation: str = "linear",
    elu: float = 1.0,
    regularisation: float = 1.0,
    n_items: int | None = None,
    calibration: float = 0.75,
) -> Loss:
    """Return a loss with its final activation and its parameter bound.

    Args:
        name: a name of ``LOSSES``.
        activation: see ``activate``.
        elu: see ``activate``.
        regularisation: weight of the score regularisation of BPR-max.
        n_items: see ``gbce``.
        calibration: see ``gbce``.
    """
    loss = LOSSES[name]
    if loss is bpr_max:
        loss = partial(bpr_max, regularisation=regularisation)
    if loss is gbce:
        loss = partial(gbce, n_items=n_items, calibration=calibration)
    if activation == "linear":
        return loss

    def activated(scores: Tensor, targets: Tensor, excluded: Tensor | None = None) -> Tensor:
        return loss(activate(scores, activation, elu), targets, excluded)

    return activated


def row_shares(states: Float[Tensor, "T D"], weights: Float[Tensor, "T"] | None) -> Float[Tensor, "T"]:
    """Return what each row counts for in the mean over the rows."""
    if weights is None:
        return states.new_full((len(states),), 1.0 / len(states))
    return weights / weights.sum()


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
