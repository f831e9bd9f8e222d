"""How a neural model is trained: the parameters that all of them share."""

from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field, field_validator

from segue.data.sessions import SECONDS_PER_DAY, Sessions
from segue.errors import EmptyDataError, ParameterError
from segue.metrics import selection_metric
from segue.nn.losses.config import FullCrossEntropy, Loss
from segue.parameters import Section


class FineTuning(Section):
    """Training that goes on with a selection of the sessions, to follow a taste that changes (Tan et al. 2016)."""

    epochs: int = Field(0, ge=0)
    """Maximum number of epochs on the selection, after the training on all sessions; 0: no fine-tuning."""
    recent_share: float = Field(0.25, gt=0, le=1)
    """Share of the sessions that is selected, the most recent ones."""
    last_days: float | None = Field(None, gt=0)
    """Of these, only sessions that ended in the last days of the log; None: no time limit."""
    longest: int | None = Field(None, ge=2)
    """Of these, only sessions of at most so many events; None: no length limit."""
    learning_rate: float | None = Field(None, gt=0)
    """Step size; None takes that of the training before."""


class TrainingConfig(Section):
    """The training section of a model's configuration."""

    epochs: int = Field(10, ge=1)
    """Maximum number of epochs."""
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
    optimizer: Literal["adamw", "adagrad", "mixed"] = "adamw"
    """adamw; adagrad (sparse updates, faster for large catalogues; use a learning_rate near 0.07); or mixed (Adagrad
    for the item embeddings, AdamW for all else)."""
    table_learning_rate: float = Field(0.07, gt=0)
    """Learning rate of Adagrad if the optimizer is 'mixed'; learning_rate is then that of AdamW. Fine-tuning with
    another learning_rate scales both."""
    weight_decay: float = Field(0.0, ge=0)
    """Decay of AdamW; Adagrad has none."""

    _selects = field_validator("metric")(selection_metric)


class Distillation(Section):
    """How a student learns from a teacher (Hinton et al. 2015, arXiv 1503.02531).

    The loss of an event is ``(1 - weight) * loss(label) + weight * temperature ** 2 * H(teacher, student)``, where H is
    the cross-entropy between the softmaxes of their scores divided by ``temperature``.
    """

    weight: float = Field(0.5, gt=0, le=1)
    """Weight of the soft labels; the rest is that of the labels."""
    temperature: float = Field(1.0, gt=0)
    """Scores of teacher and student are divided by it before their softmax."""
    top: int = Field(50, ge=1)
    """Items of the teacher that are kept for each event, its best ones."""


class Privileged(Distillation):
    """A teacher whose context is what comes after the event to predict, latest first (Tan et al. 2016).

    The teacher is a model of the same kind, trained on the sessions backwards. The last event of a session has nothing
    after it, and so its label alone.
    """

    weight: float = Field(0.0, ge=0, lt=1)
    """Weight of the soft labels; 0 trains without a teacher."""


class SequenceTraining(TrainingConfig):
    """How a sequence encoder is trained."""

    positions: Literal["auto", "all", "last"] = "auto"
    """Where the next item is predicted: at all positions of a window (causal encoders only), or after the last event
    of every prefix; auto takes all where it can."""
    windows: Literal["all", "recent"] = "all"
    """Sessions longer than a window, trained at all positions: cut into windows, or only the most recent one used."""
    loss: Loss = FullCrossEntropy()
    """The loss, by name; switching it keeps the parameters that both losses have."""
    click_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the events of a prefix that training leaves out; needs positions 'last'."""
    privileged: Privileged = Privileged()
    """A teacher that knows what came after the label."""


class ListTraining(Section):
    """How a model that re-ranks goes on to learn from whole lists."""

    loss: Literal["listnet", "lambdarank"] | None = None
    """Listwise loss for a second training phase of the ranker (sequence encoders only), on lists from the retriever;
    None skips it."""
    length: int = Field(50, ge=1)
    """Items of a training list, the retriever's best ones; the item that followed is put beside them."""
    epochs: int = Field(3, ge=1)
    """Maximum number of epochs."""
    learning_rate: float | None = Field(None, gt=0)
    """Step size; None takes that of the ranker's own training."""


def fine_tuning_sessions(
    train: Sessions, tuning: FineTuning, place: str = "training.fine_tuning"
) -> Int64[np.ndarray, "s"]:
    """Return the sessions that are selected, in their order.

    Args:
        train: all sessions, in order of their end.
        tuning: which of them.
        place: what stands before the parameters in a message.

    Raises:
        ParameterError: days are asked for, and the log has no times.
        EmptyDataError: no session of two events or more is left.
    """
    chosen = np.arange(len(train)) >= len(train) - round(tuning.recent_share * len(train))
    if tuning.last_days is not None:
        if train.times is None:
            raise ParameterError(
                f"{place}.last_days: needs a log with times, got {tuning.last_days:g} for one without; "
                f"use {place}.recent_share, which goes by the order of the sessions"
            )
        ended = train.times[train.offsets[1:] - 1]
        chosen &= ended > ended.max() - tuning.last_days * SECONDS_PER_DAY
    if tuning.longest is not None:
        chosen &= train.lengths <= tuning.longest
    if not (train.lengths[chosen] >= 2).any():
        raise EmptyDataError(
            f"{place}: selects {int(chosen.sum())} of {len(train)} sessions, none of two events or more; "
            "raise recent_share, last_days or longest"
        )
    return np.flatnonzero(chosen)
