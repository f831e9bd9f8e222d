"""Metrics: pure functions from ranks, lists or values to figures, and the names by which they are asked for."""

from segue.metrics.lists import (
    COUNT_METRICS,
    LIST_WEIGHTS,
    average_weight,
    gini_index,
    in_tail,
    item_coverage,
    shannon_entropy,
)
from segue.metrics.names import (
    CHOOSING_METRICS,
    DEFAULT_METRICS,
    LIST_METRICS,
    ORIENTATION,
    RANKING_METRICS,
    VALUE_METRICS,
    MetricName,
    are_of_values,
    is_better,
    lower_is_better,
    order_key,
)
from segue.metrics.ranking import AUC_METRICS, RANK_METRICS, Ties, case_auc, wrong_before
from segue.metrics.values import CASE_VALUES, WHOLE_VALUES, Figure, check_labels

__all__ = [
    "AUC_METRICS",
    "CASE_VALUES",
    "CHOOSING_METRICS",
    "COUNT_METRICS",
    "DEFAULT_METRICS",
    "LIST_METRICS",
    "LIST_WEIGHTS",
    "ORIENTATION",
    "RANKING_METRICS",
    "RANK_METRICS",
    "VALUE_METRICS",
    "WHOLE_VALUES",
    "Figure",
    "MetricName",
    "Ties",
    "are_of_values",
    "average_weight",
    "case_auc",
    "check_labels",
    "gini_index",
    "in_tail",
    "is_better",
    "item_coverage",
    "lower_is_better",
    "order_key",
    "shannon_entropy",
    "wrong_before",
]
