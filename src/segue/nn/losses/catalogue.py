"""How a state and its target become a loss: against the whole catalogue, against negatives, or against nothing.

``catalogue_loss`` is the one place where the names of losses and samplers become objects, whatever the encoder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, Int64
from torch import Tensor

from segue.errors import ParameterError
from segue.nn.encoders.base import Encoder
from segue.nn.losses.full import full_cross_entropy
from segue.nn.losses.functions import cosine, make_loss, row_shares
from segue.nn.losses.negatives import Negatives
from segue.nn.losses.sampled import Comparison, SampledScores, SampledSoftmax, SharedByAll, SharedByFew
from segue.nn.losses.shared_softmax import Precision
from segue.nn.sampling.samplers import PopularitySampler

LossName = Literal[
    "cross-entropy", "sampled-softmax", "bce", "gbce", "nce", "bpr", "bpr-max", "top1", "top1-max", "cosine"
]
"""Every loss by its name on the command line."""


@runtime_checkable
class CatalogueLoss(Protocol):
    """The loss of states whose targets are known."""

    def __call__(
        self,
        states: Float[Tensor, "T D"],
        targets: Int64[Tensor, "T"],
        encoder: Encoder,
        epoch: int,
        step: int,
        weights: Float[Tensor, "T"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss of the rows.

        Args:
            states: what the encoder says at each row.
            targets: item index of what followed.
            encoder: whose items the states are compared with.
            epoch: which draw of the negatives.
            step: which draw of the negatives.
            weights: weight of each row in the mean.
        """


class FullSoftmax:
    """Cross-entropy of each target among all items.

    Args:
        precision: precision of the matrix products.
    """

    def __init__(self, precision: Precision = "fp32") -> None:
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
        shares = row_shares(states, weights)
        return full_cross_entropy(states, encoder.table(), targets, shares, precision=self._precision)


class OutputEmbedding:
    """Cosine distance to the embedding of the target (Tan et al. 2016): its cost does not grow with the catalogue."""

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
        embeddings = encoder.rows(targets)[:, : states.shape[1]]
        return cosine(states, embeddings) @ row_shares(states, weights)


@dataclass(frozen=True)
class Sampling:
    """What the losses with negatives need to know; each parameter counts for the losses that use it.

    Attributes:
        n_samples: negatives drawn per step, or for each group of rows that share them.
        sharing: consecutive rows that share their negatives; 0 is all rows of a step.
        alpha: they are drawn by support ** alpha.
        in_batch: whether the other targets of a step are negatives, too.
        logq: strength of the correction of the sampled softmax.
        accidental_hits: what becomes of a negative that is the target itself.
        candidate_num: candidates drawn for each negative.
        gbce_t: calibration of gBCE.
    """

    n_samples: int = 0
    sharing: int = 0
    alpha: float = 0.5
    in_batch: bool = False
    logq: float = 1.0
    accidental_hits: Literal["reject", "keep"] = "reject"
    candidate_num: int = 1
    gbce_t: float = 0.75


_DRAWN = frozenset({"n_samples", "alpha", "in_batch"})
_COMPARED = _DRAWN | {"sharing", "accidental_hits", "candidate_num"}
_USED: Mapping[LossName, frozenset[str]] = {
    "cross-entropy": frozenset(),
    "sampled-softmax": _DRAWN | {"logq", "accidental_hits"},
    "bce": _COMPARED,
    "gbce": _COMPARED | {"gbce_t"},
    "nce": _DRAWN,
    "bpr": _COMPARED,
    "bpr-max": _COMPARED,
    "top1": _COMPARED,
    "top1-max": _COMPARED,
    "cosine": frozenset(),
}
"""The parameters that each loss uses."""

