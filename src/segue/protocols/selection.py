"""Choose a protocol that fits a log, and check that the log has what the protocol requires."""

from collections.abc import Iterator, Mapping
from typing import Any

from segue.data.events import LogFacts
from segue.errors import ParameterError
from segue.metrics import VALUE_METRICS, MetricName, are_value_metrics
from segue.parameters import KIND, merge
from segue.protocols.protocol import Protocol
from segue.protocols.ranking import Ranking
from segue.protocols.splits import SPLITS, RatioSplit

_OWN_SPLIT: Mapping[str, Any] = {
    "split": "given",
    "cleaning": {"k_core": 1, "min_support": 1, "min_length": 1},
    "cases": {"targets": "every-next"},
}
"""Settings for a log with a predefined split: no filters unless requested."""


_RARE_REPEATS = 0.01
"""Share of repeated events up to which items seen before are excluded, where nobody decides."""


def choose(
    events: LogFacts, protocol: Protocol | str | None, parameters: Mapping[str, Any]
) -> tuple[Protocol, list[str]]:
    """Return the protocol that fits a log and a request, and notes on the choice.

    A ``Protocol`` is used unchanged. A name, or None, is adapted to the log: a predefined split replaces the split of
    the protocol and turns its filters off, except filters that ``parameters`` sets. With None, items
    seen before are excluded only if the log hardly repeats items.

    Raises:
        UnknownNameError: there is no such protocol or parameter.
        ParameterError: parameters break their rules.
    """
    if isinstance(protocol, Protocol):
        return protocol.changed(parameters), []
    name = protocol or default_protocol(events, parameters)
    chosen, notes = _split_of(events, protocol, name, parameters)
    if protocol is None and chosen.cases.exclude_seen and "exclude_seen" not in parameters.get("cases", {}):
        share = events.repeated_share
        keep = share > _RARE_REPEATS
        chosen = chosen.changed({"cases": {"exclude_seen": not keep}})
        notes.append(
            f"items seen before are {'' if keep else 'no '}candidates: {share:.1%} of the events repeat an item of "
            f"their {events.unit}"
        )
    return chosen, notes


def _split_of(
    events: LogFacts, protocol: str | None, name: str, parameters: Mapping[str, Any]
) -> tuple[Protocol, list[str]]:
    """Return the protocol of a name with the split that fits the log, and what was decided."""
    if _names_split(parameters):
        return Protocol.named(name, parameters), []
    if events.has_parts:
        note = "the predefined split of the log is used; filters run only if you set them"
        return Protocol.named(name, merge(_OWN_SPLIT, parameters)), [note]
    usual = Protocol.presets.get(name, {}).get("split")
    if protocol is None and not events.has_time and isinstance(usual, str) and SPLITS[usual].needs_times:
        chosen = Protocol.named(name, merge({"split": "ratio"}, parameters))
        assert isinstance(chosen.split, RatioSplit)
        share = f"{chosen.split.test_share:.0%}"
        note = f"the log has no times, so the last {share} of its sessions in file order are the test part"
        return chosen, [note]
    return Protocol.named(name, parameters), []


def _names_split(parameters: Mapping[str, Any]) -> bool:
    """Tell whether parameters choose a split, rather than change parameters of the current split."""
    split = parameters.get("split")
    return split is not None and (not isinstance(split, Mapping) or KIND in split)


def default_protocol(events: LogFacts, parameters: Mapping[str, Any] | None = None) -> str:
    """Return the name of the default protocol for a log of sessions or of user histories."""
    cleaning = (parameters or {}).get("cleaning")
    cut_into_sessions = isinstance(cleaning, Mapping) and cleaning.get("session_gap") is not None
    return "leave-one-out" if events.unit == "user" and not cut_into_sessions else "session-next"


