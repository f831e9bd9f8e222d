"""Checks of the order in time: nobody may learn from what came after the test, or be told of it."""

from datetime import UTC, datetime

import numpy as np
from jaxtyping import Int64

from segue.data.sessions import Cases
from segue.evaluation.linter.finding import Found
from segue.evaluation.linter.holdout import held_sessions, in_place
from segue.protocols.dataset import Dataset

TOLERATED = 0.01
"""Share of the sessions of a part that may seem to end too early: one whose last events are on unknown items does."""

_REMEDY = {
    "last-event": "this is inherent in leave-one-out, where each user's last event has a time of its own; the protocol "
    "'global-time' avoids it",
    "event-ratio": "shares of each user's events, and events drawn at random, are not apart in time; the protocol "
    "'global-time' avoids it",
    "given": "check how the split was made, or make another one: protocol.split=last-days for visits, global-time for "
    "users' histories",
}
_ANY_REMEDY = "check the times of the log, or choose another protocol.split"


def overlap_in_time(data: Dataset) -> Found | None:
    """Find training events later than the end of the first test session; see ``docs/linter.md``."""
    train = data.train.times
    moments = held_sessions(data.test).moments
    if train is None or moments is None or (early := _too_early(moments, int(train.max()))) is None:
        return None
    first = int(moments.min())
    later = int((train > first).sum())
    inherent = data.protocol.split.kind == "last-event"
    return Found(
        f"{later:,} of {len(train):,} training events ({later / len(train):.1%}) come after the first test session "
        f"ended ({_date(first)}), and {early:,} of {len(moments):,} test sessions ended before training does: a model "
        f"learns from what came later; {_REMEDY.get(data.protocol.split.kind, _ANY_REMEDY)}",
        "note" if inherent else None,
    )


def validation_overlaps_training(data: Dataset) -> Found | None:
    """Find validation sessions that ended before training does. In leave-one-out that is part of one known overlap."""
    train, moments = data.train.times, _moments(data.valid)
    if train is None or moments is None or data.protocol.split.kind == "last-event":
        return None
    if (early := _too_early(moments, int(train.max()))) is None:
        return None
    return Found(
        f"{early:,} of {len(moments):,} validation sessions ended before training does ({_date(int(train.max()))}): "
        f"the best epoch is chosen with knowledge of the future; {_REMEDY.get(data.protocol.split.kind, _ANY_REMEDY)}"
    )


def validation_after_test(data: Dataset) -> Found | None:
    """Find test sessions that ended before validation does. In leave-one-out that is part of one known overlap."""
    valid, test = _moments(data.valid), _moments(data.test)
    if valid is None or test is None or data.protocol.split.kind == "last-event":
        return None
    if (early := _too_early(test, int(valid.max()))) is None:
        return None
    return Found(
        f"{early:,} of {len(test):,} test sessions ended before validation does ({_date(int(valid.max()))}): the best "
        f"epoch is chosen by what came later; {_REMEDY.get(data.protocol.split.kind, _ANY_REMEDY)}"
    )


def future_in_input(data: Dataset) -> Found | None:
    """Find test cases whose input holds an event that is later than the target."""
    prefixes = data.test.prefixes
    cases = np.flatnonzero(in_place(data.test) & (prefixes.lengths > 0))
    if prefixes.times is None or not len(cases):
        return None
    ends = prefixes.ends[cases]
    told = _latest_so_far(prefixes.times, np.unique(prefixes.starts))[ends - 1] > prefixes.times[ends]
    count = int(told.sum())
    if not count:
        return None
    return Found(
        f"in {count:,} of {len(data.test):,} test cases ({count / len(data.test):.1%}) the input holds events that "
        "came after the target: a model is told of the future; hold out the last events of a history, by "
        "protocol.split.order=time or the protocol 'global-time'"
    )


def _too_early(moments: Int64[np.ndarray, "G"], end: int) -> int | None:
    """Count the sessions that ended before the part before them does; None if so few do that it says nothing."""
    early = int((moments < end).sum())
    return early if early > TOLERATED * len(moments) else None


def _moments(cases: Cases | None) -> Int64[np.ndarray, "G"] | None:
    return None if cases is None else held_sessions(cases).moments


def _latest_so_far(times: Int64[np.ndarray, "n"], starts: Int64[np.ndarray, "s"]) -> Int64[np.ndarray, "n"]:
    """Return the latest time up to each event, counted anew from each start."""
    least = int(times.min())
    step = int(times.max()) - least + 1
    number = np.zeros(len(times), dtype=np.int64)
    number[starts[starts < len(times)]] = 1
    shift = np.cumsum(number) * step - least
    latest: np.ndarray = np.maximum.accumulate(times + shift) - shift
    return latest


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
