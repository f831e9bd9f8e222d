"""Which protocol fits a log, and what a log cannot answer."""

from collections.abc import Iterator, Mapping
from typing import Any

from segue.data.events import Events
from segue.errors import ParameterError
from segue.metrics import VALUE_METRICS, MetricName, are_of_values
from segue.protocols.protocol import Protocol
from segue.protocols.steps import CLEANING, SPLITS

_AS_IT_IS: Mapping[str, Any] = {"split": "given", "k_core": 1, "min_support": 1, "min_length": 1, "cases": "every-next"}
"""A given split is taken as it is; whoever wants a filter asks for it."""


def choose(
    events: Events, protocol: Protocol | str | None, parameters: Mapping[str, Any]
) -> tuple[Protocol, list[str]]:
    """Return the protocol that fits a log and a request, and what was decided.

    A ``Protocol`` is taken as it is. A name, or None, is fitted to the log: a given split replaces the protocol's own
    and turns its filters off, unless they are asked for by parameters.

    Raises:
        UnknownNameError: there is no such protocol or parameter.
        ParameterError: parameters break their rules.
    """
    if isinstance(protocol, Protocol):
        return protocol.changed(parameters), []
    name = protocol or default_protocol(events, parameters)
    if "split" in parameters:
        return Protocol.named(name, parameters), []
    if events.has_parts:
        note = "the log's own split is taken as it is; filters run only if they are asked for"
        return Protocol.named(name, {**_AS_IT_IS, **parameters}), [note]
    chosen = Protocol.named(name, parameters)
    if protocol is None and not events.has_time and SPLITS[chosen.split].needs_time:
        note = (
            f"the log has no times, so the last {chosen.test_share:.0%} of its sessions in file order are the test part"
        )
        return Protocol.named(name, {"split": "ratio", **parameters}), [note]
    return chosen, []


def default_protocol(events: Events, parameters: Mapping[str, Any] | None = None) -> str:
    """Return the name of the protocol for a kind of log: sessions, or users' histories."""
    cut_into_sessions = (parameters or {}).get("session_gap") is not None
    return "leave-one-out" if events.unit == "user" and not cut_into_sessions else "session-next"


def check(events: Events, protocol: Protocol, *, trained: bool = False) -> None:
    """Refuse what a log cannot answer.

    Args:
        events: the log.
        protocol: what is asked of it.
        trained: the model is trained already, so that the log need not hold a training part.

    Raises:
        ParameterError: a split or a step needs what the log does not have; all of it is reported together.
    """
    mistakes = []
    if protocol.split == "given" and not events.has_parts:
        remedy = "test on all of it (--all)" if trained else "choose another split"
        mistakes.append(f"protocol.split: 'given' needs a log with train and test parts; {remedy}")
    if protocol.split == "whole" and not trained:
        mistakes.append("protocol.split: 'whole' leaves nothing to train on; it is for a model that is trained already")
    mistakes += _label_mistakes(events, protocol)
    if not events.has_time and SPLITS[protocol.split].needs_time:
        mistakes.append(
            f"protocol.split: '{protocol.split}' needs times and this log has none; "
            "choose ratio or last-event, or map the column with the times"
        )
    mistakes += _cleaning_mistakes(events, protocol)
    if mistakes:
        raise ParameterError("\n".join(mistakes))


def check_cleaning(events: Events, protocol: Protocol) -> None:
    """Refuse cleaning steps that a log has not the columns for.

    Raises:
        ParameterError: all of them, reported together.
    """
    mistakes = list(_cleaning_mistakes(events, protocol))
    if mistakes:
        raise ParameterError("\n".join(mistakes))


def _cleaning_mistakes(events: Events, protocol: Protocol) -> Iterator[str]:
    if not events.has_time:
        yield from (
            f"protocol.{parameter}: needs times and this log has none; leave it out, or map the column with the times"
            for name in protocol.steps
            if name in CLEANING and CLEANING[name].needs_time
            for parameter in CLEANING[name].settings(protocol)
        )
    if "values" in protocol.steps:
        yield from _missing_values(events, protocol)


def _missing_values(events: Events, protocol: Protocol) -> Iterator[str]:
    """Say which columns a filter by value asks for in vain."""
    schema = events.frame.schema
    for parameter in ("value_interval", "value_among"):
        for name in getattr(protocol, parameter):
            if name not in schema:
                has = ", ".join(f"'{column}'" for column in schema)
                yield f"protocol.{parameter}: must name columns of the log, got '{name}'; it has {has}"
            elif parameter == "value_interval" and not (schema[name].is_numeric() or schema[name].is_temporal()):
                yield (
                    f"protocol.value_interval: must name columns of numbers, got '{name}', which is text; "
                    f"list the values to keep in protocol.value_among"
                )


def metric_mistakes(protocol: Protocol) -> Iterator[str]:
    """Say which metrics do not fit the candidates: those of values need labels, the others need ranks."""
    labelled = protocol.candidates == "labeled"
    if are_of_values(MetricName.parse_all(protocol.metrics)) != labelled:
        asked = ", ".join(protocol.metrics)
        yield (
            f"protocol.metrics: must be of {', '.join(VALUE_METRICS)} with candidates 'labeled', got {asked}"
            if labelled
            else f"protocol.metrics: {asked} compare a score with a label; set protocol.candidates=labeled"
        )


def _label_mistakes(events: Events, protocol: Protocol) -> Iterator[str]:
    """Say what keeps held-out events from being measured against their labels."""
    yield from metric_mistakes(protocol)
    if protocol.candidates != "labeled":
        return
    if protocol.cases == "together":
        yield "protocol.cases: must be every-next, first or last with candidates 'labeled', got 'together'"
    dtype = events.frame.schema.get(protocol.label)
    if dtype is None or not dtype.is_numeric():
        numeric = [name for name, kind in events.frame.schema.items() if kind.is_numeric()]
        found = "no such column" if dtype is None else str(dtype)
        yield (
            f"protocol.label: must be a numeric column of the log, got '{protocol.label}' ({found}); there are: "
            f"{', '.join(numeric) or 'none'}"
        )
