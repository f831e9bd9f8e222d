"""Find the best model of a log within a budget of time: count-based models, then networks, then a blend of them."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from segue.metrics import MetricName, selection_metric
from segue.metrics.rank_metrics import RANK_METRICS


class BestConfig(BaseModel):
    """Options of the search for the best model."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    budget: float = Field(1800.0, ge=10)
    """Seconds for everything: preparation, training, choice, test and report. A resumed search continues to count."""
    metric: str | None = None
    """Validation metric that decides, one of ranks. None takes that of the protocol, or else ndcg with the
    cut-off of the protocol's first metric, because ndcg counts hits and their places."""

    _selects = field_validator("metric")(selection_metric)

    @field_validator("metric")
    @classmethod
    def _of_ranks(cls, metric: str | None) -> str | None:
        if metric is not None and MetricName.parse(metric).name not in RANK_METRICS:
            raise ValueError(f"a metric of ranks ({', '.join(RANK_METRICS)})")
        return metric
