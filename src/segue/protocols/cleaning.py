"""The cleaning of a protocol: the steps, their order and their parameters."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import polars as pl
from pydantic import BeforeValidator, Field, field_validator

from segue.data.partitions import PartitionedLog
from segue.errors import InputError
from segue.parameters import Section
from segue.protocols import cleaning_steps, facts
from segue.protocols.cleaning_steps import Cleaned
from segue.protocols.facts import Facts
from segue.protocols.holdout import in_utc
from segue.protocols.intervals import parse_intervals
from segue.validation import without_effect

StepName = Literal[
    "incomplete",
    "duplicates",
    "window",
    "sessionise",
    "consecutive-repeats",
    "revisits",
    "values",
    "max-length",
    "activity",
    "k-core",
    "hold-out-test",
    "known-items",
    "recent-share",
    "hold-out-valid",
    "min-support",
    "min-length",
]
"""The steps on a log; the steps after ``hold-out-test`` act on the training part only."""

DEFAULT_ORDER: tuple[StepName, ...] = tuple(name for name in get_args(StepName) if name != "known-items")
"""The default order of the steps; some published protocols also use ``known-items``."""

Text = Annotated[str, BeforeValidator(str)]
"""A value that is compared as text: 5 may be written without quotes."""


@dataclass(frozen=True)
class CleanedLog:
    """The result of a step on all partitions.

    Attributes:
        log: the remaining ordered log; the same object if nothing changed.
        dropped: number of dropped events.
        why: description of the dropped events, or of the change.
    """

    log: PartitionedLog
    dropped: int
    why: str


def run_step(
    log: pl.DataFrame, run: Callable[..., Cleaned], parameters: Mapping[str, Any], **facts: Any
) -> dict[str, Any]:
    """Run a step on one partition; the result has no ``log`` if nothing changed."""
    cleaned = run(log, **parameters, **facts)
    result = {"dropped": cleaned.dropped, "why": cleaned.why}
    return result if cleaned.log is log else {"log": cleaned.log, **result}


@dataclass(frozen=True)
class CleaningStep:
    """A cleaning step.

    Attributes:
        run: a function of the log and of the parameters that are set.
        parameters: the parameters that turn the step on; a step without any always runs.
        needs_times: whether the step requires a log with times.
        counts_items: whether it drops items by how often they occur, so that it has an exception for known items.
        takes_counts: whether it takes the number of events of each item as ``counts``.
        facts: what the function has to know of the whole log where it gets one of several partitions: a function of the
            log and of the parameters that are set, which returns further arguments for each partition.
    """

    run: Callable[..., Cleaned]
    parameters: tuple[str, ...] = ()
    needs_times: bool = False
    counts_items: bool = False
    takes_counts: bool = False
    facts: Callable[..., Facts] | None = None


STEPS: Mapping[str, CleaningStep] = {
    "incomplete": CleaningStep(cleaning_steps.drop_incomplete),
    "duplicates": CleaningStep(cleaning_steps.drop_duplicates, ("drop_duplicates",), needs_times=True),
    "window": CleaningStep(
        cleaning_steps.window, ("last_days", "since", "until"), needs_times=True, facts=facts.window
    ),
    "sessionise": CleaningStep(cleaning_steps.sessionise, ("session_gap",), needs_times=True, facts=facts.sessionise),
    "consecutive-repeats": CleaningStep(cleaning_steps.drop_consecutive_repeats, ("drop_consecutive_repeats",)),
    "revisits": CleaningStep(cleaning_steps.drop_revisits, ("revisits",)),
    "values": CleaningStep(cleaning_steps.keep_values, ("value_interval", "value_among")),
    "max-length": CleaningStep(cleaning_steps.drop_long_sessions, ("max_length",)),
    "activity": CleaningStep(
        cleaning_steps.keep_active, ("session_interval", "item_interval"), counts_items=True, facts=facts.keep_active
    ),
    "k-core": CleaningStep(
        cleaning_steps.drop_outside_core, ("k_core",), counts_items=True, facts=facts.drop_outside_core
    ),
    "recent-share": CleaningStep(cleaning_steps.keep_recent, ("recent_share",), facts=facts.keep_recent),
    "min-support": CleaningStep(cleaning_steps.drop_rare_items, ("min_support",), counts_items=True, takes_counts=True),
    "min-length": CleaningStep(cleaning_steps.drop_short_sessions, ("min_length",)),
}
"""Steps on the log or, after the test part is held out, on the training part."""

_STEP_OF = {parameter: name for name, step in STEPS.items() for parameter in step.parameters}


class Cleaning(Section):
    """The events to drop from a log. A parameter at its default turns its step off: ``Cleaning()`` filters nothing."""

    order: tuple[StepName, ...] = DEFAULT_ORDER
    """The steps in their order. A step whose parameters are at their defaults is skipped."""
    drop_duplicates: bool = False
    """Drop events that equal another one in every column (step duplicates)."""
    last_days: float | None = Field(None, gt=0)
    """Keep the events of the last days of the log (step window)."""
    since: datetime | None = None
    """Keep the events at or after this time (step window; ISO 8601, UTC)."""
    until: datetime | None = None
    """Keep the events before this time (step window; ISO 8601, UTC)."""
    session_gap: float | None = Field(None, gt=0)
    """Minutes without an event after which a new session begins (step sessionise)."""
    drop_consecutive_repeats: bool = False
    """Keep only the first of consecutive events on the same item (step consecutive-repeats)."""
    revisits: Literal["all", "first", "last"] = "all"
    """Which events to keep if a session has several on the same item: all, the first or the last (step revisits)."""
    value_interval: dict[str, str] = Field({})
    """Keep only events whose value in a numeric column is in an interval, for example {rating: "[3,inf)"} (step
    values). Separate several intervals with semicolons. The column time is measured in seconds since 1970."""
    value_among: dict[str, tuple[Text, ...]] = Field({})
    """Keep only events whose value in a column is in a list, for example {type: [buy]} (step values)."""
    max_length: int | None = Field(None, ge=1)
    """Drop sessions with more events than this, such as those of bots (step max-length)."""
    session_interval: str | None = None
    """Drop sessions whose number of events is outside this interval, for example [5,inf) (step activity). Repeats until
    no session is dropped."""
    item_interval: str | None = None
    """Drop items whose number of events is outside this interval, in the same rounds as sessions (step activity)."""
    k_core: int = Field(1, ge=1)
    """Drop sessions and items until each has this many distinct partners (step k-core); 1 drops nothing."""
    min_support: int = Field(1, ge=1)
    """Drop items with fewer events (step min-support); 1 drops nothing."""
    min_length: int = Field(1, ge=1)
    """Drop sessions with fewer events (step min-length); 1 drops nothing."""
    recent_share: float = Field(1.0, gt=0, le=1)
    """Keep the sessions that ended last, up to this share of the events (step recent-share)."""

    _in_utc = field_validator("since", "until")(in_utc)

    @field_validator("order")
    @classmethod
    def _possible_order(cls, order: tuple[StepName, ...]) -> tuple[StepName, ...]:
        if not order or order[0] != "incomplete" or order.count("hold-out-test") != 1:
            raise ValueError("a list that begins with 'incomplete' and contains 'hold-out-test' once")
        test = order.index("hold-out-test")
        if any(name in order[:test] for name in ("hold-out-valid", "known-items")) or order.count("hold-out-valid") > 1:
            raise ValueError("a list with 'known-items' and at most one 'hold-out-valid' after 'hold-out-test'")
        if "sessionise" in order[test:]:
            raise ValueError("a list with 'sessionise' before 'hold-out-test', as both parts need the new sessions")
        return order

    @field_validator("until")
    @classmethod
    def _until_after_since(cls, until: datetime | None, info: Any) -> datetime | None:
        since = info.data.get("since")
        if since is not None and until is not None and until <= since:
            raise ValueError(f"a time after since ({since.isoformat()})")
        return until

    @field_validator("value_interval")
    @classmethod
    def _known_intervals(cls, intervals: dict[str, str]) -> dict[str, str]:
        for name, text in intervals.items():
            _check_interval(text, f"names of columns with intervals; the interval of {name} must be ")
        return intervals

    @field_validator("session_interval", "item_interval")
    @classmethod
    def _known_interval(cls, text: str | None) -> str | None:
        return text if text is None else _check_interval(text)

    @field_validator(*_STEP_OF)
    @classmethod
    def _of_a_step_that_runs(cls, value: Any, info: Any) -> Any:
        step, order = _STEP_OF[info.field_name], info.data.get("order")
        if order is None or step in order or value == cls.model_fields[info.field_name].default:
            return value
        if info.field_name == "min_length" and "known-items" in order:
            return value
        raise without_effect(f"because cleaning.order has no step '{step}'", "remove it, or add the step")

    def settings(self, step: str) -> dict[str, Any]:
        """Return the parameters of a step that are set, that is, not at their defaults."""
        values = {name: getattr(self, name) for name in STEPS[step].parameters}
        return {name: value for name, value in values.items() if value != type(self).model_fields[name].default}

    def runs(self, step: str) -> bool:
        """Tell whether a step is in the order, and turned on if it is one of ``STEPS``."""
        return step in self.order and (step not in STEPS or not STEPS[step].parameters or bool(self.settings(step)))

    def clean(self, step: str, log: PartitionedLog, counts: pl.DataFrame, known: pl.Series | None = None) -> CleanedLog:
        """Run a step on an ordered log.

        Args:
            step: name of the step.
            log: the log.
            counts: its items, with the number of their events.
            known: items that are kept, however rare they are in the log.
        """
        numbers = {name: value for name, value in self.settings(step).items() if value is not True}
        if known is not None and STEPS[step].counts_items:
            numbers["known"] = known
        find = STEPS[step].facts
        each = None if find is None or log.is_whole else find(log, **numbers)
        if STEPS[step].takes_counts:
            numbers["counts"] = counts
        results = log.map(run_step, each, run=STEPS[step].run, parameters=numbers)
        cleaned = [one.get("log", before) for one, before in zip(results, log.partitions, strict=True)]
        changed = any("log" in one for one in results)
        dropped = sum(one["dropped"] for one in results)
        return CleanedLog(log.with_partitions(cleaned) if changed else log, dropped, results[0]["why"])

    def hashed_parameters(self) -> dict[str, Any]:
        """Return the steps and parameters that affect results, ready for JSON."""
        names = {name for step in self.order if step in STEPS for name in self.settings(step)}
        if "known-items" in self.order:
            names.add("min_length")
        values = self.model_dump(mode="json", include=names)
        if "value_among" in values:
            values["value_among"] = {name: sorted(among) for name, among in values["value_among"].items()}
        return {"order": [step for step in self.order if self.runs(step)], **values}

    def timed_parameters(self) -> Iterator[str]:
        """Return the parameters that are set and need a log with times."""
        return (
            name for step in self.order if step in STEPS and STEPS[step].needs_times for name in self.settings(step)
        )


def _check_interval(text: str, place: str = "") -> str:
    try:
        parse_intervals(text)
    except InputError as error:
        raise ValueError(f"{place}{error}") from None
    return text
