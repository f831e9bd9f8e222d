"""Training parameters that all neural models share."""

from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field, ValidationInfo, field_validator

from segue.data.sessions import SECONDS_PER_DAY, Sessions
from segue.errors import EmptyDataError, ParameterError
from segue.metrics import selection_metric
from segue.nn.losses.config import FullCrossEntropy, Loss
from segue.parameters import Section

RATE_SHARES = {"adamw": (0.1, 0.1, 0.1), "mixed": (0.1, 0.5, 0.7), "adagrad": (0.03, 0.25, 0.7)}
"""Learning rate of an update, as a share of that of the training, by optimizer: if Adagrad starts anew, which begins
with large steps; if it goes on where the training ended; and if a history is replayed as well."""


class FineTuning(Section):
    """Further training on a selection of recent sessions, to follow changes in taste (Tan et al. 2016)."""

    epochs: int = Field(0, ge=0)
    """Maximum number of fine-tuning epochs, after the training on all sessions; 0 means no fine-tuning."""
    recent_share: float = Field(0.25, gt=0, le=1)
    """Share of the sessions to select for fine-tuning: the most recent sessions."""
    last_days: float | None = Field(None, gt=0)
    """Select only sessions that ended within this number of days before the end of the log; None means no limit."""
    longest: int | None = Field(None, ge=2)
    """Maximum session length for fine-tuning; None means no limit."""
    learning_rate: float | None = Field(None, gt=0)
    """Learning rate of fine-tuning; None uses the learning rate of the main training."""


class TrainingConfig(Section):
    """The training section of a model's configuration."""

    epochs: int = Field(10, ge=1)
    """Maximum number of epochs."""
    batch_size: int = Field(128, ge=1)
    """Number of sessions, windows or prefixes per step."""
    micro_batches: int = Field(1, ge=1, le=1024)
    """Number of parts of a step, a power of two: it may be shared by as many processes, and dropout is drawn for each
    part on its own. Negatives are those of the whole step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Learning rate of the optimizer, before the schedule."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate decays to zero over the whole training; constant means no decay."""
    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of the training in which the learning rate increases linearly from zero."""
    clip_norm: float | None = Field(None, gt=0)
    """Maximum gradient norm; None means no clipping."""
    patience: int | None = Field(3, ge=1)
    """Number of epochs without improvement on validation after which training stops; None means no early stopping."""
    metric: str = "mrr@20"
    """Validation metric that selects the best epoch."""
    fine_tuning: FineTuning = FineTuning()
    """Parameters of fine-tuning."""
    optimizer: Literal["adamw", "adagrad", "mixed"] = "adamw"
    """adamw; adagrad (sparse updates, faster for large catalogues; use a learning_rate near 0.07); or mixed (Adagrad
    for the item embeddings, AdamW for all else)."""
    table_learning_rate: float = Field(0.07, gt=0)
    """Learning rate of Adagrad if the optimizer is 'mixed'; learning_rate is then that of AdamW. Fine-tuning with
    another learning_rate scales both."""
    weight_decay: float = Field(0.0, ge=0)
    """Decay of AdamW; Adagrad has none."""

    _selects = field_validator("metric")(selection_metric)

    @field_validator("micro_batches")
    @classmethod
    def _divides_a_step(cls, number: int, values: ValidationInfo) -> int:
        if number & (number - 1):
            below = 1 << (number.bit_length() - 1)
            raise ValueError(f"a power of two (for example {below} or {2 * below})")
        if number > (size := values.data.get("batch_size", number)):
            raise ValueError(f"at most training.batch_size, {size} (they are parts of a step)")
        return number


class UpdatePlan(Section):
    """How a trained network learns from later sessions."""

    epochs: int | None = Field(None, ge=1)
    """Number of epochs on the recent sessions; None uses that of the training, or half of it with a history."""
    learning_rate: float | None = Field(None, gt=0)
    """Learning rate; None uses a share of that of the training, which depends on the optimizer."""
    replay: float = Field(2.0, gt=0)
    """Sessions of the history that are learnt again in each epoch, other ones each time, per recent session."""
    half_life: float = Field(4.0, gt=0)
    """Age at which a session of the history is replayed half as often, in sessions per recent session."""

    def applied_to(self, training: TrainingConfig, *, resumed: bool, replays: bool) -> TrainingConfig:
        """Return how the network is trained further.

        Args:
            training: how it was trained.
            resumed: whether Adagrad goes on where the training ended.
            replays: whether there is a history.
        """
        shares = RATE_SHARES[training.optimizer]
        rate = self.learning_rate or shares[resumed + (resumed and replays)] * training.learning_rate
        epochs = self.epochs or (-(-training.epochs // 2) if replays else training.epochs)
        changes = {"epochs": epochs, "learning_rate": rate, "schedule": "constant", "warmup": 0.0}
        return training.model_copy(update=changes)


class Distillation(Section):
    """How a student learns from a teacher (Hinton et al. 2015, arXiv 1503.02531).

    The loss of an event is ``(1 - weight) * loss(label) + weight * temperature ** 2 * H(teacher, student)``, where H is
    the cross-entropy between the softmaxes of their scores divided by ``temperature``: the teacher's over its ``top``
    items, the student's over all items.
    """

    weight: float = Field(0.5, gt=0, le=1)
    """Weight of the soft labels; the labels have the weight 1 - weight."""
    temperature: float = Field(1.0, gt=0)
    """Temperature: divides the scores of teacher and student before the softmax."""
    top: int = Field(50, ge=1)
    """Number of best items of the teacher to keep for each event; all others have a share of 0."""


class Privileged(Distillation):
    """Privileged information: a teacher that sees the events after the label, latest first (Tan et al. 2016).

    The teacher is a model of the same kind, trained on the reversed sessions. The last event of a session has no later
    events, so only its label counts.
    """

    weight: float = Field(0.0, ge=0, lt=1)
    """Weight of the soft labels; 0 means no teacher."""


class SequenceTraining(TrainingConfig):
    """How a sequence encoder is trained."""

    positions: Literal["auto", "all", "last"] = "auto"
    """Positions at which the next item is predicted in training. all: every position of a window (causal encoders
    only). last: the last event of every prefix. auto: all if the encoder is causal, else last."""
    windows: Literal["all", "recent"] = "all"
    """How sessions longer than a window are used if training predicts all positions: cut into windows (all), or only
    the most recent window (recent)."""
    loss: Loss = FullCrossEntropy()
    """Name of the loss. If you switch losses, parameters that both losses share keep their values."""
    click_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the events of a prefix to drop at random in training; needs positions 'last'."""
    privileged: Privileged = Privileged()
    """Parameters of the teacher that sees the events after the label."""


