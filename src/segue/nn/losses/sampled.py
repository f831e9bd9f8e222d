"""Losses of a step: the states of a batch against their targets and all items, sampled negatives, or no other items.

The softmax losses with negatives are one differentiable operation each. Written as a chain of small operations, most
of a training step would go into temporaries; here the scores exist once, and are turned into the gradient in place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from segue.nn.encoders.base import Encoder
from segue.nn.losses.functions import ScoreLoss, cosine, row_shares
from segue.nn.losses.label_smoothing import summed_scores
from segue.nn.losses.softmax import ProductPrecision, SharedSoftmax, full_cross_entropy
from segue.nn.losses.wide_softmax import wide_cross_entropy
from segue.nn.negatives import Negatives, Pairs

_TINY = 1e-24
"""Keeps the logarithm finite where a negative beats the target by far, as in the authors' code of GRU4Rec."""


@dataclass(frozen=True, eq=False)
class LossInput:
    """A step as a loss sees it; all tensors are on the device of the encoder.

    Attributes:
        states: output of the encoder at each row.
        targets: item index of what followed.
        encoder: holds the item table.
        negatives: the sampled negatives; None for losses without negatives.
        candidate_embeddings: embedding, and bias where W = D + 1, of each of ``negatives.ids``.
        weights: weight of each row in the mean; None weights all alike.
    """

    states: Float[Tensor, "T D"]
    targets: Int64[Tensor, "T"]
    encoder: Encoder
    negatives: Negatives | None = None
    candidate_embeddings: Float[Tensor, "R W"] | None = None
    weights: Float[Tensor, "T"] | None = None

    def row_shares(self) -> Float[Tensor, "T"]:
        """Return the share of each row in the mean."""
        return row_shares(self.states, self.weights)

    def candidates(self) -> tuple[Negatives, Float[Tensor, "R W"]]:
        """Return the negatives of a loss that has some, and the embeddings of its candidates."""
        assert self.negatives is not None
        assert self.candidate_embeddings is not None
        return self.negatives, self.candidate_embeddings

    def own_scores(self) -> Float[Tensor, "T"]:
        """Return the score of each row's target."""
        _, embeddings = self.candidates()
        size, own = self.states.shape[1], embeddings[: len(self.states)]
        return (self.states * own[:, :size]).sum(1) + own[:, size:].sum(1)


StepLoss = Callable[[LossInput], Float[Tensor, ""]]
"""The loss of a step: the weighted mean over its rows."""


def full_softmax(
    step: LossInput, *, label_smoothing: float = 0.0, precision: ProductPrecision = "fp32"
) -> Float[Tensor, ""]:
    """Cross-entropy of each target among all items."""
    table, shares = step.encoder.table(), step.row_shares()
    return full_cross_entropy(
        step.states, table, step.targets, shares, label_smoothing=label_smoothing, precision=precision
    )


def output_embedding(step: LossInput) -> Float[Tensor, ""]:
    """Cosine distance to the embedding of the target (Tan et al. 2016): its cost does not grow with the catalogue."""
    embeddings = step.encoder.rows(step.targets)[:, : step.states.shape[1]]
    return cosine(step.states, embeddings) @ step.row_shares()


def sampled_softmax(
    step: LossInput, *, logq: float = 1.0, label_smoothing: float = 0.0, precision: ProductPrecision = "fp32"
) -> Float[Tensor, ""]:
    """Cross-entropy of each target against itself and negatives that all rows of a step share.

    From the score of a negative, the correction subtracts the logarithm of how often it is expected among the
    negatives: then the sum over the negatives estimates the sum over the catalogue without bias (Bengio and Senecal
    2008). The target was not drawn but is always there, so it keeps its score (Khrylchenko et al. 2025, arXiv
    2507.09331).

    Args:
        step: the step.
        logq: strength of the correction; 1 is all of it, 0 none.
        label_smoothing: share of the labels that is spread evenly over the target and its negatives.
        precision: precision of the matrix products.
    """
    negatives, embeddings = step.candidates()
    assert negatives.log_counts is not None
    log_counts, shares, hits = logq * negatives.log_counts[negatives.first :], step.row_shares(), negatives.excluded
    loss = shared_cross_entropy(step.states, embeddings, shares, log_counts, hits, precision=precision)
    if label_smoothing == 0:
        return loss
    own = step.own_scores()
    sums, counts = summed_scores(step.states, own, embeddings[negatives.first :], log_counts, hits)
    return loss + label_smoothing * (own - (own + sums) / (1 + counts)) @ shares


