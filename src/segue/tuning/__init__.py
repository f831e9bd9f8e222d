"""Search for the parameters that are best on the validation part, with Optuna.

Importing it requires the extra ``tune``.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from segue.errors import require_extra
from segue.metrics import selection_metric

require_extra(("optuna", "vl_convert"), "segue tune", "tune")


class TuningConfig(BaseModel):
    """Options of a search."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    trials: int = Field(50, ge=1)
    """Configurations to try in total, including those of an interrupted search."""
    metric: str | None = None
    """Validation metric to maximise; None takes the first metric of the protocol."""
    search: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Search spaces by name of the model and of the parameter, which replace or extend those that the model declares:
    ``LOW..HIGH``, ``LOW..HIGH:log`` or a list of values."""
    only: bool = False
    """Search only the parameters in ``search``."""
    prune: bool = True
    """End a trial early whose validation is below the median of the others after the same epoch."""
    timeout: float | None = Field(None, gt=0)
    """Seconds after which no further trial starts; None sets no limit."""
    workers: int = Field(1, ge=1)
    """Processes that share the trials, each with its share of the cores."""

    _selects = field_validator("metric")(selection_metric)