class ListTraining(Section):
    """Training of a re-ranking model on whole lists."""

    loss: Literal["listnet", "lambdarank"] | None = None
    """Listwise loss for a second training phase of the ranker (sequence encoders only), on lists of the retriever;
    None skips this phase."""
    length: int = Field(50, ge=1)
    """Length of a training list: the best items of the retriever, to which the actual next item is added."""
    epochs: int = Field(3, ge=1)
    """Maximum number of epochs."""
    learning_rate: float | None = Field(None, gt=0)
    """Learning rate of the second phase; None uses the learning rate of the first phase."""


def fine_tuning_sessions(
    train: Sessions, tuning: FineTuning, place: str = "training.fine_tuning"
) -> Int64[np.ndarray, "s"]:
    """Return the selected sessions, in their order.

    Args:
        train: all sessions, in order of their end.
        tuning: the selection.
        place: prefix of the parameter names in messages.

    Raises:
        ParameterError: ``last_days`` is set, but the log has no times.
        EmptyDataError: no session of two events or more is left.
    """
    chosen = np.arange(len(train)) >= len(train) - round(tuning.recent_share * len(train))
    if tuning.last_days is not None:
        if train.times is None:
            raise ParameterError(
                f"{place}.last_days: needs a log with times and this log has none, got {tuning.last_days:g}; "
                f"use {place}.recent_share, which needs only the order of the sessions"
            )
        ended = train.times[train.offsets[1:] - 1]
        chosen &= ended > ended.max() - tuning.last_days * SECONDS_PER_DAY
    if tuning.longest is not None:
        chosen &= train.lengths <= tuning.longest
    if not (train.lengths[chosen] >= 2).any():
        raise EmptyDataError(
            f"{place}: selects {int(chosen.sum())} of {len(train)} sessions, none with two events or more; "
            "increase recent_share, last_days or longest"
        )
    return np.flatnonzero(chosen)
