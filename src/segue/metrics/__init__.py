"""Names of metrics such as ``recall@20``, and which values of a metric are better."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from segue.errors import ParameterError, UnknownNameError
from segue.metrics.beyond_accuracy import COUNT_METRICS, LIST_WEIGHTS
from segue.metrics.rank_metrics import AUC_METRICS, RANK_METRICS, Cutoff
from segue.metrics.values import CASE_VALUE_METRICS, GLOBAL_VALUE_METRICS

LIST_METRICS = (*COUNT_METRICS, *LIST_WEIGHTS)
"""Beyond-accuracy metrics of the lists."""

VALUE_METRICS = tuple(sorted((*CASE_VALUE_METRICS, *GLOBAL_VALUE_METRICS)))
"""Metrics of predicted values, which need a label for each held-out event."""

RANKING_METRICS = (*RANK_METRICS, *AUC_METRICS, *LIST_METRICS)
"""All metrics of rankings."""

OPTIONAL_CUTOFF = ("mrr", "ndcg", "map")
"""Metrics whose cut-off is optional: without one they cover the whole ranking."""

SELECTION_METRICS = (*RANK_METRICS, *AUC_METRICS)
"""Metrics that can select an epoch or hyperparameters: those of ranks, of which higher is better."""

Orientation = Literal["higher", "lower"]

ORIENTATION: Mapping[str, Orientation] = {
    **dict.fromkeys((*RANK_METRICS, *AUC_METRICS, "auc"), "higher"),
    "coverage": "higher",
    "gini": "lower",
    "shannon_entropy": "higher",
    "popularity": "lower",
    "tail_percentage": "higher",
    **dict.fromkeys(("logloss", "mae", "rmse"), "lower"),
}
"""Which values of each metric are better; sort and compare values only with ``order_key`` and ``is_better``."""

_NO_CUTOFF = (*AUC_METRICS, *VALUE_METRICS)

DEFAULT_METRICS = (
    *(f"{name}@{k}" for name in ("recall", "mrr", "ndcg") for k in (5, 10, 20)),
    *("hit@10", "precision@20", "map@20", "coverage@20", "popularity@20"),
)
"""Metrics measured by default."""


_MOST_DIGITS = 18
"""Of a cut-off, which then is below 2^63."""


@dataclass(frozen=True)
class MetricName:
    """A metric and its cut-off, as in ``recall@20``.

    Attributes:
        name: one of ``RANKING_METRICS`` or ``VALUE_METRICS``.
        k: the cut-off, infinity for none.
    """

    name: str
    k: Cutoff

    @classmethod
    def parse(cls, text: str) -> "MetricName":
        """Parse ``name@k``, or ``name`` for a metric without a cut-off.

        Raises:
            UnknownNameError: there is no such metric.
            ParameterError: the cut-off is missing, or no whole number of at least 1, or the metric has none.
        """
        name, at, cutoff = text.partition("@")
        if name not in (*RANKING_METRICS, *VALUE_METRICS):
            suffix = f"{at}{cutoff[:_MOST_DIGITS]}"
            raise UnknownNameError("metric", name, [*RANKING_METRICS, *VALUE_METRICS], suffix=suffix, bare=_NO_CUTOFF)
        if name in _NO_CUTOFF and at:
            raise ParameterError(f"metric '{text}': {name} has no cut-off, got '{cutoff}'; write {name}")
        if not at and name in (*OPTIONAL_CUTOFF, *_NO_CUTOFF):
            return cls(name, math.inf)
        if not (cutoff.isascii() and cutoff.isdigit() and len(cutoff) <= _MOST_DIGITS and int(cutoff) >= 1):
            raise ParameterError(
                f"metric '{text}': the cut-off must be a whole number of at least 1, got '{cutoff}'; "
                f"write for example {name}@20"
            )
        return cls(name, int(cutoff))

    @classmethod
    def parse_all(cls, texts: Iterable[str]) -> "dict[str, MetricName]":
        """Read the metrics of one evaluation.

        Raises:
            UnknownNameError: there is no such metric.
            ParameterError: a cut-off breaks its rule, or metrics of ranks and of values are mixed.
        """
        names = {text: cls.parse(text) for text in texts}
        of_values = [text for text, name in names.items() if name.name in VALUE_METRICS]
        if of_values and len(of_values) < len(names):
            others = ", ".join(text for text in names if text not in of_values)
            raise ParameterError(
                f"value metrics ({', '.join(of_values)}) and ranking metrics ({others}) cannot be mixed in "
                "one evaluation; choose one kind"
            )
        return names


def selection_metric(metric: str | None) -> str | None:
    """Return a metric by which an epoch or a set of parameters can be chosen, for a pydantic validator.

    Raises:
        InputError: it is unknown, or its cut-off breaks a rule.
        ValueError: it is not one of ``SELECTION_METRICS``.
    """
    if metric is not None and MetricName.parse(metric).name not in SELECTION_METRICS:
        raise ValueError(f"a metric of ranks ({', '.join(SELECTION_METRICS)}), of which more is better")
    return metric


def lower_is_better(metric: str) -> bool:
    """Return whether lower values of a metric such as ``gini@20`` are better."""
    return ORIENTATION[MetricName.parse(metric).name] == "lower"


def order_key(metric: str, value: float) -> tuple[bool, float]:
    """Return a key by which values of a metric sort from best to worst; NaN comes last."""
    if math.isnan(value):
        return True, 0.0
    return False, value if lower_is_better(metric) else -value


def is_better(metric: str, value: float, other: float) -> bool:
    """Return whether a value is better than another; any number is better than NaN."""
    return order_key(metric, value) < order_key(metric, other)


def are_value_metrics(names: Mapping[str, MetricName]) -> bool:
    """Return whether the metrics of an evaluation, which are of one kind, are value metrics."""
    return any(name.name in VALUE_METRICS for name in names.values())
