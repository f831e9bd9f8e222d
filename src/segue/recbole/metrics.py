"""RecBole's names of metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from segue.errors import ParameterError, UnknownNameError
from segue.metrics import CHOOSING_METRICS
from segue.parameters import typed

LISTED: Mapping[str, str] = {
    "recall": "recall",
    "hit": "hit",
    "precision": "precision",
    "mrr": "mrr",
    "ndcg": "ndcg",
    "map": "map",
    "itemcoverage": "coverage",
    "averagepopularity": "popularity",
    "giniindex": "gini",
    "shannonentropy": "shannon_entropy",
    "tailpercentage": "tail_percentage",
}
"""Metrics of the first k items, without regard to case."""

UNCUT: Mapping[str, str] = {"gauc": "gauc"}
"""Metrics of the whole ranking."""

VALUES: Mapping[str, str] = {"auc": "auc", "mae": "mae", "rmse": "rmse", "logloss": "logloss"}
"""Metrics of scores and labels."""

_ALL = {**LISTED, **UNCUT, **VALUES}


def metric_name(text: Any, place: str) -> str:
    """Return a metric such as ``MRR@10`` as it is written here, ``mrr@10``.

    Raises:
        UnknownNameError: there is no such metric.
    """
    name, at, cutoff = str(text).partition("@")
    if name.lower() not in _ALL:
        raise UnknownNameError(f"metric of RecBole in {place}", str(text), _ALL)
    return _ALL[name.lower()] + (at + cutoff if name.lower() in LISTED else "")


def choosing_metric(text: Any) -> str | None:
    """Return the metric of the validation, or None where no epoch can be chosen by it.

    Raises:
        UnknownNameError: there is no such metric.
    """
    name = metric_name(text, "valid_metric")
    return name if name.partition("@")[0] in CHOOSING_METRICS else None


def metric_names(metrics: Any, topk: Any) -> tuple[str, ...]:
    """Return metrics with each of their cut-offs.

    Raises:
        UnknownNameError: there is no such metric.
        ParameterError: ranks and values are to be measured at once, or a cut-off is none.
    """
    texts: Sequence[str] = [metrics] if isinstance(metrics, str) else list(metrics or [])
    cutoffs = [topk] if isinstance(topk, int) else topk
    if not isinstance(cutoffs, list) or not all(isinstance(k, int) and k >= 1 for k in cutoffs):
        raise ParameterError(f"topk: must be a whole number of at least 1, or a list of them, got {typed(topk)}")
    names = [metric_name(text, "metrics") for text in texts]
    of_values = [name for name in names if name in VALUES.values()]
    if of_values and len(of_values) < len(names):
        raise ParameterError(
            f"metrics: must be of ranks or of values, got both ({', '.join(map(str, texts))}); RecBole refuses it, too"
        )
    listed = set(LISTED.values())
    return tuple(dict.fromkeys(f"{name}@{k}" if name in listed else name for name in names for k in cutoffs))


def are_values(metrics: Sequence[str]) -> bool:
    """Tell whether metrics are of scores and labels."""
    return bool(metrics) and metrics[0] in VALUES.values()
