"""Running sessions as a caller gives them -> prefixes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int64

from segue.data.events import SECOND, TIME
from segue.data.ingest.times import parse_times
from segue.data.sessions import Prefixes
from segue.data.vocabulary import RawId, Vocabulary
from segue.errors import ParameterError

Session = list[int] | list[str] | list[RawId] | tuple[RawId, ...] | np.ndarray
"""The raw ids of one session, oldest first. Not any sequence, for a text is a sequence of texts too."""

Told = Mapping[str, Any]
"""What a caller says of the events of sessions: values by the name of their column."""

_LISTS = (list, tuple, np.ndarray)
_COLUMNS = (*_LISTS, pl.Series)


def session_lists(sessions: Session | Sequence[Session]) -> tuple[list[Sequence[RawId]], bool]:
    """Return a list of sessions, and whether that is what was given; otherwise it holds the one session given.

    Raises:
        ParameterError: it is neither a list of item ids nor a list of such lists.
    """
    if not _is_list(sessions):
        raise ParameterError(
            f"sessions: must be a list of item ids, or a list of such lists, got {sessions!r}; write [{sessions!r}]"
        )
    nested = [_is_list(one) for one in sessions]
    if all(nested):
        return [_plain(one) for one in sessions], True
    if any(nested):
        place = nested.index(not nested[0])
        raise ParameterError(
            "sessions: must hold item ids only (one session) or lists of item ids only (several sessions), got "
            f"{sessions[0]!r} at 0 and {sessions[place]!r} at {place}; write each session as a list"
        )
    return [_plain(sessions)], False


def _is_list(given: Any, kinds: tuple[type, ...] = _LISTS) -> bool:
    """Tell if something is a list; an array of no dimensions is a single value."""
    return isinstance(given, kinds) and not (isinstance(given, np.ndarray) and given.ndim == 0)


def _plain(session: Any) -> Sequence[RawId]:
    ids: Sequence[RawId] = session.tolist() if isinstance(session, np.ndarray) else session
    for place, item in enumerate(ids):
        if item.__hash__ is None or isinstance(item, tuple):
            raise ParameterError(f"sessions: must hold item ids, got {item!r} at {place} of a session")
    return ids


def running_sessions(sessions: Sequence[Sequence[int]], vocabulary: Vocabulary, told: Told) -> Prefixes:
    """Encode running sessions, without the events on items that a model cannot read.

    Args:
        sessions: the item indices of each, 0 for an unknown item.
        vocabulary: the catalogue of the model.
        told: for each session the value of each event, or one value for all of them, by the name of the column: those
            of ``time`` are dates, ISO 8601 texts or numbers since 1970, as in a log.

    Raises:
        ParameterError: there is not one value per event, or a time is none.
    """
    read = [[item for item in one if vocabulary.is_known(item)] for one in sessions]
    items = np.array([item for one in read for item in one], dtype=np.int32)
    ends = np.cumsum([len(one) for one in read], dtype=np.int64)
    starts = np.concatenate([np.zeros(min(1, len(ends)), dtype=np.int64), ends[:-1]])
    if not told:
        return Prefixes(items, starts, ends, vocabulary=vocabulary)
    kept = np.array([vocabulary.is_known(item) for one in sessions for item in one], dtype=bool)
    sizes = [len(one) for one in sessions]
    columns = {name: _flat(name, values, sizes) for name, values in told.items()}
    times = _seconds(columns.pop(TIME))[kept] if TIME in columns else None
    others = pl.DataFrame(columns).filter(kept) if columns else None
    return Prefixes(items, starts, ends, times, others, vocabulary=vocabulary)


def _flat(name: str, values: Any, sizes: list[int]) -> pl.Series:
    listed = _is_list(values, _COLUMNS)
    if not listed or len(values) != len(sizes):
        got = len(values) if listed else repr(values)
        raise ParameterError(f"context.{name}: must hold one entry per session, {len(sizes)}, got {got}")
    spread = [_values(one, size) for one, size in zip(values, sizes, strict=True)]
    lengths = [len(one) for one in spread]
    if lengths != sizes:
        raise ParameterError(f"context.{name}: must hold one value per item of each session, {sizes}, got {lengths}")
    flat = [value for one in spread for value in one]
    for value in flat:
        if value.__hash__ is None or isinstance(value, tuple):
            raise ParameterError(f"context.{name}: must hold one value per item of each session, got {value!r}")
    return pl.Series(name, map(_dated, flat), strict=False)


def _values(given: Any, size: int) -> Sequence[Any]:
    """Return the values of the events of one session, which may be given as one value for all of them."""
    if not _is_list(given, _COLUMNS):
        return [given[()] if isinstance(given, np.ndarray) else given] * size
    return list(given)


def _dated(value: Any) -> Any:
    """Return a date of numpy as one of Python; Polars mistakes the unit of some."""
    return value.astype("datetime64[us]").item() if isinstance(value, np.datetime64) else value


def _seconds(times: pl.Series) -> Int64[np.ndarray, "n"]:
    column = parse_times(times)
    absent = column.values.null_count() > 0
    if len(column.invalid) or absent:
        rule = "must be there for every event" if absent and not len(column.invalid) else column.rule
        raise ParameterError(f"context.{TIME}: {rule}, got {times.to_list()}")
    seconds: np.ndarray = column.values.to_physical().to_numpy() // SECOND
    return seconds
