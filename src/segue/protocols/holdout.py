"""Pure functions that hold out a part of an ordered log.

Each takes the remaining training events and returns the kept and the held-out events, so the same function makes first
the test part and then the validation part of the remaining events. Validation therefore precedes the test in time.

Where a function gets one of several partitions, its last argument is what it must know of the whole log
(``segue.protocols.facts``).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64

from segue.data.arrays import concatenate_ranges
from segue.data.events import DAY, ROW, SessionBounds, basket_numbers, end_times, ends_from, sessions_by_end

GroupBy = Literal["user", "none"]
"""Whether shares are taken of each user's events, or of all events."""

BEFORE_ALL = -(1 << 62)
"""A time before all times of a log, of which some may be before 1970 and so negative."""


@dataclass(frozen=True, eq=False)
class SplitLog:
    """An ordered log in two parts.

    Attributes:
        train: the remaining events.
        holdout: the held-out events.
    """

    train: pl.DataFrame
    holdout: pl.DataFrame


def last_days(log: pl.DataFrame, days: float, latest: int | None = None) -> SplitLog:
    """Hold out the sessions that end in the last ``days`` of the log.

    The last day is the 24 hours before the last event, as in the preparation of Hidasi et al. 2016
    (arXiv:1511.06939), not the last date. 0 days hold out nothing. ``latest`` is the time of the last event of all
    partitions in microseconds since 1970.
    """
    bounds = SessionBounds.of(log)
    ends = end_times(log, bounds)
    latest = ends.max(initial=BEFORE_ALL) if latest is None else latest
    late = (ends >= latest - days * DAY) & (days > 0)
    return split_rows(log, bounds.repeat(late))


def last_share(log: pl.DataFrame, share: float, cut: tuple[int, int] | None = None) -> SplitLog:
    """Hold out the ``share`` of the sessions that end last; without times, the last sessions in the file.

    ``cut`` is where the held-out sessions of all partitions begin, see ``ends_from``.
    """
    bounds = SessionBounds.of(log)
    if cut is not None:
        return split_rows(log, bounds.repeat(ends_from(log, bounds, cut)))
    late = np.zeros(len(bounds.starts), dtype=bool)
    late[sessions_by_end(log, bounds)[len(late) - n_last(share, len(late)) :]] = True
    return split_rows(log, bounds.repeat(late))


def n_last(share: float, sessions: int) -> int:
    """Return the number of sessions in a share of them, rounded up."""
    return math.ceil(share * sessions - 1e-9)  # 0.07 x 100 is 7.000000000000001


def last_event(
    log: pl.DataFrame, least: int, among: pl.Series | None = None, rng: np.random.Generator | None = None
) -> SplitLog:
    """Hold out the last event, or any one, of each session of at least ``least`` events.

    Args:
        log: an ordered log.
        least: shorter sessions are not changed.
        among: if given, only sessions with these ids are changed.
        rng: samples the event to hold out; None holds out the last event.
    """
    bounds = SessionBounds.of(log)
    touched = (bounds.lengths >= least) & _among(log, bounds, among)
    ends = bounds.ends[touched]
    back = 1 if rng is None else 1 + rng.integers(bounds.lengths[touched])
    held_out = np.zeros(log.height, dtype=bool)
    held_out[ends - back] = True
    return split_rows(log, held_out)


def last_basket(log: pl.DataFrame, least: int, among: pl.Series | None = None) -> SplitLog:
    """Hold out the last basket of each session of at least ``least`` baskets; see ``last_event``.

    A basket is made of the events of a session in one second.
    """
    bounds = SessionBounds.of(log)
    numbers = basket_numbers(log)
    counts = numbers[bounds.ends - 1] - numbers[bounds.starts] + 1
    touched = (counts >= least) & _among(log, bounds, among)
    return split_rows(log, (numbers == bounds.repeat(numbers[bounds.ends - 1])) & bounds.repeat(touched))


def _among(log: pl.DataFrame, bounds: SessionBounds, ids: pl.Series | None) -> Bool[np.ndarray, "s"]:
    """Tell which sessions have one of these ids; all of them without ids."""
    if ids is None:
        return np.ones(len(bounds.starts), dtype=bool)
    return log["session"].gather(bounds.starts).is_in(ids.implode()).to_numpy()


def from_moment(log: pl.DataFrame, moment: datetime | None) -> SplitLog:
    """Hold out the events at or after one moment, which is the same for all users; None holds out nothing."""
    if moment is None:
        return SplitLog(log, log.clear())
    return SplitLog(log.filter(pl.col("time") < moment), log.filter(pl.col("time") >= moment))


def last_events(log: pl.DataFrame, share: float, moment: int | None = None) -> SplitLog:
    """Hold out the most recent ``share`` of the events.

    The cut is a single time, so events with equal times stay together; 0 holds out nothing. ``moment`` is that time for
    all partitions, in microseconds since 1970.
    """
    if moment is not None:
        late = pl.col("time").to_physical() >= moment
        return SplitLog(log.filter(~late), log.filter(late))
    times = log["time"].sort()
    kept = n_first(share, log.height)
    return from_moment(log, times[kept] if kept < log.height else None)


def n_first(share: float, events: int) -> int:
    """Return the number of events before the most recent ``share`` of them."""
    return math.floor((1 - share) * events + 1e-9)


