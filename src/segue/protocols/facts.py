"""What a step must know of the whole log to work on one of several partitions.

A function here computes for all partitions what the function of the same name in ``cleaning_steps`` or ``holdout``
computes itself where it gets the whole log. It returns further arguments for each partition.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from segue.data.events import ITEM, ROW, SESSION, TIME, SessionBounds, end_times
from segue.data.partitions import PartitionedLog, load, merge_counts
from segue.protocols.cleaning_steps import counted_inside, new_sessions, well_connected
from segue.protocols.holdout import BEFORE_ALL, SplitLog, continues, n_first, n_last

Facts = Sequence[dict[str, Any]]
"""Further arguments of a step, one dictionary per partition."""

AFTER_ALL = (1 << 62, 0)
"""A cut after the end of every session."""

_BINS = 1 << 16
_TIMES, _PAIRS, _ENDS = (TIME,), (SESSION, ITEM), (ROW, SESSION, TIME)
"""Columns that functions on partitions need."""


def window(log: PartitionedLog, last_days: float | None = None, **_: datetime) -> Facts:
    """Find the time of the last event."""
    latest = (
        None
        if last_days is None
        else max(one["last"] for one in log.map(_last_time, columns=_TIMES) if one["last"] is not None)
    )
    return [{"latest": latest}] * len(log.partitions)


def sessionise(log: PartitionedLog, session_gap: float) -> Facts:
    """Count the new sessions before each partition."""
    counts = [one["sessions"] for one in log.map(_count_new_sessions, columns=_ENDS, session_gap=session_gap)]
    return [{"before": before} for before in _before(counts)]


def drop_outside_core(log: PartitionedLog, k_core: int, known: pl.Series | None = None) -> Facts:
    """Find the pairs of a session and an item in the core."""
    tables = [one["pairs"] for one in log.map(_pairs, columns=_PAIRS)]
    items = None
    while True:
        older = tables
        found = log.engine.map(_in_core, [{"pairs": table} for table in tables], items=items, k_core=k_core)
        tables = [one["pairs"] for one in found]
        log.engine.drop(older)
        counts = merge_counts([one["counts"] for one in found], "item", "len")
        items = well_connected(counts, k_core, known).select("item")
        if items.height == counts.height:
            return [{"pairs": table} for table in tables]


def keep_active(
    log: PartitionedLog,
    *,
    session_interval: str | None = None,
    item_interval: str | None = None,
    known: pl.Series | None = None,
) -> Facts:
    """Find the pairs of a session and an item that remain."""
    rules = {"session_interval": session_interval, "item_interval": item_interval}
    tables = [one["pairs"] for one in log.map(_counted_pairs, columns=_PAIRS)]
    before = -1
    while before != (height := sum(table.height for table in tables)):
        before, older = height, tables
        pairs = [{"pairs": one} for one in tables]
        totals = [one["counts"] for one in log.engine.map(_item_totals, pairs)] if item_interval else None
        counts = None if totals is None else merge_counts(totals, "item", "events")
        tables = [one["pairs"] for one in log.engine.map(_active, pairs, counts=counts, known=known, **rules)]
        log.engine.drop(older)
    return [{"pairs": table} for table in tables]


def keep_recent(log: PartitionedLog, recent_share: float) -> Facts:
    """Find the session that ended first among those to keep."""
    ends = _session_ends(log)
    lengths = ends["length"].to_numpy()[::-1]
    count = int(np.count_nonzero(np.cumsum(lengths) <= recent_share * log.height))
    return _cut(log, ends, count)


def last_days(log: PartitionedLog) -> Facts:
    """Find the end of the session that ends last."""
    latest = max(one["end"] for one in log.map(_latest_end, columns=_ENDS))
    return [{"latest": latest}] * len(log.partitions)


def last_share(log: PartitionedLog, share: float) -> Facts:
    """Find the first of the sessions that end last."""
    ends = _session_ends(log)
    return _cut(log, ends, n_last(share, ends.height))


def last_events(log: PartitionedLog, share: float) -> Facts:
    """Find the time from which the most recent events are held out."""
    kept = n_first(share, log.height)
    moment = _kth_time(log, kept) if kept < log.height else AFTER_ALL[0]
    return [{"moment": moment}] * len(log.partitions)


def given_validation(log: PartitionedLog, test: PartitionedLog, share: float) -> Facts:
    """Find out which rule holds out the validation part of a predefined split."""
    found = log.map(_given_parts, [{"test": table} for table in test.partitions])
    if any(one["valid"] for one in found):
        return [{"rule": "own"}] * len(found)
    if any(one["continues"] for one in found):
        return [{"rule": "histories"}] * len(found)
    return [{"rule": "sessions", **cut} for cut in last_share(log, share)]


def held_out_rows(log: PartitionedLog, *others: PartitionedLog, run: Callable[..., SplitLog]) -> Facts:
    """Hold out a part of the whole log, of which only sessions, times and rows are in memory.

    For rules that order or draw all events at once: 20 bytes per event with integer ids.
    """
    narrow, *rest = ([load(one["log"]) for one in some.map(_narrow, columns=_ENDS)] for some in (log, *others))
    rows = run(pl.concat(narrow), *(pl.concat(tables) for tables in rest)).holdout[ROW]
    return [{"held_out": table.select(held_out=pl.col(ROW).is_in(rows.implode()))} for table in narrow]


def _before(counts: Sequence[int]) -> list[int]:
    return [int(total) for total in np.cumsum([0, *counts[:-1]])]


def _cut(log: PartitionedLog, ends: pl.DataFrame, count: int) -> Facts:
    """Return where the last ``count`` sessions begin in order of their end."""
    cut = ends.select("end", "row").row(ends.height - count) if count else AFTER_ALL
    return [{"cut": cut}] * len(log.partitions)


def _session_ends(log: PartitionedLog) -> pl.DataFrame:
    """Return end, row and length of each session, in order of the end."""
    tables = [load(one["ends"]) for one in log.map(_ends, columns=_ENDS)]
    return pl.concat(tables).sort("end", "row")


def _kth_time(log: PartitionedLog, k: int) -> int:
    """Return time ``k`` in ascending order, in microseconds since 1970, by counting in ever finer bins."""
    spans = log.map(_span, columns=_TIMES)
    low: int = min(one["low"] for one in spans if one["low"] is not None)
    high: int = max(one["high"] for one in spans if one["high"] is not None)
    while low < high:
        width = max(1, -(-(high - low + 1) // _BINS))
        found = log.map(_bins, columns=_TIMES, low=low, high=high, width=width)
        counts = merge_counts([one["bins"] for one in found], "bin", "len").sort("bin")
        totals = np.cumsum(counts["len"].to_numpy())
        place = int(np.searchsorted(totals, k, side="right"))
        k -= int(totals[place - 1]) if place else 0
        low += int(counts["bin"][place]) * width
        high = min(high, low + width - 1)
    return low


def _last_time(log: pl.DataFrame) -> dict[str, Any]:
    return {"last": log[TIME].to_physical().max()}


def _count_new_sessions(log: pl.DataFrame, session_gap: float) -> dict[str, Any]:
    return {"sessions": int(new_sessions(log, session_gap).sum())}


def _pairs(log: pl.DataFrame) -> dict[str, Any]:
    return {"pairs": log.select("session", "item").unique()}


def _in_core(pairs: pl.DataFrame, items: pl.DataFrame | None, k_core: int) -> dict[str, Any]:
    """Drop items that are not well connected, then sessions; count the partners of the items."""
    if items is not None:
        pairs = pairs.join(items, on="item", how="semi")
    sessions = pairs.group_by("session").len().filter(pl.col("len") >= k_core)
    pairs = pairs.join(sessions, on="session", how="semi")
    return {"pairs": pairs, "counts": pairs.group_by("item").len()}


def _counted_pairs(log: pl.DataFrame) -> dict[str, Any]:
    return {"pairs": log.group_by("session", "item").agg(events=pl.len())}


def _item_totals(pairs: pl.DataFrame) -> dict[str, Any]:
    return {"counts": pairs.group_by("item").agg(pl.col("events").sum())}


def _active(
    pairs: pl.DataFrame,
    counts: pl.DataFrame | None,
    known: pl.Series | None,
    session_interval: str | None,
    item_interval: str | None,
) -> dict[str, Any]:
    totals = pl.lit(0) if counts is None else pl.col("of_item")
    if counts is not None:
        pairs = pairs.join(counts.rename({"events": "of_item"}), on="item", how="left")
    inside = counted_inside(
        pl.col("events").sum().over("session"),
        totals,
        known,
        session_interval=session_interval,
        item_interval=item_interval,
    )
    return {"pairs": pairs.filter(inside).select("session", "item", "events")}


def _ends(log: pl.DataFrame) -> dict[str, Any]:
    bounds = SessionBounds.of(log)
    rows = log[ROW].gather(bounds.ends - 1).cast(pl.Int64)
    return {"ends": pl.DataFrame({"end": end_times(log, bounds), "row": rows, "length": bounds.lengths})}


def _latest_end(log: pl.DataFrame) -> dict[str, Any]:
    return {"end": int(end_times(log, SessionBounds.of(log)).max(initial=BEFORE_ALL))}


def _given_parts(log: pl.DataFrame, test: pl.DataFrame) -> dict[str, Any]:
    return {"valid": bool((log["part"] == "valid").any()), "continues": continues(log, test)}


def _narrow(log: pl.DataFrame) -> dict[str, Any]:
    return {"log": log.select(name for name in (SESSION, TIME, ROW) if name in log.columns)}


def _span(log: pl.DataFrame) -> dict[str, Any]:
    times = log[TIME].to_physical()
    return {"low": times.min(), "high": times.max()}


def _bins(log: pl.DataFrame, low: int, high: int, width: int) -> dict[str, Any]:
    times = log[TIME].to_physical()
    inside = times.filter(times.is_between(low, high))
    return {"bins": ((inside - low) // width).alias("bin").to_frame().group_by("bin").len()}
