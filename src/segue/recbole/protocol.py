"""RecBole's metrics and settings of the evaluation -> parameters of the protocol."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segue.errors import ParameterError, UnknownNameError
from segue.metrics import SELECTION_METRICS
from segue.parameters import KIND, typed
from segue.recbole.log import Log
from segue.recbole.models import Kind
from segue.recbole.settings import Given

_LEAVES = ("valid_and_test", "valid_only", "test_only")
_SHARES = 3

_LISTED: Mapping[str, str] = {
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

_UNCUT: Mapping[str, str] = {"gauc": "gauc"}
"""Metrics of the whole ranking."""

_VALUES: Mapping[str, str] = {"auc": "auc", "mae": "mae", "rmse": "rmse", "logloss": "logloss"}
"""Metrics of scores and labels."""

_ALL = {**_LISTED, **_UNCUT, **_VALUES}


def protocol_of(given: Given, log: Log, kind: Kind) -> dict[str, Any]:
    """Return the parameters of the protocol.

    Raises:
        ParameterError: settings contradict each other or are invalid.
        UnknownNameError: there is no such metric.
    """
    metrics = metric_names(given.take("metrics"), given.take("topk"))
    mode = _mode(given)
    if are_values(metrics) != (mode == "labeled"):
        raise ParameterError(
            f"eval_args.mode: must be labeled for value metrics, and only for them, got {mode} with "
            f"{', '.join(metrics)}; RecBole also refuses it"
        )
    label = log.label() if mode == "labeled" else {}
    drawn = {"seed": given.take("seed")} if mode not in ("full", "labeled") else {}
    return {
        "cleaning": log.filters(),
        "split": _split(given, log, kind),
        "cases": {**_cases(given, kind, mode), **label},
        "ranking": {"candidates": mode, "metrics": metrics, **drawn},
        "valid_metric": choosing_metric(given.take("valid_metric")),
        "decimals": given.take("metric_decimal_place"),
    }


def remarks_on_protocol(given: Given, kind: Kind) -> Iterator[str]:
    """Yield notes on settings of the evaluation that are honoured in part."""
    mode = given.take("eval_args.mode")
    if isinstance(mode, Mapping) and len({str(one) for one in mode.values()}) > 1:
        yield f"RecBole's eval_args.mode is honoured for the test ({_mode(given)}); validation uses the same mode"
    if choosing_metric(given.take("valid_metric")) is None:
        yield (
            f"RecBole's valid_metric ({given.take('valid_metric')}) is not honoured: it cannot select epochs, so the "
            "training.metric of each model is used"
        )
    if isinstance(given.take("eval_args.split"), Mapping) and "TS" in given.take("eval_args.split"):
        yield "RecBole's split TS validates on the last share of each user; segue on all events after one moment"
    if kind == "sequential" and _name(given, kind) == "RS":
        yield "RecBole's split RS takes shares of the targets of sequential models; segue takes shares of the events"


def _mode(given: Given) -> str:
    """Return the candidates that targets of the test are ranked among."""
    mode = given.take("eval_args.mode")
    if isinstance(mode, Mapping):
        mode = mode.get("test", mode.get("valid", "full"))
    if not re.fullmatch(r"full|labeled|(uni|pop)[1-9]\d*", str(mode)):
        raise ParameterError(f"eval_args.mode: must be full, uniN, popN or labeled, got {typed(mode)}")
    return str(mode)


def _name(given: Given, kind: Kind) -> str:
    return next(iter(_rule(given, kind)))


def _rule(given: Given, kind: Kind) -> Mapping[str, Any]:
    usual = {"LS": "valid_and_test"} if _has_defaults(given, kind) else None
    split = given.take("eval_args.split", usual)
    if not isinstance(split, Mapping) or len(split) != 1 or next(iter(split)) not in ("RS", "LS", "TS"):
        raise ParameterError(f"eval_args.split: must be one of RS, LS and TS with its value, got {typed(split)}")
    return split


def _split(given: Given, log: Log, kind: Kind) -> dict[str, Any]:
    """Return how test and validation are held out."""
    if log.benchmark:
        if kind == "sequential":
            raise ParameterError(
                "benchmark_filename: pre-split sequences are not supported for sequential models; "
                "split the events themselves, with eval_args"
            )
        return {KIND: "given"}
    ((name, value),) = _rule(given, kind).items()
    order = _order(given, kind)
    if name == "LS":
        if value not in _LEAVES:
            raise ParameterError(f"eval_args.split.LS: must be one of {', '.join(_LEAVES)}, got {typed(value)}")
        return {KIND: "last-event", "leave": value, **order}
    if not isinstance(value, list) or len(value) != _SHARES or not all(isinstance(one, int | float) for one in value):
        raise ParameterError(f"eval_args.split.{name}: must be a list of three shares, got {typed(value)}")
    if name == "TS":
        train, valid, test = value
        return {KIND: "global-time", "test_share": test / sum(value), "valid_share": valid / (train + valid)}
    return {
        KIND: "event-ratio",
        "ratios": tuple(value),
        "group_by": _group_by(given),
        **order,
    }


def _has_defaults(given: Given, kind: Kind) -> bool:
    """Tell whether RecBole's defaults of sequential models apply: eval_args of a file replace all of them."""
    return kind == "sequential" and "eval_args" not in given.sections


