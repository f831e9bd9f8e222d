"""Checks of the split: training must contain neither events after the test sessions nor test sessions."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt64

from segue.data.arrays import concatenate_ranges
from segue.data.cases import Cases
from segue.data.sessions import Prefixes
from segue.evaluation.linter.checks import Issue
from segue.protocols.dataset import Dataset

MAX_EARLY = 0.01
"""Tolerated share of sessions that end before the previous part ends, as sessions with unknown last items seem to."""

MAX_DUPLICATES = 0.01
"""Tolerated share of test sessions that also occur in training."""

MIN_DUPLICATES = 3
"""Minimum number of duplicates to report: one or two occur by chance."""

MIN_TIMED_EVENTS, MIN_UNTIMED_EVENTS = 3, 4
"""Minimum length of compared sessions: by items and the seconds between them, and by items only."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def first_targets(cases: Cases) -> Int32[np.ndarray, "C"]:
    """Return the (first) target of each case."""
    return cases.targets if cases.offsets is None else cases.targets[cases.offsets[:-1]]


def follows_prefix(cases: Cases) -> Bool[np.ndarray, "C"]:
    """Return which targets directly follow the prefix of their case, as they do in a prepared log."""
    items, ends = cases.prefixes.items, cases.prefixes.ends
    if not len(items):
        return np.zeros(len(cases), dtype=bool)
    return np.asarray((ends < len(items)) & (items[np.minimum(ends, len(items) - 1)] == first_targets(cases)))


@dataclass(frozen=True, eq=False)
class _HeldOutSessions:
    """The G sessions (or user histories) of the cases, up to the last target of each.

    Attributes:
        starts: first event of each session in the arrays of the prefixes.
        ends: one past its last target.
        end_times: seconds since 1970 of its last target, None without times.
    """

    starts: Int64[np.ndarray, "G"]
    ends: Int64[np.ndarray, "G"]
    end_times: Int64[np.ndarray, "G"] | None

    @classmethod
    def of(cls, cases: Cases) -> "_HeldOutSessions":
        """Join the cases of each session; if a target does not follow its prefix, the session ends before it."""
        prefixes = cases.prefixes
        order = np.lexsort((prefixes.ends, cases.groups))
        last = order[np.append(np.diff(cases.groups[order]) != 0, True)] if len(order) else order
        ends = (prefixes.ends + np.where(follows_prefix(cases), cases.counts, 0))[last]
        end_times = None if prefixes.times is None else prefixes.times[np.maximum(ends, 1) - 1]
        return cls(prefixes.starts[last], ends, end_times)


def overlap_in_time(data: Dataset) -> Issue | None:
    """Find training events after the end of the first test session; see ``docs/linter.md``."""
    train, ends = data.train.times, _end_times(data.test)
    if train is None or ends is None or (early := _count_early(ends, int(train.max()))) is None:
        return None
    first = int(ends.min())
    later = int((train > first).sum())
    return Issue(
        f"{later:,} of {len(train):,} training events ({later / len(train):.1%}) are later than the end of the first "
        f"test session ({_date(first)}), and {early:,} of {len(ends):,} test sessions end before training does: models "
        f"learn from the future; {data.protocol.split.overlap_remedy}",
        "note" if data.protocol.split.overlaps_in_time else None,
    )


def validation_overlaps_training(data: Dataset) -> Issue | None:
    """Find validation sessions that end before training does; in leave-one-out, ``overlap_in_time`` covers them."""
    return _too_early(data, "validation", _end_times(data.valid), "training", data.train.times)


def validation_after_test(data: Dataset) -> Issue | None:
    """Find test sessions that end before validation does; in leave-one-out, ``overlap_in_time`` covers them."""
    return _too_early(data, "test", _end_times(data.test), "validation", _end_times(data.valid))


def _too_early(
    data: Dataset,
    part: str,
    ends: Int64[np.ndarray, "G"] | None,
    before: str,
    before_times: Int64[np.ndarray, "_"] | None,
) -> Issue | None:
    """Find sessions of a part that end before the previous part does."""
    if ends is None or before_times is None or data.protocol.split.overlaps_in_time:
        return None
    end = int(before_times.max())
    if (early := _count_early(ends, end)) is None:
        return None
    return Issue(
        f"{early:,} of {len(ends):,} {part} sessions end before {before} does ({_date(end)}): the best epoch is "
        f"selected with knowledge of the future; {data.protocol.split.overlap_remedy}"
    )


