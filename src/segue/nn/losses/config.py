"""The losses by name, each with its parameters: the section ``training.loss`` of a model."""

from abc import abstractmethod
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Int
from pydantic import BeforeValidator, Field, field_validator

from segue.nn.losses.functions import LOSSES, ScoreLoss, gbce
from segue.nn.losses.sampled import StepLoss, full_softmax, output_embedding, sampled_scores, sampled_softmax
from segue.nn.losses.softmax import ProductPrecision
from segue.nn.sampling import GroupedNegatives, NegativeSampler, PopularitySampler, SharedNegatives
from segue.parameters import KIND, Section


class LossConfig(Section):
    """A loss and its parameters."""

    kind: str
    """Name of the loss."""

    def negatives(self, support: Int[np.ndarray, "M"], seed: int) -> NegativeSampler | None:
        """Return the negative sampler; None for a loss without negatives.

        Args:
            support: training events per item index.
            seed: random seed.
        """
        return None

    @abstractmethod
    def loss(self, n_items: int, precision: ProductPrecision) -> StepLoss:
        """Return the loss of a step.

        Args:
            n_items: number of items N.
            precision: precision of the matrix products of the softmax losses.
        """


class LabelSmoothingMixin(Section):
    """Mixin of a softmax cross-entropy."""

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of each label that is spread evenly over the items that the target is compared with; 0 is no label
    smoothing."""


class FullCrossEntropy(LabelSmoothingMixin, LossConfig):
    """Softmax cross-entropy over all items."""

    kind: Literal["cross-entropy"] = "cross-entropy"

    def loss(self, n_items: int, precision: ProductPrecision) -> StepLoss:
        """Return the loss of a step."""
        return partial(full_softmax, label_smoothing=self.label_smoothing, precision=precision)


class Cosine(LossConfig):
    """Cosine distance to the embedding of the target."""

    kind: Literal["cosine"] = "cosine"

    def loss(self, n_items: int, precision: ProductPrecision) -> StepLoss:
        """Return the loss of a step."""
        return output_embedding


class SampledLoss(LossConfig):
    """A loss with sampled negatives."""

    n_samples: int = Field(256, ge=0)
    """Number of negatives sampled per step and shared by its targets."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Negatives are sampled in proportion to support ** alpha: 0 is uniform, 1 is by popularity."""

    @property
    def n_drawn(self) -> int:
        """Number of items per sample."""
        return self.n_samples

    @property
    def reject_hits(self) -> bool:
        """Whether negatives that equal the target are dropped."""
        return False

    def sampler(self, support: Int[np.ndarray, "M"], seed: int) -> PopularitySampler | None:
        """Return the item sampler; None if no items are sampled."""
        return PopularitySampler(support, self.alpha, self.n_drawn, seed) if self.n_drawn else None


class AccidentalHitsMixin(Section):
    """Mixin of a loss that can drop negatives that equal the target."""

    accidental_hits: Literal["reject", "keep"] = "reject"
    """Whether to drop (reject) or keep sampled negatives that equal the target."""

    @property
    def reject_hits(self) -> bool:
        """Whether negatives that equal the target are dropped."""
        return self.accidental_hits == "reject"


class LogQMixin(Section):
    """Mixin of a sampled softmax with logQ correction."""

    logq: float = Field(1.0, ge=0)
    """Factor of the logQ correction, which lowers the score of an item by the logarithm of how often it is sampled;
    0 is no correction."""


class SharedNegativesLoss(SampledLoss):
    """A loss whose negatives are sampled items, the other targets of the step, or both."""

    in_batch: bool = Field(False, validate_default=True)
    """Whether the other targets of a step are also negatives."""

    @field_validator("in_batch")
    @classmethod
    def _has_negatives(cls, in_batch: bool, values: Any) -> bool:
        if not in_batch and values.data.get("n_samples") == 0:
            raise ValueError(
                "true with n_samples 0 (the loss needs negatives; set n_samples, for example to 256, or in_batch)"
            )
        return in_batch

    def negatives(self, support: Int[np.ndarray, "M"], seed: int) -> NegativeSampler:
        """Return the negative sampler."""
        sampler = self.sampler(support, seed)
        return SharedNegatives(sampler, support, in_batch=self.in_batch, reject_hits=self.reject_hits)


