"""Cleaning steps: pure functions from an ordered log to a smaller log, with a description of the dropped events.

The protocol decides which steps run, in which order and with which parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool

from segue.data.events import (
    DAY,
    ITEM,
    PART,
    ROW,
    SECOND,
    SESSION,
    TIME,
    SessionBounds,
    ends_from,
    is_first_event,
    sessions_by_end,
)
from segue.protocols.intervals import holds_any, parse_intervals


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Result of a step.

    Attributes:
        log: the remaining ordered log.
        dropped: number of dropped events.
        why: description of the dropped events, or of the change.
    """

    log: pl.DataFrame
    dropped: int
    why: str


def drop_incomplete(log: pl.DataFrame) -> Cleaned:
    """Drop events without session, item or time."""
    needed = [name for name in ("session", "item", "time") if name in log.columns]
    return _cleaned(log, log.drop_nulls(needed), f"events without {' or '.join(needed)}")


def drop_duplicates(log: pl.DataFrame) -> Cleaned:
    """Drop events that equal an earlier one in every column.

    Requires times: without times, two equal rows are two visits, not a duplicate.
    """
    columns = [name for name in log.columns if name != ROW]
    return _cleaned(log, log.unique(columns, keep="first", maintain_order=True), "exact duplicates of another event")


def count_duplicates(log: pl.DataFrame) -> dict[str, int]:
    """Count the events that repeat session, item and time of another one, and those that ``drop_duplicates`` drops."""
    log = log.drop_nulls([SESSION, ITEM, TIME])
    again = ((log[TIME] == log[TIME].shift(1)) & ~is_first_event(log)).fill_null(False)
    some = log.filter(again | again.shift(-1, fill_value=False)).drop(ROW, strict=False)
    events = [name for name in (SESSION, ITEM, TIME, PART) if name in some.columns]
    return {"repeats": some.height - some.select(events).n_unique(), "equal": some.height - some.n_unique()}


def drop_consecutive_repeats(log: pl.DataFrame) -> Cleaned:
    """Keep only the first of consecutive events of a session on the same item."""
    other = log["item"] != log["item"].shift(1)
    return _cleaned(log, log.filter(is_first_event(log) | other), "consecutive repeats")


def drop_revisits(log: pl.DataFrame, revisits: Literal["first", "last"]) -> Cleaned:
    """Keep only the first or the last of several events of a session on the same item."""
    kept = log.unique(["session", "item"], keep=revisits, maintain_order=True)
    other = "an earlier" if revisits == "first" else "a later"
    return _cleaned(log, kept, f"events with {other} event of the session on the same item")


def keep_values(
    log: pl.DataFrame,
    *,
    value_interval: Mapping[str, str] | None = None,
    value_among: Mapping[str, Sequence[str]] | None = None,
) -> Cleaned:
    """Keep only events whose values are in intervals or in lists; events with a missing value are dropped.

    Args:
        log: an ordered log.
        value_interval: intervals by numeric column; times are in seconds since 1970.
        value_among: allowed values by column, compared as text.
    """
    intervals, choices = value_interval or {}, value_among or {}
    rules = [
        *(holds_any(parse_intervals(text), _number(log, name)) for name, text in intervals.items()),
        *(pl.col(name).cast(pl.String).is_in(list(values)) for name, values in choices.items()),
    ]
    conditions = [f"'{name}' in {text}" for name, text in intervals.items()]
    conditions += [f"'{name}' among {', '.join(values)}" for name, values in choices.items()]
    return _cleaned(log, log.filter(pl.all_horizontal(rules)), f"events without {' and '.join(conditions)}")


def _number(log: pl.DataFrame, name: str) -> pl.Expr:
    if name == TIME:
        return pl.col(name).to_physical() / SECOND
    return pl.col(name).fill_nan(None) if log.schema[name].is_float() else pl.col(name)


