"""Columns that are parsed in pieces: whether the pieces together are what parsing the whole column gives.

``describe`` says how a piece was read. ``agree`` compares the pieces of a column: they hold the values of the whole
column as they are; or some must be read again in the way of the whole column; or the whole column must be parsed,
because its interpretation depends on all values at once (a majority, an order of day and month).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from segue.data.events import ITEM, PART, RATING, SESSION, TIME, TIME_DTYPE, USER
from segue.data.ingest.numeric_dates import EARLIEST
from segue.data.ingest.plan import ColumnPlan
from segue.data.ingest.time_columns import resolution
from segue.data.ingest.time_formats import is_one_kind_of_iso
from segue.data.ingest.times import CERTAIN, odd_years, odd_years_warning
from segue.data.ingest.values import (
    AS_IT_IS,
    COMMAS,
    DECIMALS,
    DECIMALS_NOTE,
    NUMBERS,
    PRESENT_NUMBERS,
    TEXT,
    THOUSANDS,
    parse_ids,
    remove_missing,
    strip_blanks,
)

_SECOND = 1_000_000
_EXACT = 1 << 53
"""Microseconds below which a float holds every whole number."""
_ENOUGH_DATES = 1000
"""Values from which a format of dates is recognised."""
_FLOATS, _FLOATS_OF_PRESENT = "floats", "floats of present"
_AGAIN = "read again"


@dataclass(frozen=True)
class Agreement:
    """The interpretation of a column.

    Attributes:
        dtype: the type of its values.
        note: as in ``ParsedColumn``.
        missing: as in ``ParsedColumn``.
        warning: as in ``ParsedColumn``.
        again: how to read the pieces with these numbers again, see ``read_again``.
    """

    dtype: Any
    note: str = ""
    missing: Mapping[str, int] = field(default_factory=dict)
    warning: str = ""
    again: Mapping[int, str] = field(default_factory=dict)


def describe(plan: ColumnPlan, name: str, raw: pl.Series) -> tuple[pl.Series, dict[str, Any]]:
    """Parse a piece of a column, and say how it was read, in JSON.

    Args:
        plan: the columns of the log.
        name: the name of the column in the log.
        raw: its values in the source.
    """
    column = plan.parse(name, raw)
    values = column.values
    found = {
        "kind": column.kind,
        "note": column.note,
        "missing": dict(column.missing),
        "warning": column.warning,
        "invalid": bool(len(column.invalid)),
        "empty": values.null_count() == len(values),
        "blank": raw.null_count() == len(raw),
        "nan": raw.dtype == pl.String and values.dtype == pl.Float64 and bool(values.is_nan().any()),
    }
    if name == TIME and values.dtype == TIME_DTYPE and not found["invalid"]:
        found |= _describe_times(raw, values, is_numeric=raw.dtype.is_numeric())
    return values, found


def _describe_times(raw: pl.Series, values: pl.Series, *, is_numeric: bool) -> dict[str, Any]:
    ticks = values.to_physical()
    present = raw if raw.dtype != pl.String else remove_missing(raw)
    return {
        "odd": [] if is_numeric else list(odd_years(values)),
        "first": next(iter(present.drop_nulls().head(1).cast(pl.String).to_list()), None),
        "present": len(values) - values.null_count(),
        **time_facts(values),
        "certain": bool(ticks.is_between(EARLIEST * _SECOND, CERTAIN * _SECOND, closed="left").all()),
    }


def time_facts(times: pl.Series) -> dict[str, Any]:
    """Return the resolution, the least and the largest of the times of a log or a piece of it, in microseconds."""
    ticks = times.to_physical()
    return {"step": resolution(times), "low": ticks.min(), "high": ticks.max()}


def agree(plan: ColumnPlan, name: str, pieces: Sequence[Mapping[str, Any]]) -> Agreement | None:
    """Compare the pieces of a column.

    Args:
        plan: the columns of the log.
        name: the name of the column in the log.
        pieces: what ``describe`` says of each piece, and the type of its values under ``dtype``.

    Returns:
        The interpretation of the column; None if it must be parsed as a whole.
    """
    if any(piece["invalid"] for piece in pieces):
        return None
    if len(pieces) == 1:
        return Agreement(*(pieces[0][attribute] for attribute in ("dtype", "note", "missing", "warning")))
    role = name if name in plan.roles else ""
    if role in (SESSION, USER, ITEM):
        return _agree_on_ids(pieces)
    if role == TIME:
        return _agree_on_times(pieces, plan.time_format)
    if role == PART:
        return Agreement(pieces[0]["dtype"])
    return _agree_on_features(pieces, "number" if role == RATING else plan.types.get(plan.sources[name]))


def read_again(plan: ColumnPlan, raw: pl.Series, way: str) -> pl.Series:
    """Read a piece of a column in the way of the whole column."""
    if way == TEXT:
        return strip_blanks(raw)
    if way == _FLOATS:
        return raw.cast(pl.Float64)
    if way == _FLOATS_OF_PRESENT:
        return remove_missing(raw).cast(pl.Float64)
    return raw if way == AS_IT_IS else parse_ids(raw.cast(pl.String), text=False).values


def _agree_on_ids(pieces: Sequence[Mapping[str, Any]]) -> Agreement:
    """Ids are integers (or decimals such as 3.0) if those of all pieces are; else the text of every piece."""
    missing: dict[str, int] = {}
    for piece in pieces:
        for word, count in piece["missing"].items():
            missing[word] = missing.get(word, 0) + count
    kinds = {piece["kind"] for piece in pieces if not piece["empty"]}
    if not kinds:
        return Agreement(pieces[0]["dtype"], missing=missing)
    if TEXT in kinds:
        again = {number: _AGAIN for number, piece in enumerate(pieces) if piece["dtype"] != pl.String}
        return Agreement(pl.String(), missing=missing, again=again)
    return Agreement(pl.Int64(), note=DECIMALS_NOTE if DECIMALS in kinds else "", missing=missing)


def _agree_on_features(pieces: Sequence[Mapping[str, Any]], declared: str | None) -> Agreement | None:
    """Text if any value is no number, kept as it is if a number would lose its leading zeros."""
    full = {number: piece for number, piece in enumerate(pieces) if not piece["blank"]}
    kinds = {piece["kind"] for piece in full.values()}
    if not kinds or kinds == {""}:
        return Agreement(pieces[0]["dtype"])
    if declared is None and AS_IT_IS in kinds:
        again = {number: AS_IT_IS for number, piece in full.items() if piece["kind"] != AS_IT_IS}
        return Agreement(next(piece["dtype"] for piece in full.values() if piece["kind"] == AS_IT_IS), again=again)
    if TEXT in kinds:
        again = {number: TEXT for number, piece in full.items() if piece["dtype"] != pl.String}
        return Agreement(pl.String(), again=again)
    if kinds == {COMMAS}:
        return Agreement(pl.Float64(), note=next(iter(full.values()))["note"])
    return None if kinds & {COMMAS, THOUSANDS} else _agree_on_numbers(full, kinds)


def _agree_on_numbers(full: Mapping[int, Mapping[str, Any]], kinds: set[str]) -> Agreement | None:
    """Integers if those of all pieces are, else floats."""
    if PRESENT_NUMBERS in kinds and any(piece["kind"] == NUMBERS and piece["nan"] for piece in full.values()):
        return None  # As a word for a missing value, "NaN" is no float.
    found = {piece["dtype"] for piece in full.values()}
    if len(found) == 1:
        return Agreement(found.pop())
    way = _FLOATS_OF_PRESENT if PRESENT_NUMBERS in kinds else _FLOATS
    again = {number: way for number, piece in full.items() if not piece["dtype"].is_float()}
    return Agreement(pl.Float64(), again=again)


def _agree_on_times(pieces: Sequence[Mapping[str, Any]], time_format: str | None) -> Agreement | None:
    """Times agree if every piece was read in one certain way, which no value of another piece can change."""
    full = [piece for piece in pieces if not piece["empty"]]
    notes = {piece["note"] for piece in full}
    is_doubtful = any(piece["warning"] and not (piece["odd"] and piece["odd"][0]) for piece in full)
    if len(notes) != 1 or is_doubtful or any(piece["dtype"] != TIME_DTYPE for piece in pieces):
        return None
    note = notes.pop()
    if not _is_certain(note, full, pieces[0]["present"], is_requested=time_format is not None):
        return None
    odd = [tuple(piece["odd"]) for piece in pieces if piece["odd"]]
    return Agreement(TIME_DTYPE, note=note, warning=odd_years_warning(odd) if time_format is None else "")


def _is_certain(note: str, full: Sequence[Mapping[str, Any]], n_first: int, *, is_requested: bool) -> bool:
    """Whether pieces of times with one note are read alike in the whole column.

    Args:
        note: how the pieces were read.
        full: the pieces with any value.
        n_first: number of values of the first piece.
        is_requested: whether the user gave the format.
    """
    kinds = {piece["kind"] for piece in full}
    if note == "dates":
        return True
    if note == "ISO 8601 dates":
        return is_one_kind_of_iso([piece["first"] for piece in full])
    if note.startswith("dates in the format") and not is_requested:
        # Every piece has this format alone, and the first has the values from which formats are recognised.
        return kinds == {"one format"} and n_first >= _ENOUGH_DATES
    is_count = " since 1970" in note
    if len(kinds) > 1:  # Integers and floats, which the whole column reads as floats.
        is_exact = all(max(-piece["low"], piece["high"]) < _EXACT for piece in full)
        if not is_count or not is_exact or "nanoseconds" in note or any("commas" in kind for kind in kinds):
            return False
    return is_requested or note.startswith("dates as ") or (is_count and all(piece["certain"] for piece in full))