def sampled_scores(
    step: LossInput, *, loss: ScoreLoss, candidate_num: int = 1, subtract_log_counts: bool = False
) -> Float[Tensor, ""]:
    """Any loss on the scores of each target and of its negatives.

    Args:
        step: the step.
        loss: applied to the scores, the target's in column 0.
        candidate_num: dynamic negative sampling (Zhang et al. 2013): of so many negatives in turn, only the one that
            scores best for a row is compared with its target.
        subtract_log_counts: whether to subtract from every score, the target's too, the logarithm of how often the
            item is expected among the negatives, as noise-contrastive estimation does.
    """
    own, (scores, excluded) = step.own_scores(), _negative_scores(step)
    if subtract_log_counts:
        negatives, _ = step.candidates()
        assert negatives.log_counts is not None
        own = own - negatives.log_counts[: len(own)]
        scores = scores - negatives.log_counts[negatives.first :]
    if candidate_num > 1:
        scores, excluded = hardest(scores, excluded, candidate_num)
    scores = torch.cat((own.unsqueeze(1), scores), dim=1)
    losses = loss(scores, torch.zeros_like(step.targets), functional.pad(excluded, (1, 0)))
    return losses @ step.row_shares()


def session_parallel(
    step: LossInput, *, loss: ScoreLoss | None = None, logq: float = 0.0, label_smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Sum over the lanes of GRU4Rec's losses, where column ``b`` of the scores is the target of lane ``b``.

    The logQ correction takes back that popular items are compared with more often than others (Bengio and Senecal,
    2008), up to the scale of the weights: see ``SessionParallelNegatives``. The other losses have no correction and no
    label smoothing.

    Args:
        step: the step; ``negatives`` are those of ``SessionParallelNegatives``.
        loss: applied to the scores; None is the cross-entropy.
        logq: factor of the correction of the cross-entropy; 1 is that of the authors' code, 0 none.
        label_smoothing: share of the labels of the cross-entropy that is spread evenly over the columns of a row.
    """
    negatives, embeddings = step.candidates()
    if loss is None:
        assert negatives.log_counts is not None
        log_counts, hits = logq * negatives.log_counts, negatives.excluded
        losses = sampled_cross_entropy(step.states, embeddings, log_counts, hits)
        if label_smoothing == 0:
            return losses.sum()
        own = step.own_scores()
        sums, counts = summed_scores(step.states, own, embeddings, log_counts, hits)
        return (losses + label_smoothing * (own - log_counts[: len(own)] - sums / counts)).sum()
    scores = torch.addmm(embeddings[:, -1], step.states, embeddings[:, :-1].T)
    excluded = torch.zeros_like(scores, dtype=torch.bool)
    excluded[negatives.excluded] = True
    return loss(scores, torch.arange(len(scores), device=scores.device), excluded).sum()


def full_session_parallel(step: LossInput, *, label_smoothing: float = 0.0) -> Float[Tensor, ""]:
    """Sum over the lanes of the cross-entropy of each target among all items."""
    return wide_cross_entropy(step.states, step.encoder.table(), step.targets, label_smoothing=label_smoothing)


def hardest(
    scores: Float[Tensor, "T M"], excluded: Bool[Tensor, "T M"], candidates: int
) -> tuple[Float[Tensor, "T S"], Bool[Tensor, "T S"]]:
    """Keep the best-scored one of every few columns, for each row its own (dynamic negative sampling).

    Args:
        scores: scores of the negatives.
        excluded: negatives that are left out; one is kept only where all of its group are.
        candidates: columns of a group; must divide M.
    """
    groups = scores.view(len(scores), -1, candidates)
    out = excluded.view(len(excluded), -1, candidates)
    best = groups.detach().masked_fill(out, -torch.inf).argmax(2, keepdim=True)
    return groups.gather(2, best).squeeze(2), out.gather(2, best).squeeze(2)


def _negative_scores(step: LossInput) -> tuple[Float[Tensor, "T M"], Bool[Tensor, "T M"]]:
    """Return the scores of the negatives of each row, and which of them are left out."""
    negatives, embeddings = step.candidates()
    (n_rows, size), group_size, embeddings = step.states.shape, negatives.group_size, embeddings[negatives.first :]
    if group_size == 0:
        scores = step.states @ embeddings[:, :size].T + embeddings[:, size:].sum(1)
    else:
        before = negatives.missing
        groups = -(-(before + n_rows) // group_size)
        shared = embeddings.view(groups, -1, embeddings.shape[1])  # [G, S, W]
        after = groups * group_size - before - n_rows
        grouped = functional.pad(step.states, (0, 0, before, after)).view(groups, group_size, size)
        scores = grouped @ shared[:, :, :size].mT + shared[:, :, size:].sum(2).unsqueeze(1)  # [G, rows, S]
        scores = scores.flatten(0, 1)[before : before + n_rows]
    excluded = torch.zeros_like(scores, dtype=torch.bool)
    excluded[negatives.excluded] = True
    return scores, excluded


def sampled_cross_entropy(
    states: Float[Tensor, "B D"],
    candidates: Float[Tensor, "M W"],
    log_q: Float[Tensor, "M"],
    excluded: Pairs,
) -> Float[Tensor, "B"]:
    """Return ``-log softmax(states @ embeddings.T + biases - log_q)`` at column ``b`` of each row ``b``.

    Args:
        states: output of the encoder for each row.
        candidates: embedding of each compared item and, in the last column, its bias (W = D + 1); shared by all
            rows, the first B are the targets of the rows.
        log_q: subtracted from each column.
        excluded: rows and columns of the scores that are left out.
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
    precision: ProductPrecision = "fp32",
) -> Float[Tensor, ""]:
    """Return the weighted sum of ``-log softmax`` of each row's target against itself and the shared negatives.

    Args:
        states: output of the encoder at each row.
        rows: embedding, and bias where W = D + 1, of the target of each row and of the sampled items.
        weights: weight of each row.
        log_counts: subtracted from the score of each negative; these are the last M of ``rows``.
        excluded: scores against the negatives that are left out.
        precision: precision of the matrix products.
    """
    loss: Tensor = _SharedCrossEntropy.apply(states, rows, weights, log_counts, excluded, precision)  # type: ignore[no-untyped-call]
    return loss


