"""Value metrics: from one predicted value per case and its label to an error; nothing is ranked.

predictions: [C], probabilities or values.
labels: [C], 0 or 1 where a probability is predicted, else the value itself.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from jaxtyping import Float64, Int64

from segue.errors import ParameterError

Column = Float64[np.ndarray, "C"]

WeightedStatistic = Callable[[Int64[np.ndarray, "C"]], float]
"""A metric of all cases together, from how often each of them counts."""

CLIP = 1e-15
"""Least distance of a probability from 0 and 1 in the logarithmic loss."""


def absolute_error(predictions: Column, labels: Column) -> Column:
    """Return the distance of each prediction from its label; its mean is MAE."""
    return np.asarray(np.abs(predictions - labels))


def log_loss(predictions: Column, labels: Column) -> Column:
    """Return minus the logarithm of the probability of each label, clipped to [1e-15, 1 - 1e-15].

    Raises:
        ParameterError: a label is neither 0 nor 1.
    """
    _check_binary(labels, "logloss")
    probability = np.clip(np.where(labels == 1, predictions, 1 - predictions), CLIP, 1 - CLIP)
    return np.asarray(-np.log(probability))


def root_mean_squared_error(predictions: Column, labels: Column) -> WeightedStatistic:
    """Return the root of the weighted mean of the squared errors."""
    errors = (predictions - labels) ** 2
    return lambda times: float(np.sqrt(np.average(errors, weights=times)))


def auc(predictions: Column, labels: Column) -> WeightedStatistic:
    """Return the share of the pairs of a liked and another case in which the liked one is predicted higher.

    A tie counts half. It is NaN if all cases are liked or none is, and, as the other metrics, if a prediction is NaN.

    Raises:
        ParameterError: a label is neither 0 nor 1.
    """
    _check_binary(labels, "auc")
    broken = bool(np.isnan(predictions).any())
    _, place = np.unique(predictions, return_inverse=True)

    def share(times: Int64[np.ndarray, "C"]) -> float:
        liked = np.bincount(place, weights=times * labels)
        others = np.bincount(place, weights=times * (1 - labels))
        pairs = liked.sum() * others.sum()
        behind = np.cumsum(others) - others / 2
        return float("nan") if broken or not pairs else float((liked * behind).sum() / pairs)

    return share


def check_labels(labels: Column, metrics: Iterable[str]) -> None:
    """Check the labels that value metrics need.

    Raises:
        ParameterError: they are not 0 and 1 where a probability is measured, or all equal where pairs are.
    """
    wanted = set(metrics)
    for metric in sorted(wanted & {"auc", "logloss"}):
        _check_binary(labels, metric)
    if "auc" in wanted and len(np.unique(labels)) == 1:
        raise ParameterError(
            f"metric 'auc': needs both liked and other cases, and every label is {labels[0]:g}; change "
            "protocol.cases.label_threshold or leave the metric out"
        )


def _check_binary(labels: Column, metric: str) -> None:
    strange = labels[(labels != 0) & (labels != 1)]
    if len(strange):
        raise ParameterError(
            f"metric '{metric}': needs labels of 0 and 1, got {strange[0]:g}; set protocol.cases.label_threshold, from "
            "which on an event is liked (1)"
        )


CASE_VALUE_METRICS: Mapping[str, Callable[[Column, Column], Column]] = {"mae": absolute_error, "logloss": log_loss}
"""Means over the cases, by name."""

GLOBAL_VALUE_METRICS: Mapping[str, Callable[[Column, Column], WeightedStatistic]] = {
    "rmse": root_mean_squared_error,
    "auc": auc,
}
"""Metrics of all cases together, by name."""