def _order(given: Given, kind: Kind) -> dict[str, Any]:
    order = given.take("eval_args.order", "TO" if _has_defaults(given, kind) else "RO")
    if order not in ("RO", "TO"):
        raise ParameterError(f"eval_args.order: must be RO or TO, got {typed(order)}")
    if kind == "sequential" and order != "TO":
        usual = "" if given.has("eval_args.order") else ", the default where eval_args have no order"
        raise ParameterError(
            f"eval_args.order: must be TO for sequential models, got RO{usual}; set it to TO (RecBole refuses RO, too)"
        )
    return {"order": "random", "seed": given.take("seed")} if order == "RO" else {"order": "time"}


def _group_by(given: Given) -> str:
    group = given.take("eval_args.group_by")
    if str(group).lower() not in ("user", "none"):
        raise ParameterError(f"eval_args.group_by: must be user or none, got {typed(group)}")
    return str(group).lower()


def _cases(given: Given, kind: Kind, mode: str) -> dict[str, Any]:
    """Return the case rules."""
    repeatable = given.take("repeatable", kind == "sequential")
    if kind == "sequential" and not repeatable:
        raise ParameterError("repeatable: must be true for sequential models, got false; RecBole also refuses it")
    together = kind == "general" and mode != "labeled"
    return {
        "targets": "together" if together else "every-next",
        "exclude_seen": together and not repeatable,
    }


def metric_name(text: Any, place: str) -> str:
    """Return segue's name of a metric: ``mrr@10`` for ``MRR@10``.

    Raises:
        UnknownNameError: there is no such metric.
    """
    name, at, cutoff = str(text).partition("@")
    if name.lower() not in _ALL:
        raise UnknownNameError(f"metric of RecBole in {place}", str(text), _ALL)
    return _ALL[name.lower()] + (at + cutoff if name.lower() in _LISTED else "")


def choosing_metric(text: Any) -> str | None:
    """Return the validation metric, or None if it cannot select epochs.

    Raises:
        UnknownNameError: there is no such metric.
    """
    name = metric_name(text, "valid_metric")
    return name if name.partition("@")[0] in SELECTION_METRICS else None


def metric_names(metrics: Any, topk: Any) -> tuple[str, ...]:
    """Return metrics with each of their cut-offs.

    Raises:
        UnknownNameError: there is no such metric.
        ParameterError: ranking and value metrics are mixed, or a cut-off is invalid.
    """
    texts: Sequence[str] = [metrics] if isinstance(metrics, str) else list(metrics or [])
    cutoffs = [topk] if type(topk) is int else topk
    if not isinstance(cutoffs, list) or not cutoffs or not all(type(k) is int and k >= 1 for k in cutoffs):
        rule = "must be a whole number of at least 1, or a list of them such as [5, 10, 20]"
        also = "; RecBole also refuses it, though its documentation lists None" if topk in (None, "None") else ""
        raise ParameterError(f"topk: {rule}, got {typed(topk)}{also}")
    names = [metric_name(text, "metrics") for text in texts]
    of_values = [name for name in names if name in _VALUES.values()]
    if of_values and len(of_values) < len(names):
        raise ParameterError(
            f"metrics: must be ranking metrics or value metrics, got both ({', '.join(map(str, texts))}); RecBole "
            "also refuses it"
        )
    listed = set(_LISTED.values())
    return tuple(dict.fromkeys(f"{name}@{k}" if name in listed else name for name in names for k in cutoffs))


def are_values(metrics: Sequence[str]) -> bool:
    """Tell whether metrics are value metrics."""
    return bool(metrics) and metrics[0] in _VALUES.values()