class _SampledCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, candidates: Tensor, log_q: Tensor, excluded: Pairs) -> Tensor:
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
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        states, candidates, gradient = ctx.saved_tensors
        weight = grad_loss.unsqueeze(1)
        grad_states = torch.mm(gradient, candidates[:, :-1]).mul_(weight)
        grad_candidates = torch.empty_like(candidates)
        torch.mm(gradient.T, states * weight, out=grad_candidates[:, :-1])
        grad_candidates[:, -1] = torch.mv(gradient.T, grad_loss)
        return grad_states, grad_candidates, None, None


class _SharedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        rows: Tensor,
        weights: Tensor,
        log_counts: Tensor,
        excluded: Pairs,
        precision: ProductPrecision,
    ) -> Tensor:
        first = len(rows) - len(log_counts)
        softmax = SharedSoftmax(rows[first:], log_counts=log_counts, excluded=excluded, precision=precision)
        result = softmax.loss_and_gradients(states, rows[: len(states)], weights)
        grad_rows = torch.zeros_like(rows)
        grad_rows[: len(states)] = result.grad_targets
        grad_rows[first:] += result.grad_items
        ctx.save_for_backward(result.grad_states, grad_rows)
        return result.loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        grad_states, grad_rows = ctx.saved_tensors
        return grad_states * grad_loss, grad_rows * grad_loss, None, None, None, None
