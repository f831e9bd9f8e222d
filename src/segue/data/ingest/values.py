"""Values as they stand in a source -> ids, numbers and features."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Int, Int64

_NO_NUMBER = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""Text that stands for an absent value in a column of numbers; among text ids it is an id like any other."""
_PADDED = r"^(\+|-?0\d|-0$)"
"""Text whose exact form a number would lose."""
_INTEGER_OR_MARKER = rf"^\s*([-+]?\d+|{'|'.join(_NO_NUMBER)})\s*$"
_BLANK = r"^\s|\s$|^$"


@dataclass(frozen=True)
class Column:
    """A converted column.

    Attributes:
        values: the values; null where the source has none.
        bad: row numbers of values that break ``rule``.
        rule: what a value must be.
        remedy: what to do about those that are not.
        note: what the column was taken for, if that had to be decided.
    """

    values: pl.Series
    bad: Int[np.ndarray, "_"] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    rule: str = ""
    remedy: str = "correct them or remove their rows"
    note: str = ""


def as_ids(raw: pl.Series, *, text: bool) -> Column:
    """Read ids: integers if every value is one, else strings without blanks around them.

    Text with leading zeros or a plus sign stays text: as numbers, ``007`` and ``7`` would be one id.

    Args:
        raw: the column.
        text: True if the source is a text file, whose integers are text too.
    """
    if raw.dtype.is_integer():
        return Column(raw.cast(pl.Int64)) if raw.dtype != pl.UInt64 else _big_ids(raw)
    if raw.dtype.is_float():
        return _ids_from_floats(raw)
    if raw.dtype.is_nested() or raw.dtype.is_temporal() or raw.dtype in (pl.Boolean, pl.Object):
        rule = f"must be an integer or text, not {raw.dtype}"
        return Column(raw, bad=rows_where(raw.is_not_null()), rule=rule)
    strings = raw.cast(pl.String)
    if text and (integers := _integers_in(strings)) is not None:
        return Column(integers)
    return Column(without_blanks(strings))


def as_numbers(raw: pl.Series) -> Column:
    """Read numbers; integers stay integers."""
    if raw.dtype.is_numeric():
        return Column(raw)
    if raw.dtype != pl.String:
        return Column(raw, bad=rows_where(raw.is_not_null()), rule="must be a number")
    numbers = numbers_in(raw)
    if numbers is None:
        raw = without_markers(raw)
        numbers = numbers_in(raw)
    if numbers is not None:
        return Column(numbers)
    numbers = raw.cast(pl.Float64, strict=False)
    return Column(numbers, bad=rows_where(raw.is_not_null() & numbers.is_null()), rule="must be a number")


def as_feature(raw: pl.Series, declared: str | None) -> Column:
    """Read an optional column: by its declared type, else numbers if all values are, else text."""
    if raw.dtype == pl.Object:
        return Column(raw, bad=rows_where(raw.is_not_null()), rule="must be a number, text, a date or a list of these")
    match declared:
        case "number":
            return as_numbers(raw)
        case "category":
            return Column(without_blanks(raw))
        case "numbers":
            return _as_number_lists(raw)
    if raw.dtype != pl.String or raw.null_count() == len(raw) or _is_padded(raw):
        return Column(raw)
    numbers = as_numbers(raw)
    return Column(without_blanks(raw)) if len(numbers.bad) else numbers


def _as_number_lists(raw: pl.Series) -> Column:
    lists = without_blanks(raw).str.extract_all(r"\S+").cast(pl.List(pl.Float64), strict=False)
    bad = rows_where(lists.list.eval(pl.element().is_null()).list.any())
    return Column(lists, bad=bad, rule="must be numbers separated by spaces")


def without_blanks(strings: pl.Series) -> pl.Series:
    """Take the blanks around strings away; an empty string becomes null."""
    if not strings.str.contains(_BLANK).any():
        return strings
    stripped = strings.str.strip_chars()
    return stripped.set(stripped == "", None)


def without_markers(strings: pl.Series) -> pl.Series:
    """Make the usual words for "no number" null, and take blanks around the others away."""
    stripped = strings.str.strip_chars()
    return stripped.set(stripped.is_in(_NO_NUMBER), None)


def rows_where(mask: pl.Series) -> Int64[np.ndarray, "_"]:
    """Return the numbers of the rows for which a mask is true."""
    return mask.arg_true().cast(pl.Int64).to_numpy()


def numbers_in(strings: pl.Series) -> pl.Series | None:
    """Return the numbers that a column of text holds, integers if all are, or None if it holds anything else."""
    integers = _exact(strings.cast(pl.Int64, strict=False), strings)
    return integers if integers is not None else _exact(strings.cast(pl.Float64, strict=False), strings)


def _integers_in(strings: pl.Series) -> pl.Series | None:
    """Return the integers that a column of text holds, or None if it holds anything else."""
    integers = _exact(strings.cast(pl.Int64, strict=False), strings)
    if integers is None:
        if not strings.str.contains(_INTEGER_OR_MARKER).all():
            return None
        strings = without_markers(strings)
        integers = _exact(strings.cast(pl.Int64, strict=False), strings)
    has_any = integers is not None and integers.null_count() < len(integers)
    return integers if has_any and not _is_padded(strings) else None


def _exact(numbers: pl.Series, strings: pl.Series) -> pl.Series | None:
    """Return numbers that were read from text, or None if that made any of it null."""
    return numbers if numbers.null_count() == strings.null_count() else None


def _is_padded(strings: pl.Series) -> bool:
    return bool(strings.str.contains(_PADDED).any())


def _ids_from_floats(raw: pl.Series) -> Column:
    present = raw.fill_nan(None)
    integers = present.cast(pl.Int64, strict=False)
    bad = rows_where(present.is_not_null() & (integers.cast(pl.Float64) != present).fill_null(True))
    return Column(integers, bad=bad, rule="must be an integer or text")


def _big_ids(raw: pl.Series) -> Column:
    integers = raw.cast(pl.Int64, strict=False)
    return Column(integers if integers.null_count() == raw.null_count() else raw.cast(pl.String))
