"""How a neural model is trained: the parameters that all of them share."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from segue.errors import InputError
from segue.nn.metrics import MetricName


class FineTuning(BaseModel):
    """Training that goes on with a selection of the sessions, to follow a taste that changes (Tan et al. 2016)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

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

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

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
            MetricName.parse(metric)
        except InputError as error:
            raise ValueError(f"a metric ({error})") from None
        return metric
