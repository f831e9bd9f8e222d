"""How a neural model is trained: the parameters that all of them share."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from segue.errors import InputError
from segue.nn.metrics import MetricName


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

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, metric: str) -> str:
        try:
            MetricName.parse(metric)
        except InputError as error:
            raise ValueError(f"a metric ({error})") from None
        return metric