def keep_active(
    log: pl.DataFrame,
    *,
    session_interval: str | None = None,
    item_interval: str | None = None,
    known: pl.Series | None = None,
    pairs: pl.DataFrame | None = None,
) -> Cleaned:
    """Drop sessions and items whose numbers of events are outside intervals; repeat until nothing is dropped.

    As in RecBole, each round counts both before it drops either. The order matters if an interval has an upper end.
    ``known`` items are kept whatever their number of events. ``pairs`` are the remaining sessions and items if they are
    found already.
    """
    kept, before = log, -1
    if pairs is not None:
        kept = log.join(pairs, on=["session", "item"], how="semi", maintain_order="left")
    else:
        inside = counted_inside(
            pl.len().over("session"),
            pl.len().over("item"),
            known,
            session_interval=session_interval,
            item_interval=item_interval,
        )
        while kept.height != before:
            kept, before = kept.filter(inside), kept.height
    given = {"session": session_interval, "item": item_interval}
    why = " or ".join(f"{side}s without a number of events in {text}" for side, text in given.items() if text)
    return _cleaned(log, kept, why)


def counted_inside(
    of_session: pl.Expr,
    of_item: pl.Expr,
    known: pl.Series | None,
    *,
    session_interval: str | None,
    item_interval: str | None,
) -> pl.Expr:
    """Tell which rows have numbers of events inside the intervals; see ``keep_active``."""
    conditions = []
    if session_interval is not None:
        conditions.append(holds_any(parse_intervals(session_interval), of_session))
    if item_interval is not None:
        enough = holds_any(parse_intervals(item_interval), of_item)
        conditions.append(enough if known is None else enough | pl.col("item").is_in(known.implode()))
    return pl.all_horizontal(conditions)


def window(
    log: pl.DataFrame,
    *,
    last_days: float | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    latest: int | None = None,
) -> Cleaned:
    """Keep the events in a window of time.

    Args:
        log: an ordered log with times.
        last_days: length of the window in days, ending at the last event.
        since: first moment of the window.
        until: first moment after the window.
        latest: time of the last event of the whole log in microseconds since 1970, if ``log`` is a part of it.
    """
    inside = pl.lit(value=True)
    if last_days is not None:
        time = pl.col("time").to_physical()
        inside &= (time.max() if latest is None else pl.lit(latest)) - time < last_days * DAY
    if since is not None:
        inside &= pl.col("time") >= since
    if until is not None:
        inside &= pl.col("time") < until
    return _cleaned(log, log.filter(inside), "events outside the window of time")


def sessionise(log: pl.DataFrame, session_gap: float, before: int = 0) -> Cleaned:
    """Start a new session after more than ``session_gap`` minutes without an event.

    The new sessions are numbered from ``before`` + 1; the old session becomes the column ``user``, unless the log has
    such a column.
    """
    number = (new_sessions(log, session_gap).cum_sum() + before).alias("session")
    user = [] if "user" in log.columns else [log["session"].alias("user")]
    return Cleaned(log.with_columns(*user, number), 0, f"new session after {session_gap:g} minutes without an event")


def new_sessions(log: pl.DataFrame, session_gap: float) -> pl.Series:
    """Return True for the first event of each session that ``sessionise`` makes."""
    return is_first_event(log) | (log["time"].diff().to_physical() > session_gap * 60 * SECOND)


def drop_long_sessions(log: pl.DataFrame, max_length: int) -> Cleaned:
    """Drop sessions of more than ``max_length`` events, which are probably those of bots."""
    bounds = SessionBounds.of(log)
    return _keep_rows(log, bounds.repeat(bounds.lengths <= max_length), f"sessions of more than {max_length:,} events")


def drop_short_sessions(log: pl.DataFrame, min_length: int) -> Cleaned:
    """Drop sessions of fewer than ``min_length`` events."""
    bounds = SessionBounds.of(log)
    return _keep_rows(log, bounds.repeat(bounds.lengths >= min_length), f"sessions of fewer than {min_length:,} events")


