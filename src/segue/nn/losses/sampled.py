"""The loss of a state against its target and negatives: the other targets of the step, drawn items, or both."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from segue.nn.encoders.base import Encoder
from segue.nn.losses.functions import Loss, row_shares
from segue.nn.losses.fused import shared_cross_entropy
from segue.nn.losses.negatives import Negatives
from segue.nn.losses.shared_softmax import Precision
from segue.nn.sampling.samplers import PopularitySampler, hardest


class Compared(NamedTuple):
    """Scores of a step: of each row's target, of its negatives, and which of these take no part."""

    own: Float[Tensor, "T"]
    negatives: Float[Tensor, "T S"]
    excluded: Bool[Tensor, "T S"]


class SampledSoftmax:
    """Cross-entropy of each target against itself and negatives that all rows of a step share.

    From the score of a negative, the correction subtracts the logarithm of how often it is expected among the
    negatives: then the sum over the negatives estimates the sum over the catalogue without bias (Bengio and Senecal
    2008). The target was not drawn but is always there, so it keeps its score (Khrylchenko et al. 2025, arXiv
    2507.09331).

    Args:
        negatives: what the targets are compared with.
        logq: strength of the correction; 1 is all of it, 0 none.
        precision: precision of the matrix products.
    """

    def __init__(self, negatives: Negatives, *, logq: float = 1.0, precision: Precision = "fp32") -> None:
        self._negatives = negatives
        self._logq = logq
        self._precision: Precision = precision

    def __call__(
        self,
        states: Float[Tensor, "T D"],
        targets: Int64[Tensor, "T"],
        encoder: Encoder,
        epoch: int,
        step: int,
        weights: Float[Tensor, "T"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; see ``CatalogueLoss``."""
        draw = self._negatives.draw(targets.cpu().numpy(), epoch, step, states.device)
        return shared_cross_entropy(
            states,
            encoder.rows(draw.ids),
            row_shares(states, weights),
            self._logq * draw.log_counts,
            draw.excluded,
            precision=self._precision,
        )


@runtime_checkable
class Comparison(Protocol):
    """Scores the targets of a step and what they are compared with."""

    def __call__(
        self, states: Float[Tensor, "T D"], targets: Int64[Tensor, "T"], encoder: Encoder, epoch: int, step: int
    ) -> Compared:
        """Return the scores; see ``CatalogueLoss``."""


class SharedByAll:
    """Negatives that all rows of a step share.

    Args:
        negatives: what the targets are compared with.
        less_log_counts: whether scores are less the logarithm of how often an item is expected among the negatives,
            that of the target as well; noise-contrastive estimation is told them so.
    """

    def __init__(self, negatives: Negatives, *, less_log_counts: bool = False) -> None:
        self._negatives = negatives
        self._less_log_counts = less_log_counts

    def __call__(
        self, states: Float[Tensor, "T D"], targets: Int64[Tensor, "T"], encoder: Encoder, epoch: int, step: int
    ) -> Compared:
        """Return the scores."""
        draw = self._negatives.draw(targets.cpu().numpy(), epoch, step, states.device)
        rows, size = encoder.rows(draw.ids), states.shape[1]
        shared = rows[len(rows) - len(draw.log_counts) :]
        own, scores = _own(states, rows), states @ shared[:, :size].T + shared[:, size:].sum(1)
        excluded = torch.zeros_like(scores, dtype=torch.bool)
        excluded[draw.excluded] = True
        if self._less_log_counts:
            own, scores = own - draw.own_log_counts, scores - draw.log_counts
        return Compared(own, scores, excluded)


class SharedByFew:
    """Negatives that a few consecutive rows share.

    Where thousands of rows share their negatives, a step pushes these few items down with all its weight, and a loss
    that judges every item by itself, as BCE and gBCE do, hardly learns. With negatives for every few rows, it does.

    Args:
        sampler: where the negatives come from.
        sharing: consecutive rows that share their negatives.
        reject_hits: whether a negative is left out for a row whose target it is.
    """

    def __init__(self, sampler: PopularitySampler, *, sharing: int, reject_hits: bool) -> None:
        self._sampler = sampler
        self._sharing = sharing
        self._reject_hits = reject_hits

    def __call__(
        self, states: Float[Tensor, "T D"], targets: Int64[Tensor, "T"], encoder: Encoder, epoch: int, step: int
    ) -> Compared:
        """Return the scores."""
        (n_rows, size), sharing = states.shape, self._sharing
        groups = -(-n_rows // sharing)
        drawn = torch.from_numpy(self._sampler.draw_rows(epoch, step, groups)).to(states.device)  # [G, S]
        rows = encoder.rows(torch.cat((targets, drawn.flatten())))
        shared = rows[n_rows:].view(groups, -1, rows.shape[1])
        grouped = functional.pad(states, (0, 0, 0, groups * sharing - n_rows)).view(groups, sharing, size)
        scores = grouped @ shared[:, :, :size].mT + shared[:, :, size:].sum(2).unsqueeze(1)  # [G, rows, S]
        group = torch.arange(n_rows, device=states.device) // sharing
        excluded = (drawn[group] == targets.unsqueeze(1)) & self._reject_hits
        return Compared(_own(states, rows), scores.flatten(0, 1)[:n_rows], excluded)


def _own(states: Float[Tensor, "T D"], rows: Float[Tensor, "R W"]) -> Float[Tensor, "T"]:
    """Return the score of each row's own target, whose embedding stands at its place."""
    size, own = states.shape[1], rows[: len(states)]
    return (states * own[:, :size]).sum(1) + own[:, size:].sum(1)


class SampledScores:
    """Any loss on the scores of each target and of its negatives.

    Args:
        loss: what is applied to the scores, the target's in column 0.
        comparison: what the targets are compared with.
        candidate_num: dynamic negative sampling (Zhang et al. 2013): so many negatives in turn are a row's candidates
            for one negative, and the best-scored one is taken.
    """

    def __init__(self, loss: Loss, comparison: Comparison, *, candidate_num: int = 1) -> None:
        self._loss = loss
        self._comparison = comparison
        self._candidate_num = candidate_num

    def __call__(
        self,
        states: Float[Tensor, "T D"],
        targets: Int64[Tensor, "T"],
        encoder: Encoder,
        epoch: int,
        step: int,
        weights: Float[Tensor, "T"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; see ``CatalogueLoss``."""
        own, negatives, excluded = self._comparison(states, targets, encoder, epoch, step)
        if self._candidate_num > 1:
            negatives, excluded = hardest(negatives, excluded, self._candidate_num)
        scores = torch.cat((own.unsqueeze(1), negatives), dim=1)
        losses = self._loss(scores, torch.zeros_like(targets), functional.pad(excluded, (1, 0)))
        return losses @ row_shares(states, weights)
