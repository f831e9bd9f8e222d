"""The parameters of a blend."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from segue.errors import ParameterError
from segue.metrics import MetricName
from segue.metrics.rank_metrics import RANK_METRICS
from segue.models.persistence import ModelConfig
from segue.spaces import Range

Combination = Literal["log-linear", "linear", "rrf"]


class BlendConfig(ModelConfig):
    """Parameters of a blend."""

    models: tuple[str, ...] = ("gru4rec", "v-sknn")
    """Names of the models, two or more."""
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Parameters of each model, by its name; the same names as for a single model."""
    combine: Combination = "log-linear"
    """What is added up: the logarithm of each model's share of an item in the sum of its best scores (log-linear), the
    share itself (linear), or 1 / (60 + rank) (rrf: reciprocal rank fusion)."""
    weights: dict[str, float] | None = None
    """Weight of each model, by its name; they are divided by their sum. None chooses them on the validation cases, and
    gives all ranks the same weight."""
    metric: str = "ndcg@20"
    """Validation metric that chooses the weights, one of ranks (such as mrr@20), or several, separated by commas
    (recall@20,mrr@20), of which the geometric mean is maximised; ndcg counts hits and their places."""
    candidates: int = Field(100, ge=1, le=1_000_000_000)
    """Number of best items of each model that its shares, or its ranks, refer to."""

    search = {"candidates": Range(50, 500, log=True)}

    @property
    def metrics(self) -> list[MetricName]:
        """The metrics that choose the weights."""
        return [MetricName.parse(metric) for metric in self.metric.split(",")]

    @field_validator("metric")
    @classmethod
    def _of_ranks(cls, metric: str) -> str:
        each = [one.strip() for one in metric.split(",")]
        if "" in each or len(set(each)) < len(each):
            raise ValueError("one metric, or several different ones, separated by commas")
        if strangers := [one for one in each if MetricName.parse(one).name not in RANK_METRICS]:
            raise ValueError(f"a metric of ranks ({', '.join(RANK_METRICS)}), which {strangers[0]} is not")
        return ",".join(each)

    @field_validator("models")
    @classmethod
    def _several(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        if len(models) < 2 or len(set(models)) < len(models):
            raise ParameterError(
                f"must be two or more different models, got [{', '.join(models)}]; name others, for example "
                "[gru4rec,v-sknn]"
            )
        return models

    @field_validator("parameters", "weights")
    @classmethod
    def _of_the_models(cls, values: dict[str, Any] | None, found: ValidationInfo) -> dict[str, Any] | None:
        models = found.data.get("models", ())
        if values is not None and models and (strangers := sorted(values.keys() - set(models))):
            raise ValueError(f"for models of the blend ({', '.join(models)}), not for {', '.join(strangers)}")
        return values

    @field_validator("weights")
    @classmethod
    def _sums_to_one(cls, weights: dict[str, float] | None, found: ValidationInfo) -> dict[str, float] | None:
        models = found.data.get("models", ())
        if weights is None or not models:
            return weights
        if missing := [name for name in models if name not in weights]:
            raise ValueError(f"a weight for each model ({', '.join(missing)} has none)")
        if min(weights.values()) < 0 or not sum(weights.values()) > 0:
            raise ValueError("weights of at least 0, one of them above 0")
        return weights


def chosen_weights(
    config: Mapping[str, Any], weights: Sequence[float], changes: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """Return the weights of a fitted blend as a parameter, unless others are given.

    Args:
        config: parameters of the fitted blend.
        weights: its weights.
        changes: parameters that are changed.

    Raises:
        ParameterError: they were chosen for another combination or metric.
    """
    if "weights" in changes:
        return {}
    for name in ("combine", "metric"):
        if changes.get(name, config[name]) != config[name]:
            raise ParameterError(
                f"blend.{name}: must stay {config[name]}, for which the weights were chosen, got "
                f"{changes[name]}; set blend.weights as well"
            )
    return {"weights": dict(zip(config["models"], weights, strict=True))}