def duplicate_sessions(data: Dataset) -> Issue | None:
    """Find test sessions that also occur in training: the same items and, with times, the same seconds apart.

    Short sessions are alike by chance. So they are left out, and the share of the others must be more than twice that
    of training sessions with a duplicate in training. Sessions at the very same times are reported in any case.
    """
    held_out = _HeldOutSessions.of(data.test)
    timed = data.train.times is not None and data.test.prefixes.times is not None
    least = MIN_TIMED_EVENTS if timed else MIN_UNTIMED_EVENTS
    test = replace(data.test.prefixes, starts=held_out.starts, ends=held_out.ends)
    (own, own_starts), (other, other_starts) = (
        _signatures(sessions, least=least, timed=timed) for sessions in (data.train.as_prefixes(), test)
    )
    if not len(own) or not len(other):
        return None
    known, inverse, counts = np.unique(own, return_inverse=True, return_counts=True)
    usual = float((counts[inverse] > 1).mean())
    duplicates = np.isin(other, known)
    if duplicates.sum() < MIN_DUPLICATES:
        return None
    same_times = timed and bool(np.isin(other + other_starts, own + own_starts).mean() > MAX_DUPLICATES)
    if not same_times and duplicates.mean() <= MAX_DUPLICATES + 2 * usual:
        return None
    alike = "the same items, the same seconds apart" if timed else "the same items in the same order"
    return Issue(
        f"{int(duplicates.sum()):,} of {len(duplicates):,} test sessions of at least {least} events "
        f"({duplicates.mean():.1%}) also occur in training ({alike}), while {usual:.1%} of the training sessions have "
        "a duplicate in training: models can memorise them; drop duplicates before the split, or check whether a "
        "visit has several ids"
    )


def divided_sessions(data: Dataset) -> Issue | None:
    """Find visits of a predefined split whose training and test events overlap in time."""
    if data.protocol.split.kind != "given" or not data.overlapping_sessions:
        return None
    return Issue(
        f"{data.overlapping_sessions:,} sessions have training and test events at overlapping times in the predefined "
        "split: visits are split in two, and training contains the other half of tested visits; split by whole "
        "sessions: protocol.split=last-days"
    )


def _end_times(cases: Cases | None) -> Int64[np.ndarray, "G"] | None:
    return None if cases is None else _HeldOutSessions.of(cases).end_times


def _count_early(ends: Int64[np.ndarray, "G"], end: int) -> int | None:
    """Count the sessions that end before the previous part does; None for a tolerated number."""
    early = int((ends < end).sum())
    return early if early > MAX_EARLY * len(ends) else None


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _signatures(
    sessions: Prefixes, *, least: int, timed: bool
) -> tuple[UInt64[np.ndarray, "l"], UInt64[np.ndarray, "l"]]:
    """Hash each session of at least ``least`` events: its items, their positions and seconds since the first event.

    Returns:
        The hashes, and hashes of the time of the first event.
    """
    sessions = sessions[np.flatnonzero(sessions.lengths >= least)]
    starts, lengths, times = sessions.starts, sessions.lengths, sessions.times
    if not len(starts):
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint64)
    events, firsts = concatenate_ranges(starts, lengths), np.repeat(starts, lengths)
    hashes = _splitmix(sessions.items[events].astype(np.uint64) * _GOLDEN + (events - firsts).astype(np.uint64))
    begins = np.zeros(len(starts), dtype=np.uint64)
    if timed and times is not None:
        hashes = _splitmix(hashes + (times[events] - times[firsts]).astype(np.uint64))
        begins = _splitmix(times[starts].astype(np.uint64) * _GOLDEN)
    return np.add.reduceat(hashes, np.cumsum(lengths) - lengths), begins


def _splitmix(numbers: UInt64[np.ndarray, "n"]) -> UInt64[np.ndarray, "n"]:
    """Spread each number over all 64 bits (the finalizer of splitmix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = numbers ^ (numbers >> np.uint64(31))
    return mixed
