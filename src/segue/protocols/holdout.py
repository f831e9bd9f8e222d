"""Holding out: pure functions that take a part of an ordered log away.

Each takes what is left for training and returns what it keeps and what it holds out, so that one function makes
the test part first and the validation part from the rest: validation lies before the test in time.
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
from segue.data.events import DAY, ROW, SessionBounds, basket_numbers, end_times, sessions_by_end

GroupBy = Literal["user", "none"]
"""Whether shares are taken of each user's events, or of all events."""


@dataclass(frozen=True, eq=False)
class SplitLog:
    """An ordered log in two parts.

    Attributes:
        train: what is left for training.
        holdout: what is held out.
    """

    train: pl.DataFrame
    holdout: pl.DataFrame


def last_days(log: pl.DataFrame, days: float) -> SplitLog:
    """Hold out the sessions that end in the last ``days`` of the log.

    The last day is the 24 hours before the last event, as in the preparation of Hidasi et al. 2016
    (arXiv:1511.06939), not the last date. 0 days hold out nothing.
    """
    runs = SessionBounds.of(log)
    ends = end_times(log, runs)
    late = (ends >= ends.max(initial=0) - days * DAY) & (days > 0)
    return _split_rows(log, runs.repeat(late))


def last_share(log: pl.DataFrame, share: float) -> SplitLog:
    """Hold out the ``share`` of the sessions that end last; without times, that stand last in the file."""
    runs = SessionBounds.of(log)
    count = math.ceil(share * len(runs.starts) - 1e-9)  # 0.07 x 100 is 7.000000000000001
    late = np.zeros(len(runs.starts), dtype=bool)
    late[sessions_by_end(log, runs)[len(late) - count :]] = True
    return _split_rows(log, runs.repeat(late))


def last_event(
    log: pl.DataFrame, least: int, among: pl.Series | None = None, rng: np.random.Generator | None = None
) -> SplitLog:
    """Hold out the last event, or any one, of each session of at least ``least`` events.

    Args:
        log: an ordered log.
        least: sessions that are shorter are left whole.
        among: if given, only sessions with these ids are touched.
        rng: draws which event is held out; None takes the last one.
    """
    runs = SessionBounds.of(log)
    touched = (runs.lengths >= least) & _among(log, runs, among)
    ends = runs.ends[touched]
    back = 1 if rng is None else 1 + rng.integers(runs.lengths[touched])
    held_out = np.zeros(log.height, dtype=bool)
    held_out[ends - back] = True
    return _split_rows(log, held_out)


def last_basket(log: pl.DataFrame, least: int, among: pl.Series | None = None) -> SplitLog:
    """Hold out the last basket of each session of at least ``least`` baskets; see ``last_event``.

    A basket is made of the events of a session in one second.
    """
    runs = SessionBounds.of(log)
    numbers = basket_numbers(log)
    counts = numbers[runs.ends - 1] - numbers[runs.starts] + 1
    touched = (counts >= least) & _among(log, runs, among)
    return _split_rows(log, (numbers == runs.repeat(numbers[runs.ends - 1])) & runs.repeat(touched))


def _among(log: pl.DataFrame, runs: SessionBounds, ids: pl.Series | None) -> Bool[np.ndarray, "s"]:
    """Tell which sessions have one of these ids; all of them without ids."""
    if ids is None:
        return np.ones(len(runs.starts), dtype=bool)
    return log["session"].gather(runs.starts).is_in(ids.implode()).to_numpy()


def from_moment(log: pl.DataFrame, moment: datetime | None) -> SplitLog:
    """Hold out the events at or after one moment in time, the same for everyone; None holds out nothing."""
    if moment is None:
        return SplitLog(log, log.clear())
    return SplitLog(log.filter(pl.col("time") < moment), log.filter(pl.col("time") >= moment))


def last_events(log: pl.DataFrame, share: float) -> SplitLog:
    """Hold out the most recent ``share`` of the events.

    The cut is a single time, so events with equal times stay together; 0 holds out nothing.
    """
    times = log["time"].sort()
    kept = math.floor((1 - share) * log.height + 1e-9)
    return from_moment(log, times[kept] if kept < log.height else None)


def in_utc(moment: datetime | None) -> datetime | None:
    """Return a moment as the times of a log are: without a zone, in UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment is not None and moment.tzinfo else moment


def share_of_events(
    log: pl.DataFrame,
    counts: Callable[[Int64[np.ndarray, "g"]], Int64[np.ndarray, "g"]],
    by: GroupBy,
    rng: np.random.Generator | None,
) -> SplitLog:
    """Hold out the last events of each group, or any of them.

    Args:
        log: an ordered log.
        counts: how many events to hold out of groups of given sizes, one number per group.
        by: ``"user"`` makes a group of each session (a user's history), ``"none"`` one of the whole log.
        rng: draws which events are held out; None takes the last ones by time, equal times in the order of the file.
    """
    if log.is_empty():
        return SplitLog(log, log)
    if by == "user":
        runs = SessionBounds.of(log)
        sizes, order = runs.lengths, np.arange(log.height)
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
    return _split_rows(log, held_out)


def share_sizes(
    totals: Int64[np.ndarray, "g"], ratios: tuple[float, float, float]
) -> tuple[Int64[np.ndarray, "g"], Int64[np.ndarray, "g"]]:
    """Return how many events of groups of given sizes are for validation and for the test.

    Shares are rounded down, and what is left over is for training; a group that would get none for the test, and then
    for validation, gives one as long as it keeps one for training. This is RecBole's rule (1.2.1).
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
    """Return how many events of each group are for validation, by its size before the test was held out.

    Args:
        log: what is left for training, in order.
        test: the test part.
        ratios: see ``share_sizes``.
        by: see ``share_of_events``.
    """
    if by == "none":
        sizes, before = np.array([log.height]), np.array([log.height + test.height])
    else:
        tested = dict(test.group_by("session").len().iter_rows())
        runs = SessionBounds.of(log)
        sizes, sessions = runs.lengths, log["session"].gather(runs.starts)
        before = sizes + np.array([tested.get(session, 0) for session in sessions], dtype=np.int64)
    # A step that dropped events since the test was held out must not leave validation with more than its share.
    most = np.ceil(ratios[1] / sum(ratios[:2]) * sizes - 1e-9).astype(np.int64)
    valid, _ = share_sizes(before, ratios)
    np.minimum(valid, np.minimum(most, np.maximum(sizes - 1, 0)), out=valid)
    return valid


def continues(log: pl.DataFrame, later: pl.DataFrame) -> bool:
    """Tell whether sessions of ``log`` go on in ``later``, as users' histories do."""
    return not later.select("session").join(log.select("session"), on="session", how="semi").is_empty()


def given(log: pl.DataFrame, part: str) -> SplitLog:
    """Hold out the events that the log itself assigns to ``part``."""
    return SplitLog(log.filter(pl.col("part") != part), log.filter(pl.col("part") == part))


def given_validation(log: pl.DataFrame, test: pl.DataFrame, share: float) -> SplitLog:
    """Hold out the log's own validation part; without one, the end of each tested history or the last sessions."""
    own = given(log, "valid")
    if not own.holdout.is_empty():
        return own
    return last_event(log, 2, test["session"]) if continues(log, test) else last_share(log, share)


def _split_rows(log: pl.DataFrame, rows: Bool[np.ndarray, "n"]) -> SplitLog:
    mask = pl.Series(rows, dtype=pl.Boolean)
    return SplitLog(log.filter(~mask), log.filter(mask))
