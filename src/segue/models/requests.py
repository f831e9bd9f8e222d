"""Convert the arguments of a model to arrays: sessions, the context of their events, items to allow or exclude."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Int, Int64

from segue.data.cases import Cases
from segue.data.events import SECOND, TIME
from segue.data.indices import as_array, index_lists, item_indices
from segue.data.ingest.times import parse_times
from segue.data.sessions import Prefixes, Sessions, Upcoming
from segue.data.vocabulary import PADDING, RawId, Vocabulary
from segue.errors import ParameterError

Session = list[int] | list[str] | list[RawId] | tuple[RawId, ...] | np.ndarray
"""The raw ids of one session, oldest first. Not any sequence, because a string is also a sequence."""

EventContext = Mapping[str, Any]
"""Values of the events of sessions, by the name of their column."""

Allowed = Bool[np.ndarray, "M"] | Int[np.ndarray, "_"] | Sequence[int]
"""The items that may be listed: a mask over item indices (column 0 is padding), or a list of item indices."""

Excluded = Prefixes | Sequence[Sequence[int] | Int[np.ndarray, "_"]]
"""For each row the items that must not be listed: prefixes, or lists of item indices."""

_LISTS = (list, tuple, np.ndarray)
_COLUMNS = (*_LISTS, pl.Series)


def session_lists(sessions: Session | Sequence[Session]) -> tuple[list[Sequence[RawId]], bool]:
    """Return the sessions as a list, and whether a list was given; one session makes a list of one.

    Raises:
        ParameterError: it is neither a list of item ids nor a list of such lists.
    """
    if not _is_list(sessions):
        raise ParameterError(
            f"sessions: must be a list of item ids, or a list of such lists, got {sessions!r}; write [{sessions!r}]"
        )
    nested = [_is_list(one) for one in sessions]
    if all(nested):
        return [_plain_ids(one) for one in sessions], True
    if any(nested):
        place = nested.index(not nested[0])
        raise ParameterError(
            "sessions: must contain item ids only (one session) or lists of item ids only (several sessions), got "
            f"{sessions[0]!r} at 0 and {sessions[place]!r} at {place}; write each session as a list"
        )
    return [_plain_ids(sessions)], False


def _is_list(given: Any, kinds: tuple[type, ...] = _LISTS) -> bool:
    """Whether something is a list; an array of no dimensions is a single value."""
    return isinstance(given, kinds) and not (isinstance(given, np.ndarray) and given.ndim == 0)


def _plain_ids(session: Any) -> Sequence[RawId]:
    ids: Sequence[RawId] = session.tolist() if isinstance(session, np.ndarray) else session
    for place, item in enumerate(ids):
        if item.__hash__ is None or isinstance(item, tuple):
            raise ParameterError(f"sessions: must contain item ids, got {item!r} at {place} of a session")
    return ids


def event_context(context: EventContext | None, *, several: bool, model: str, known: Sequence[str]) -> EventContext:
    """Return the context as one entry per session, by the name of its column.

    Args:
        context: as given to ``Model.recommend``.
        several: whether it belongs to a list of sessions.
        model: name of the model, for messages.
        known: what the model reads of each event; the time is accepted by any model.

    Raises:
        ParameterError: it is not a mapping, or has a column that the model does not read.
    """
    if context is not None and not isinstance(context, Mapping):
        raise ParameterError(f"context: must be values by the name of their column, got {context!r}")
    accepted = list(dict.fromkeys((TIME, *known)))
    for name in context or {}:
        if name not in accepted:
            raise ParameterError(
                f"context: {model} can read {', '.join(accepted)} of a session, got '{name}'; leave it out"
            )
    return {name: values if several else [values] for name, values in (context or {}).items()}


def encode_sessions(sessions: Sequence[Sequence[int]], vocabulary: Vocabulary, context: EventContext) -> Prefixes:
    """Encode current sessions, without the events on items that a model cannot read.

    Args:
        sessions: the item indices of each, 0 for an unknown item.
        vocabulary: the catalogue of the model.
        context: one entry per session by the name of the column: a value per event, or one value for all of them.
            Those of ``time`` are dates, ISO 8601 texts or numbers since 1970, as in a log.

    Raises:
        ParameterError: there is not one value per event, or a time is invalid.
    """
    read = [[item for item in session if vocabulary.is_known(item)] for session in sessions]
    items = np.array([item for session in read for item in session], dtype=np.int32)
    ends = np.cumsum([len(session) for session in read], dtype=np.int64)
    starts = np.concatenate([np.zeros(min(1, len(ends)), dtype=np.int64), ends[:-1]])
    if not context:
        return Prefixes(items, starts, ends, vocabulary=vocabulary)
    kept = np.array([vocabulary.is_known(item) for session in sessions for item in session], dtype=bool)
    sizes = [len(session) for session in sessions]
    columns = {name: _flat(name, values, sizes) for name, values in context.items()}
    times = _seconds(columns.pop(TIME))[kept] if TIME in columns else None
    others = pl.DataFrame(columns).filter(kept) if columns else None
    return Prefixes(items, starts, ends, times, others, vocabulary=vocabulary)


def encode_upcoming(
    upcoming: EventContext | None, rows: int, *, several: bool, model: str, known: Sequence[str]
) -> Upcoming | None:
    """Encode what is known of the event to predict in each session; None if nothing is.

    Args:
        upcoming: as given to ``Model.recommend``.
        rows: number of sessions.
        several: whether it belongs to a list of sessions.
        model: name of the model, for messages.
        known: what the model reads of this event.

    Raises:
        ParameterError: it is not a mapping, has a name that the model does not read, not one value per session, or an
            invalid time.
    """
    if upcoming is None:
        return None
    if not isinstance(upcoming, Mapping):
        raise ParameterError(f"upcoming: must be values by the name of their column, got {upcoming!r}")
    columns = {}
    for name, values in upcoming.items():
        if name not in known:
            can = f"can read {', '.join(known)}" if known else "reads nothing"
            raise ParameterError(f"upcoming: {model} {can} of the event to predict, got '{name}'; leave it out")
        listed = list(values) if _is_list(values, _COLUMNS) else [values] * rows
        if len(listed) != rows or (not several and _is_list(values, _COLUMNS)):
            raise ParameterError(f"upcoming.{name}: must be one value per session, {rows}, got {values!r}")
        columns[name] = pl.Series(name, map(_plain_date, listed), strict=False)
    times = _seconds(columns.pop(TIME), "upcoming") if TIME in columns else None
    return Upcoming(np.arange(rows), times, pl.DataFrame(columns) if columns else None)


def _flat(name: str, values: Any, sizes: list[int]) -> pl.Series:
    listed = _is_list(values, _COLUMNS)
    if not listed or len(values) != len(sizes):
        got = len(values) if listed else repr(values)
        raise ParameterError(f"context.{name}: must contain one entry per session, {len(sizes)}, got {got}")
    spread = [_values(one, size) for one, size in zip(values, sizes, strict=True)]
    lengths = [len(one) for one in spread]
    if lengths != sizes:
        raise ParameterError(f"context.{name}: must contain one value per item of each session, {sizes}, got {lengths}")
    flat = [value for one in spread for value in one]
    for value in flat:
        if value.__hash__ is None or isinstance(value, tuple):
            raise ParameterError(f"context.{name}: must contain one value per item of each session, got {value!r}")
    return pl.Series(name, map(_plain_date, flat), strict=False)


def _values(given: Any, size: int) -> Sequence[Any]:
    if not _is_list(given, _COLUMNS):
        return [given[()] if isinstance(given, np.ndarray) else given] * size
    return list(given)


def _plain_date(value: Any) -> Any:
    # Polars mistakes the unit of some numpy dates.
    return value.astype("datetime64[us]").item() if isinstance(value, np.datetime64) else value


def _seconds(times: pl.Series, place: str = "context") -> Int64[np.ndarray, "n"]:
    column = parse_times(times)
    absent = column.values.null_count() > 0
    if len(column.invalid) or absent:
        rule = "must be there for every event" if absent and not len(column.invalid) else column.rule
        raise ParameterError(f"{place}.{TIME}: {rule}, got {times.to_list()}")
    seconds: np.ndarray = column.values.to_physical().to_numpy() // SECOND
    return seconds


def item_filters(
    vocabulary: Vocabulary, rows: int, allowed: Allowed | None, exclude: Excluded | None
) -> tuple[Bool[np.ndarray, "M"] | None, Prefixes | None]:
    """Return ``allowed`` as a mask over item indices and ``exclude`` as prefixes; None for what is not given.

    Args:
        vocabulary: the catalogue.
        rows: number of lists.
        allowed: the items that may be listed.
        exclude: for each row the items that must not be listed.

    Raises:
        ParameterError: one of them is of another catalogue, has another number of rows, or contains values that are not
            integers.
    """
    return (
        None if allowed is None else _mask(vocabulary, allowed),
        None if exclude is None else _excluded(vocabulary, rows, exclude),
    )


def allowed_items(
    vocabulary: Vocabulary, allowed: Session | None, exclude: Session | None
) -> Bool[np.ndarray, "M"] | None:
    """Return the items that may be recommended as a mask over item indices; None for all.

    Args:
        vocabulary: the catalogue.
        allowed: ids or names of the items that may be; None for all.
        exclude: ids or names of items that must not be.

    Raises:
        ParameterError: one of them is no list, or holds an unknown item.
    """
    if allowed is None and exclude is None:
        return None
    mask = np.full(len(vocabulary) + 1, allowed is None)
    mask[known_items(vocabulary, allowed, "allowed")] = True
    mask[known_items(vocabulary, exclude, "exclude")] = False
    mask[PADDING] = False
    return mask


def known_items(vocabulary: Vocabulary, items: Session | None, name: str) -> list[int]:
    """Return the indices of items.

    Args:
        vocabulary: the catalogue.
        items: ids or names; None for none.
        name: name of the argument, for messages.

    Raises:
        ParameterError: it is no list, or holds an unknown item.
    """
    if items is not None and not _is_list(items):
        raise ParameterError(f"{name}: must be a list of item ids or names, got {items!r}; write [{items!r}]")
    raw = [] if items is None else _plain_ids(items)
    found = vocabulary.index(raw)
    if PADDING in found:
        unknown = raw[found.index(PADDING)]
        guess = vocabulary.names.did_you_mean(str(unknown)) or "; leave it out"
        raise ParameterError(f"{name}: must hold ids or names of known items, got {unknown!r}{guess}")
    return found


def _mask(vocabulary: Vocabulary, allowed: Allowed) -> Bool[np.ndarray, "M"]:
    given, items = as_array(allowed, "allowed"), len(vocabulary)
    if given.dtype == np.bool_:
        if given.shape != (items + 1,):
            raise ParameterError(
                f"allowed: a mask must have {items + 1} columns, padding and the {items} items, got the shape "
                f"{given.shape}"
            )
        mask = given.copy()
    else:
        listed = item_indices(allowed, "allowed", 1, (PADDING, items))
        if len(listed) >= items > 1 >= listed.max():
            raise ParameterError(f"allowed: a mask must be of booleans, got {given.dtype}; use array.astype(bool)")
        mask = np.zeros(items + 1, dtype=bool)
        mask[listed] = True
    mask[PADDING] = False
    return mask


def _excluded(vocabulary: Vocabulary, rows: int, exclude: Excluded) -> Prefixes:
    if not isinstance(exclude, Prefixes):
        exclude = Prefixes(*index_lists(exclude, "exclude", (PADDING + 1, len(vocabulary))))
    if len(exclude) != rows:
        raise ParameterError(f"exclude: must have one list per prefix, {rows}, got {len(exclude)}")
    exclude.require_valid(vocabulary, "exclude")
    return exclude


def check_training(train: object, valid: object) -> None:
    """Check the arguments of ``Model.fit``.

    Raises:
        ParameterError: they are not sessions or cases, they are invalid, or their catalogues differ.
    """
    if not isinstance(train, Sessions):
        raise ParameterError(f"train: must be Sessions, got {type(train).__name__}; of a data set, pass data.train")
    if valid is not None and not isinstance(valid, Cases):
        raise ParameterError(f"valid: must be Cases, got {type(valid).__name__}; of a data set, pass data.valid")
    train.require_valid("train")
    if valid is not None:
        valid.require_valid(train.vocabulary, "valid")
