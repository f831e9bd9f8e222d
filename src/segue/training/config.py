"""How a neural model is trained: the parameters that all of them share."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from segue.errors import InputError
from segue.metrics import CHOOSING_METRICS, MetricName
from segue.nn.losses.catalogue import LossName


class FineTuning(BaseModel):
    """Training that goes on with a selection of the sessions, to follow a taste that changes (Tan et al. 2016)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    epochs: int = Field(0, ge=0)
    """Most passes over the selection, after the training on all sessions; 0 is no fine-tuning."""
    recent_share: float = Field(0.25, gt=0, le=1)
    """Share of the sessions that is selected, the most recent ones."""
    last_days: float | None = Field(None, gt=0)
    """Of these, only sessions that ended in the last days of the log; None selects by no time."""
    longest: int | None = Field(None, ge=2)
    """Of these, only sessions of at most so many events; None selects by no length."""
    learning_rate: float | None = Field(None, gt=0)
    """Step size; None takes that of the training before."""


class TrainingConfig(BaseModel):
    """The training section of a model's configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    epochs: int = Field(10, ge=1)
    """Most passes over the training data."""
    batch_size: int = Field(128, ge=1)
    """Sessions (or session-parallel lanes) per step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Step size of the optimiser, before the schedule."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate falls to zero over the whole training; constant keeps it."""
    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of the training over which the learning rate rises from zero."""
    clip_norm: float | None = Field(None, gt=0)
    """Largest gradient norm; None clips nothing."""
    patience: int | None = Field(3, ge=1)
    """Epochs without a better validation before training stops; None never stops early."""
    metric: str = "mrr@20"
    """Validation metric that picks the best epoch."""
    fine_tuning: FineTuning = FineTuning()
    """A second training, on a selection of the sessions."""

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, metric: str) -> str:
        try:
            name = MetricName.parse(metric).name
        except InputError as error:
            raise ValueError(f"a metric ({error})") from None
        if name not in CHOOSING_METRICS:
            raise ValueError(f"a metric of ranks ({', '.join(CHOOSING_METRICS)}), of which more is better")
        return metric


class Distillation(BaseModel):
    """How a student learns from a teacher (Hinton et al. 2015, arXiv 1503.02531).

    The loss of an event is ``(1 - weight) * loss(label) + weight * temperature ** 2 * H(teacher, student)``, where H is
    the cross-entropy between the softmaxes of their scores divided by ``temperature``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    weight: float = Field(0.5, gt=0, le=1)
    """Weight of what the teacher says; the rest is that of the labels."""
    temperature: float = Field(1.0, gt=0)
    """Scores of teacher and student are divided by it before their softmax."""
    top: int = Field(50, ge=1)
    """Items of the teacher that are kept for each event, its best ones."""


class Privileged(Distillation):
    """A teacher that is told what comes after the event to predict, latest first (Tan et al. 2016).

    The teacher is a model of the same kind, trained on the sessions backwards. The last event of a session has nothing
    after it, and so its label alone.
    """

    weight: float = Field(0.0, ge=0, lt=1)
    """Weight of what the teacher says; 0 trains without a teacher."""


class SequenceTraining(TrainingConfig):
    """How a sequence encoder is trained."""

    optimizer: Literal["adamw", "adagrad", "mixed"] = "adamw"
    """AdamW; Adagrad, with a learning_rate of about 0.07, which touches only the items in use and learns faster where
    they are many; or mixed: Adagrad for whatever has a row per item, AdamW for all else."""
    table_learning_rate: float = Field(0.07, gt=0)
    """Step size of Adagrad where the optimizer is 'mixed', and learning_rate that of AdamW; a further training with
    another learning_rate changes both by the same factor."""
    weight_decay: float = Field(0.0, ge=0)
    """Decay of AdamW; Adagrad has none."""
    positions: Literal["auto", "all", "last"] = "auto"
    """Where the next item is predicted: at all positions of a window (causal encoders only), or after the last event
    of every prefix; auto takes all where it can."""
    windows: Literal["all", "recent"] = "all"
    """Sessions longer than a window, trained at all positions: cut into windows, or only the most recent one used."""
    loss: LossName = "cross-entropy"
    """What is minimised."""
    n_samples: int = Field(0, ge=0)
    """Negatives drawn per step and shared by its targets; the full cross-entropy needs none."""
    sharing: int = Field(0, ge=0)
    """Draw n_samples negatives anew for so many consecutive targets; 0 shares one draw among all targets of a step."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Negatives are drawn by support ** alpha: 0 is uniform, 1 is popularity."""
    in_batch: bool = False
    """Whether the other targets of a step are negatives, too."""
    logq: float = Field(1.0, ge=0)
    """Strength of the logQ correction of the sampled softmax: 1 is all of it, 0 none."""
    accidental_hits: Literal["reject", "keep"] = "reject"
    """What becomes of a negative that is the target itself."""
    candidate_num: int = Field(1, ge=1)
    """Candidates drawn for each negative, of which the best-scored one is taken; 1 takes what is drawn."""
    gbce_t: float = Field(0.75, ge=0, le=1)
    """Calibration t of gBCE: 0 is BCE, 1 undoes the overconfidence that sampling brings."""
    click_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the events of a prefix that training leaves out; needs positions 'last'."""
    privileged: Privileged = Privileged()
    """A teacher that knows what came after the label."""