def check(events: LogFacts, protocol: Protocol, *, trained: bool = False) -> None:
    """Check that a log has the columns that a protocol requires.

    Args:
        events: the log.
        protocol: the protocol to prepare it with.
        trained: whether the model is already fitted, so that the log needs no training part.

    Raises:
        ParameterError: the log lacks something that a split or a step requires; all problems are reported together.
    """
    problems = []
    if protocol.split.kind == "given" and not events.has_parts:
        remedy = "test on all of it (--all)" if trained else "choose another split"
        problems.append(f"protocol.split: 'given' needs a log with train and test parts; {remedy}")
    if protocol.split.kind == "whole" and not trained:
        problems.append("protocol.split: 'whole' leaves nothing for training; use it only to test a fitted model")
    problems += _label_problems(events, protocol)
    if not events.has_time and protocol.split.needs_times:
        problems.append(
            f"protocol.split: '{protocol.split.kind}' needs times and this log has none; "
            "choose ratio or last-event, or map the time column: --columns time=COLUMN"
        )
    problems += _basket_problems(events, protocol)
    problems += _cleaning_problems(events, protocol)
    if problems:
        raise ParameterError(*problems)


def _basket_problems(events: LogFacts, protocol: Protocol) -> Iterator[str]:
    """Report what is to be done with baskets on a log without times, or by a split that divides them."""
    split, targets = protocol.split, protocol.cases.targets
    wanted = {"split.baskets": split.kind == "last-event" and split.baskets, "cases.targets": targets == "next-basket"}
    for name in (name for name, given in wanted.items() if given and not events.has_time):
        yield (
            f"protocol.{name}: baskets are events of equal time and this log has no times; leave it out, or map the "
            "column with the times"
        )
    if targets == "next-basket" and not split.keeps_baskets:
        remedy = "set protocol.split.baskets=true" if split.kind == "last-event" else "choose another split"
        yield f"protocol.cases.targets: 'next-basket' needs whole baskets, which '{split.kind}' divides; {remedy}"


def check_cleaning(events: LogFacts, protocol: Protocol) -> None:
    """Refuse cleaning steps whose columns a log does not have.

    Raises:
        ParameterError: all of them, reported together.
    """
    problems = list(_cleaning_problems(events, protocol))
    if problems:
        raise ParameterError(*problems)


def _cleaning_problems(events: LogFacts, protocol: Protocol) -> Iterator[str]:
    if not events.has_time:
        yield from (
            f"protocol.cleaning.{parameter}: needs times and this log has none; remove it, or map the time column: "
            "--columns time=COLUMN"
            for parameter in protocol.cleaning.timed_parameters()
        )
    yield from _missing_columns(events, protocol)


def _missing_columns(events: LogFacts, protocol: Protocol) -> Iterator[str]:
    """Report filters by value on columns that the log does not have or that are not numeric."""
    schema = events.schema
    for parameter in ("value_interval", "value_among"):
        for name in getattr(protocol.cleaning, parameter):
            if name not in schema:
                has = ", ".join(f"'{column}'" for column in schema)
                yield f"protocol.cleaning.{parameter}: must name columns of the log, got '{name}'; it has {has}"
            elif parameter == "value_interval" and not (schema[name].is_numeric() or schema[name].is_temporal()):
                yield (
                    f"protocol.cleaning.value_interval: must name numeric columns, got '{name}', which is text; "
                    "list the values to keep in protocol.cleaning.value_among"
                )


def metric_problems(ranking: Ranking) -> Iterator[str]:
    """Report metrics that do not fit the candidates: value metrics need labels, all others need ranks."""
    if are_value_metrics(MetricName.parse_all(ranking.metrics)) != ranking.labeled:
        got = ", ".join(ranking.metrics)
        yield (
            f"protocol.ranking.metrics: must be among {', '.join(VALUE_METRICS)} with candidates 'labeled', got {got}"
            if ranking.labeled
            else f"protocol.ranking.metrics: {got} compare a score with a label; set candidates to labeled"
        )


def _label_problems(events: LogFacts, protocol: Protocol) -> Iterator[str]:
    """Report problems with metrics and labels."""
    yield from metric_problems(protocol.ranking)
    if not protocol.ranking.labeled:
        return
    if protocol.cases.targets in ("together", "next-basket"):
        yield (
            "protocol.cases.targets: must be every-next, first or last with candidates 'labeled', got "
            f"'{protocol.cases.targets}'"
        )
    dtype = events.schema.get(protocol.cases.label)
    if dtype is None or not dtype.is_numeric():
        numeric = [name for name, kind in events.schema.items() if kind.is_numeric()]
        found = "no such column" if dtype is None else str(dtype)
        yield (
            f"protocol.cases.label: must be a numeric column of the log, got '{protocol.cases.label}' ({found}); there "
            f"are: {', '.join(numeric) or 'none'}"
        )
