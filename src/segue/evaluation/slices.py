"""Slices of the test cases: by session length, position, popularity, time or category, to see where a model is good."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from jaxtyping import Int, Int64

from segue.data.cases import Cases
from segue.data.context import kind_of
from segue.data.sessions import SECONDS_PER_DAY, Sessions
from segue.data.vocabulary import PADDING, Vocabulary

MIN_CASES = 30
"""Cases that a slice should have: a smaller one is merged with a neighbour, or marked."""

_FEW, _OTHER, _UNKNOWN = " (few cases)", "other", "not known"
_COLD = 5
"""Training events below which an item counts as cold."""
_EDGE = 0.2
"""Share of the training events on head items, and on tail items."""
_MOST_VALUES, _MOST_DAYS = 9, 8
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, eq=False)
class Partition:
    """C test cases divided into slices.

    Attributes:
        dimension: property by which they are divided.
        labels: name of each slice.
        members: index of the slice of each case.
    """

    dimension: str
    labels: tuple[str, ...]
    members: Int64[np.ndarray, "C"]


Dimension = Callable[[Cases, Vocabulary], Partition | None]
"""A way to divide cases; None where it does not apply."""


def partitions(cases: Cases, vocabulary: Vocabulary, names: Sequence[str] = ()) -> list[Partition]:
    """Divide the cases by each default dimension, and by further ones.

    Dimensions that have a single slice, that repeat an earlier one, or that need a single target where cases may have
    several are left out.

    Args:
        cases: the test cases.
        vocabulary: the catalogue; the popularity of an item is its support.
        names: further dimensions, which ``slice_problems`` accepts.
    """
    found: list[Partition] = []
    for name in dict.fromkeys((*DEFAULT_DIMENSIONS, *names)):
        one = DIMENSIONS[name](cases, vocabulary) if name in DIMENSIONS else _by_column(name, cases, vocabulary)
        known = any(one is not None and np.array_equal(one.members, other.members) for other in found)
        if one is not None and len(one.labels) > 1 and not known:
            found.append(one)
    return found


def slice_problems(names: Sequence[str], train: Sessions) -> Iterator[str]:
    """Yield a message for each name by which cases cannot be divided."""
    table, columns = train.vocabulary.table, train.columns
    available = [*(columns.columns if columns is not None else ()), *train.vocabulary.metadata]
    for name in names:
        if name in DIMENSIONS:
            if name in _TIMED and train.times is None:
                yield f"'{name}' needs a log with times and this one has none; leave it out"
        elif name not in available:
            known = ", ".join(f"'{one}'" for one in available) or "none except session, item and time"
            yield f"'{name}' must be {', '.join(DIMENSIONS)} or a column of the log or its items; there are: {known}"
        else:
            column = table[name] if name in train.vocabulary.metadata or columns is None else columns[name]
            if kind_of(column) != "category":
                yield f"'{name}' must be a column of text, integers or booleans, got {column.dtype}; leave it out"


def _by_length(cases: Cases, vocabulary: Vocabulary) -> Partition:
    """Known events of the session, up to the last target."""
    _, sessions = np.unique(cases.groups, return_inverse=True)
    longest = np.zeros(int(sessions.max()) + 1, dtype=np.int64)
    np.maximum.at(longest, sessions, cases.prefixes.lengths + cases.counts)
    return _doubling("session length", longest[sessions])


def _by_position(cases: Cases, vocabulary: Vocabulary) -> Partition:
    """Position of the target in its session, from 1."""
    return _doubling("position in the session", cases.prefixes.lengths + 1)


def _by_popularity(cases: Cases, vocabulary: Vocabulary) -> Partition | None:
    if cases.offsets is not None:
        return None
    band = popularity_bands(vocabulary.support)[cases.targets]
    return _fixed("popularity of the target", band, ("head", "middle", "tail"))


def popularity_bands(support: Int[np.ndarray, "M"]) -> Int64[np.ndarray, "M"]:
    """Divide the items by popularity: 0 for the head, 1 for the middle, 2 for the tail.

    The head are the most popular items with the first 20% of the training events, the tail the least popular ones with
    the last 20% (the groups of Abdollahpouri et al., RecSys 2020). Items with equally many events are in one band: that
    of the most popular, or else the least popular, of them.

    Args:
        support: training events per item index; the padding is not counted.
    """
    levels, place, counts = np.unique(support[PADDING + 1 :], return_inverse=True, return_counts=True)
    events = levels * counts
    less = np.cumsum(events) - events
    more = events.sum() - less - events
    edge = _EDGE * events.sum()
    return np.insert(np.where(more < edge, 0, np.where(less < edge, 2, 1))[place], PADDING, 2).astype(np.int64)


def _by_support(cases: Cases, vocabulary: Vocabulary) -> Partition | None:
    if cases.offsets is not None:
        return None
    known = (vocabulary.support[cases.targets] >= _COLD).astype(np.int64)
    return _fixed("training events of the target", known, (f"fewer than {_COLD}", f"{_COLD} or more"))


def _by_hour(times: Int64[np.ndarray, "C"]) -> Partition:
    labels = [f"{6 * part:02}:00-{6 * part + 5:02}:59" for part in range(4)]
    return _fixed("time of day of the last event (UTC)", times % SECONDS_PER_DAY // (SECONDS_PER_DAY // 4), labels)


def _by_weekday(times: Int64[np.ndarray, "C"]) -> Partition:
    # 1 January 1970 was a Thursday.
    return _fixed("weekday of the last event", (times // SECONDS_PER_DAY + 3) % 7, _WEEKDAYS)


def _by_day(times: Int64[np.ndarray, "C"]) -> Partition:
    """Days, or spans of days where there are many."""
    days = times // SECONDS_PER_DAY
    first = int(days.min())
    width = -(-(int(days.max()) - first + 1) // _MOST_DAYS)

    def named(low: int, high: int) -> str:
        start, end = _date(first + low * width), _date(first + (high + 1) * width - 1)
        return start if start == end else f"{start} to {end}"

    return _ordered("day of the last event", (days - first) // width, named)


def _of_last_event(divide: Callable[[Int64[np.ndarray, "C"]], Partition]) -> Dimension:
    """Divide by the time of the last event, where there are times."""

    def divided(cases: Cases, vocabulary: Vocabulary) -> Partition | None:
        prefixes = cases.prefixes
        return None if prefixes.times is None else divide(prefixes.times[prefixes.ends - 1])

    return divided


_TIMED = {"hour": _of_last_event(_by_hour), "weekday": _of_last_event(_by_weekday), "day": _of_last_event(_by_day)}

DIMENSIONS: Mapping[str, Dimension] = {
    "length": _by_length,
    "position": _by_position,
    "popularity": _by_popularity,
    "support": _by_support,
    **_TIMED,
}
"""Dimensions that need no column, by name; they take precedence over columns of the same name."""

DEFAULT_DIMENSIONS = ("length", "position", "popularity", "support", "hour")


def _by_column(name: str, cases: Cases, vocabulary: Vocabulary) -> Partition | None:
    """Divide by metadata of the target, or by a column of the last event."""
    if name in vocabulary.metadata:
        if cases.offsets is not None:
            return None
        return _values(f"{name} of the target", vocabulary.table[name].gather(cases.targets.astype(np.int64) - 1))
    assert cases.prefixes.columns is not None
    return _values(f"{name} of the last event", cases.prefixes.columns[name].gather(cases.prefixes.ends - 1))


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * SECONDS_PER_DAY, UTC).date().isoformat()


def _doubling(dimension: str, numbers: Int64[np.ndarray, "C"]) -> Partition:
    """Divide numbers from 1 into 1, 2, 3-4, 5-8, 9-16, ..."""

    def named(low: int, high: int) -> str:
        start, end = (1 << low - 1) + 1 if low else 1, 1 << high
        return str(start) if start == end else f"{start}-{end}"

    return _ordered(dimension, np.ceil(np.log2(numbers)).astype(np.int64), named)


def _ordered(dimension: str, codes: Int64[np.ndarray, "C"], named: Callable[[int, int], str]) -> Partition:
    """Merge neighbours until each slice has enough cases; a small last one joins the slice before."""
    values, counts = np.unique(codes, return_counts=True)
    parts: list[list[int]] = [[]]
    size = 0
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        parts[-1].append(value)
        size += count
        if size >= MIN_CASES:
            parts.append([])
            size = 0
    rest = parts.pop()
    if rest:
        parts[-1:] = [[*parts[-1], *rest]] if parts else [rest]
    starts = np.array([part[0] for part in parts])
    labels = tuple(named(part[0], part[-1]) for part in parts)
    return Partition(dimension, labels, np.searchsorted(starts, codes, side="right") - 1)


def _fixed(dimension: str, codes: Int64[np.ndarray, "C"], labels: Sequence[str]) -> Partition:
    """Leave out slices without a case, and mark small ones."""
    values, members, counts = np.unique(codes, return_inverse=True, return_counts=True)
    names = (labels[value] + (_FEW if count < MIN_CASES else "") for value, count in zip(values, counts, strict=True))
    return Partition(dimension, tuple(names), members.astype(np.int64))


def _values(dimension: str, column: pl.Series) -> Partition:
    """Make slices of the most frequent values with enough cases, and one of the others."""
    text = column.cast(pl.String).fill_null(_UNKNOWN).to_numpy()
    values, members, counts = np.unique(text, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept = [place for place in order[:_MOST_VALUES].tolist() if counts[place] >= MIN_CASES]
    code = np.full(len(values), len(kept))
    code[kept] = np.arange(len(kept))
    return _fixed(dimension, code[members], [*(str(values[place]) for place in kept), _OTHER])