def drop_rare_items(
    log: pl.DataFrame, min_support: int, known: pl.Series | None = None, counts: pl.DataFrame | None = None
) -> Cleaned:
    """Drop items with fewer than ``min_support`` events, except ``known`` ones.

    Args:
        log: an ordered log.
        min_support: least number of events.
        known: items to keep.
        counts: the items of the whole log, with the number of their events (column ``events``), if already counted.
    """
    counts = log["item"].value_counts(name="events") if counts is None else counts
    frequent = counts.filter(pl.col("events") >= min_support)["item"]
    frequent = frequent if known is None else pl.concat([frequent, known])
    kept = log.filter(pl.col("item").is_in(frequent.implode()))
    return _cleaned(log, kept, f"items with fewer than {min_support:,} events")


def drop_outside_core(
    log: pl.DataFrame, k_core: int, known: pl.Series | None = None, pairs: pl.DataFrame | None = None
) -> Cleaned:
    """Drop sessions and items until each has ``k_core`` distinct partners: items of a session, sessions of an item.

    The result is the largest such part of the log; it does not depend on the order of dropping. ``known`` items are
    kept whatever their number of partners. ``pairs`` are the sessions and items of the core if they are found already.
    """
    if pairs is None:
        pairs = log.select("session", "item").unique()
        before = -1
        while before != pairs.height:
            before = pairs.height
            sessions = pairs.group_by("session").len().filter(pl.col("len") >= k_core)
            pairs = pairs.join(sessions, on="session", how="semi")
            items = well_connected(pairs.group_by("item").len(), k_core, known)
            pairs = pairs.join(items, on="item", how="semi")
    kept = log.join(pairs, on=["session", "item"], how="semi", maintain_order="left")
    return _cleaned(log, kept, f"sessions or items with fewer than {k_core:,} distinct partners")


def well_connected(counts: pl.DataFrame, k_core: int, known: pl.Series | None) -> pl.DataFrame:
    """Return the items of ``counts`` with enough partners (column ``len``), and the ``known`` ones."""
    enough = pl.col("len") >= k_core
    return counts.filter(enough if known is None else enough | pl.col("item").is_in(known.implode()))


def keep_recent(log: pl.DataFrame, recent_share: float, cut: tuple[int, int] | None = None) -> Cleaned:
    """Keep the sessions that ended last: as many whole sessions as contain at most ``recent_share`` of the events.

    The published 1/64 and 1/4 samples of YooChoose are cut in this way: 494,330 and 7,909,307 of 31,637,239 events,
    just under 494,331.9 and 7,909,309.8. Without times, the position in the file replaces the end time. ``cut`` is the
    end of the first session to keep (see ``ends_from``), if it is found already.
    """
    bounds = SessionBounds.of(log)
    if cut is None:
        latest_first = sessions_by_end(log, bounds)[::-1]
        recent = np.empty(len(latest_first), dtype=bool)
        recent[latest_first] = np.cumsum(bounds.lengths[latest_first]) <= recent_share * log.height
    else:
        recent = ends_from(log, bounds, cut)
    return _keep_rows(log, bounds.repeat(recent), f"sessions before the most recent {recent_share:.4g} of the events")


def keep_known_items(log: pl.DataFrame, items: pl.Series, min_length: int) -> Cleaned:
    """Drop held-out events on items that are not in ``items``, then sessions of fewer than ``min_length`` events."""
    known = log.filter(pl.col("item").is_in(items.implode()))
    why = f"events on items that are not in training, then sessions of fewer than {min_length:,} events"
    return _cleaned(log, drop_short_sessions(known, min_length).log, why)


def _keep_rows(log: pl.DataFrame, rows: Bool[np.ndarray, "n"], why: str) -> Cleaned:
    return _cleaned(log, log.filter(pl.Series(rows)), why)


def _cleaned(before: pl.DataFrame, after: pl.DataFrame, why: str) -> Cleaned:
    """Return the result of a step; if nothing was dropped, with the same log object."""
    dropped = before.height - after.height
    return Cleaned(after if dropped else before, dropped, why)