def in_utc(moment: datetime | None) -> datetime | None:
    """Return a moment like the times of a log: in UTC, without a time zone.

    Raises:
        ValueError: in UTC, it is before the year 1 or after the year 9999.
    """
    try:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment is not None and moment.tzinfo else moment
    except OverflowError:
        raise ValueError("a time in the years 1 to 9999 in UTC") from None


def share_of_events(
    log: pl.DataFrame,
    counts: Callable[[Int64[np.ndarray, "g"]], Int64[np.ndarray, "g"]],
    by: GroupBy,
    rng: np.random.Generator | None,
) -> SplitLog:
    """Hold out the last events, or random events, of each group.

    Args:
        log: an ordered log.
        counts: maps the sizes of the groups to the number of events to hold out of each.
        by: ``"user"`` makes one group per session (a user's history), ``"none"`` one group of the whole log.
        rng: samples the events to hold out; None holds out the last events by time, equal times in file order.
    """
    if log.is_empty():
        return SplitLog(log, log)
    if by == "user":
        bounds = SessionBounds.of(log)
        sizes, order = bounds.lengths, np.arange(log.height)
    else:
        sizes = np.array([log.height])
        keys = ["time", ROW] if "time" in log.columns else [ROW]
        order = log.select(pl.arg_sort_by(*keys).cast(pl.Int64)).to_series().to_numpy()
    starts = np.cumsum(sizes) - sizes
    if rng is not None:
        groups = np.repeat(np.arange(len(sizes)), sizes)
        order = order[np.lexsort((rng.random(log.height), groups))]
    held_out = np.zeros(log.height, dtype=bool)
    number = counts(sizes)
    held_out[order[concatenate_ranges(starts + sizes - number, number)]] = True
    return split_rows(log, held_out)


def share_sizes(
    totals: Int64[np.ndarray, "g"], ratios: tuple[float, float, float]
) -> tuple[Int64[np.ndarray, "g"], Int64[np.ndarray, "g"]]:
    """Return the number of validation and test events of groups of given sizes.

    Shares are rounded down and the remainder is for training. If a group would have no test event (then no validation
    event), it gives one, provided that one is left for training. This is RecBole's rule (1.2.1).
    """
    scale = sum(ratios)
    wanted = [share / scale * totals for share in ratios]
    sizes = [np.floor(share + 1e-9).astype(np.int64) for share in wanted]
    left = totals - sizes[1] - sizes[2]
    for part in (2, 1):
        extra = (left > 1) & (wanted[part] > 0) & (sizes[part] == 0)
        sizes[part] += extra
        left = left - extra
    return sizes[1], sizes[2]


def validation_sizes(
    log: pl.DataFrame, test: pl.DataFrame, ratios: tuple[float, float, float], by: GroupBy
) -> Int64[np.ndarray, "g"]:
    """Return the number of validation events of each group, from its size before the test part was held out.

    Args:
        log: the remaining training events, in order.
        test: the test part.
        ratios: see ``share_sizes``.
        by: see ``share_of_events``.
    """
    if by == "none":
        sizes, before = np.array([log.height]), np.array([log.height + test.height])
    else:
        tested = dict(test.group_by("session").len().iter_rows())
        bounds = SessionBounds.of(log)
        sizes, sessions = bounds.lengths, log["session"].gather(bounds.starts)
        before = sizes + np.array([tested.get(session, 0) for session in sessions], dtype=np.int64)
    # A step that dropped events since the test was held out must not leave validation with more than its share.
    most = np.ceil(ratios[1] / sum(ratios[:2]) * sizes - 1e-9).astype(np.int64)
    valid, _ = share_sizes(before, ratios)
    np.minimum(valid, np.minimum(most, np.maximum(sizes - 1, 0)), out=valid)
    return valid


def continues(log: pl.DataFrame, later: pl.DataFrame) -> bool:
    """Tell whether sessions of ``log`` continue in ``later``, as user histories do."""
    return not later.select("session").join(log.select("session"), on="session", how="semi").is_empty()


def given(log: pl.DataFrame, part: str) -> SplitLog:
    """Hold out the events that the log itself assigns to ``part``."""
    return SplitLog(log.filter(pl.col("part") != part), log.filter(pl.col("part") == part))


def given_validation(
    log: pl.DataFrame,
    test: pl.DataFrame,
    share: float,
    rule: Literal["own", "histories", "sessions"] | None = None,
    cut: tuple[int, int] | None = None,
) -> SplitLog:
    """Hold out the predefined validation part; without one, the end of each tested history or the last sessions.

    ``rule`` says which of the three it is in all partitions, and ``cut`` where the last sessions begin.
    """
    own = given(log, "valid")
    if rule == "own" or (rule is None and not own.holdout.is_empty()):
        return own
    if rule == "histories" or (rule is None and continues(log, test)):
        return last_event(log, 2, test["session"])
    return last_share(log, share, cut)


def split_rows(log: pl.DataFrame, rows: Bool[np.ndarray, "n"]) -> SplitLog:
    """Hold out some rows."""
    mask = pl.Series(rows, dtype=pl.Boolean)
    return SplitLog(log.filter(~mask), log.filter(mask))