_REASONS: Mapping[str, str] = {
    "n_samples": "it needs no negatives",
    "alpha": "it needs no negatives",
    "in_batch": "it needs no negatives",
    "sharing": "its negatives, where it has any, are corrected for how likely they were drawn in the whole step",
    "logq": "only 'sampled-softmax' estimates a sum over the catalogue from negatives",
    "accidental_hits": "it has no negatives, or, as 'nce', noise that may be the target by definition",
    "candidate_num": "its negatives, where it has any, are corrected for how likely they were drawn, not chosen",
    "gbce_t": "only 'gbce' is calibrated",
}
"""Why a loss does not use a parameter."""


def without_idle(name: LossName, sampling: Sampling, usual: Sampling) -> Sampling:
    """Forget what a loss does not use and nobody asked for, since it is what a model takes for its usual loss.

    Args:
        name: which loss.
        sampling: how the negatives are drawn and used.
        usual: what the model does where nothing is said.
    """
    idle: dict[str, Any] = {
        field.name: field.default
        for field in fields(sampling)
        if field.name not in _USED[name] and getattr(sampling, field.name) == getattr(usual, field.name)
    }
    return replace(sampling, **idle)


def check_pair(name: LossName, sampling: Sampling, place: str = "training") -> None:
    """Refuse a loss together with parameters that mean nothing to it, or without those that it needs.

    Args:
        name: which loss.
        sampling: how the negatives are drawn and used.
        place: what stands before the parameters in a message.

    Raises:
        ParameterError: the first parameter that does not fit, and why.
    """
    for field in fields(sampling):
        value = getattr(sampling, field.name)
        if field.name not in _USED[name] and value != field.default:
            raise ParameterError(
                f"{place}.{field.name}: must be {field.default} with the loss '{name}', got {value}: "
                f"{_REASONS[field.name]}"
            )
    if "n_samples" in _USED[name] and sampling.n_samples == 0 and not sampling.in_batch:
        raise ParameterError(
            f"{place}.n_samples: must be at least 1 with the loss '{name}', got 0: it compares the target with "
            "negatives; draw some (256, for example) or set in_batch"
        )
    if sampling.sharing > 0 and (sampling.in_batch or sampling.n_samples == 0):
        raise ParameterError(
            f"{place}.sharing: must be 0 with in_batch, got {sampling.sharing}: all rows of a step share its targets; "
            "set n_samples instead of in_batch"
        )
    if sampling.candidate_num > 1 and (sampling.in_batch or sampling.n_samples == 0):
        raise ParameterError(
            f"{place}.candidate_num: must be 1 with in_batch, got {sampling.candidate_num}: candidates are drawn, the "
            "other targets of a step are not; set n_samples instead of in_batch"
        )


def catalogue_loss(
    name: LossName,
    support: Int[np.ndarray, "M"],
    sampling: Sampling,
    *,
    seed: int,
    precision: Precision = "fp32",
) -> CatalogueLoss:
    """Return a loss with its negatives.

    Args:
        name: which loss.
        support: training events per item index.
        sampling: how the negatives are drawn and used.
        seed: seed of the draws.
        precision: precision of the matrix products of the two kinds of softmax.

    Raises:
        ParameterError: the loss and the parameters do not go together.
    """
    check_pair(name, sampling)
    if name == "cross-entropy":
        return FullSoftmax(precision)
    if name == "cosine":
        return OutputEmbedding()
    size = sampling.n_samples * sampling.candidate_num
    sampler = PopularitySampler(support, sampling.alpha, size, seed) if size else None
    reject_hits = sampling.accidental_hits == "reject" and name != "nce"
    negatives = Negatives(sampler, support, in_batch=sampling.in_batch, reject_hits=reject_hits)
    if name == "sampled-softmax":
        return SampledSoftmax(negatives, logq=sampling.logq, precision=precision)
    loss = make_loss(name, n_items=len(support) - 1, calibration=sampling.gbce_t)
    comparison: Comparison = SharedByAll(negatives, less_log_counts=name == "nce")
    if sampler is not None and sampling.sharing > 0:
        comparison = SharedByFew(sampler, sharing=sampling.sharing, reject_hits=reject_hits)
    return SampledScores(loss, comparison, candidate_num=sampling.candidate_num)