class NCE(SharedNegativesLoss):
    """Noise-contrastive estimation; by definition, its noise may include the target."""

    kind: Literal["nce"] = "nce"

    def loss(self, n_items: int, precision: ProductPrecision) -> StepLoss:
        """Return the loss of a step."""
        return partial(sampled_scores, loss=LOSSES[self.kind], subtract_log_counts=True)


class SampledSoftmax(LabelSmoothingMixin, LogQMixin, AccidentalHitsMixin, SharedNegativesLoss):
    """Softmax cross-entropy against the negatives of a step."""

    kind: Literal["sampled-softmax"] = "sampled-softmax"

    def loss(self, n_items: int, precision: ProductPrecision) -> StepLoss:
        """Return the loss of a step."""
        return partial(sampled_softmax, logq=self.logq, label_smoothing=self.label_smoothing, precision=precision)


class RankingLoss(AccidentalHitsMixin, SharedNegativesLoss):
    """A loss on the scores of the target and of each negative."""

    kind: Literal["bce", "bpr", "bpr-max", "top1", "top1-max"]
    targets_per_draw: int = Field(0, ge=0)
    """Number of consecutive targets that share n_samples negatives; 0 means all targets of a step."""
    candidate_num: int = Field(1, ge=1)
    """Number of candidates sampled for each negative, of which the one with the highest score is used; 1 uses all."""

    @field_validator("targets_per_draw", "candidate_num")
    @classmethod
    def _needs_draws(cls, number: int, values: Any) -> int:
        least = 0 if values.field_name == "targets_per_draw" else 1
        if number > least and values.data.get("in_batch"):
            raise ValueError(
                f"{least} with in_batch (the other targets of a step are not sampled; set n_samples instead)"
            )
        return number

    @property
    def n_drawn(self) -> int:
        """Number of items per sample, including candidates."""
        return self.n_samples * self.candidate_num

    def negatives(self, support: Int[np.ndarray, "M"], seed: int) -> NegativeSampler:
        """Return the negative sampler."""
        sampler, size = self.sampler(support, seed), self.targets_per_draw
        if sampler is None or size == 0:
            return super().negatives(support, seed)
        return GroupedNegatives(sampler, len(support) - 1, group_size=size, reject_hits=self.reject_hits)

    def loss(self, n_items: int, precision: ProductPrecision) -> StepLoss:
        """Return the loss of a step."""
        return partial(sampled_scores, loss=self.score_loss(n_items), candidate_num=self.candidate_num)

    def score_loss(self, n_items: int) -> ScoreLoss:
        """Return the loss on scores."""
        return LOSSES[self.kind]


class GBCE(RankingLoss):
    """Generalised binary cross-entropy."""

    kind: Literal["gbce"] = "gbce"  # type: ignore[assignment]
    gbce_t: float = Field(0.75, ge=0, le=1)
    """Calibration t of gBCE: 0 is BCE with equal weights for the target and each negative, 1 fully corrects the
    overconfidence due to negative sampling."""

    def score_loss(self, n_items: int) -> ScoreLoss:
        """Return the loss on scores."""
        return partial(gbce, n_items=n_items, calibration=self.gbce_t)


def by_name(value: Any) -> Any:
    """Convert a plain name to the section of a loss with its defaults."""
    return {KIND: value} if isinstance(value, str) else value


Loss = Annotated[
    FullCrossEntropy | SampledSoftmax | RankingLoss | GBCE | NCE | Cosine,
    Field(discriminator=KIND),
    BeforeValidator(by_name),
]
"""Any loss of a sequence encoder; a plain name means the loss with its defaults."""
