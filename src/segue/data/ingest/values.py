"""Parses raw values as ids, numbers or features.

A comma is the decimal sign of a column of numbers if every value is a number then, and not every comma is followed by
groups of three digits, as in 1,234.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from jaxtyping import Int, Int64

_WIDE = (pl.UInt64, pl.Int128, pl.UInt128)
"""Integers that may not fit into 64 bits with a sign."""
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""The first day of year 1 and the last of 9999, in days since 1970."""
_DAY_TICKS = {None: 1, "ms": 86_400_000, "us": 86_400_000_000}
IN_RANGE = "must lie between the years 1 and 9999"
_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>")
"""Text for a missing value in a column of ids or numbers."""
_DECIMAL = r"^-?\d+(\.0+)?$"
"""Integers as a column of floats writes them."""
_PADDED = r"^(\+|-?0\d|-0$)"
"""Text that a number would not preserve exactly."""
_BLANK = r"^\s|\s$|^$"
_DECIMAL_COMMA = r"^[-+]?[0-9]+(,[0-9]+)?$"
_THOUSANDS = r"^[-+]?[1-9]\d{0,2}(,\d{3})+$"
_FIX_COMMAS = "write decimals with a point, and thousands without a comma"


INTEGERS, DECIMALS, TEXT = "integers", "decimals", "text"
"""Kinds of ids; text is a kind of features, too."""
NUMBERS, PRESENT_NUMBERS, COMMAS, THOUSANDS, AS_IT_IS = "numbers", "present numbers", "commas", "thousands", "as it is"
"""Kinds of numbers and features: numbers, also once the words for missing values are removed, with decimal commas, or
text whose commas may all separate thousands; a column that is not converted."""
DECIMALS_NOTE = "decimals such as 3.0 read as integers"


@dataclass(frozen=True)
class ParsedColumn:
    """A parsed column.

    Attributes:
        values: the values; null where the source has none.
        invalid: row numbers of values that break ``rule``.
        rule: what a value must be.
        remedy: how to fix invalid values.
        note: how the column was interpreted, if that had to be detected.
        warning: what is doubtful about that; a sentence without its end.
        kind: what else the interpretation depends on; pieces of one column are compared by it.
        missing: how often each word stands for a missing id; under ``""`` the empty fields, blank lines included.
    """

    values: pl.Series
    invalid: Int[np.ndarray, "_"] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    rule: str = ""
    remedy: str = "correct them or remove their rows"
    note: str = ""
    warning: str = ""
    kind: str = ""
    missing: Mapping[str, int] = field(default_factory=dict)

    def describe(self, blank_lines: int = 0) -> str:
        """Return the note, and the number of missing ids if words stand for some of them.

        If all are empty fields, they are reported where they are dropped.

        Args:
            blank_lines: rows that are blank lines, whose ids are not missing.
        """
        words = {word: count for word, count in self.missing.items() if word}
        if not words:
            return self.note
        written = sum(words.values())
        total = written + max(0, self.missing.get("", 0) - blank_lines)
        part = f" {written:,} of them" if written < total else ""
        missing = f"{total:,} missing,{part} written {', '.join(map(repr, sorted(words)))}"
        return "; ".join(filter(None, (self.note, missing)))


def parse_ids(raw: pl.Series, *, text: bool) -> ParsedColumn:
    """Parse ids: integers if all values are integers, else stripped strings.

    Text with leading zeros or a plus sign stays text: as numbers, ``007`` and ``7`` would be the same id.

    Args:
        raw: the column.
        text: True if the source is a text file, whose integers are text as well.
    """
    if raw.dtype in _WIDE:
        narrowed = raw.cast(pl.Int64, strict=False)
        if narrowed.null_count() == raw.null_count():
            return ParsedColumn(narrowed, kind=INTEGERS)
        return ParsedColumn(raw.cast(pl.String), kind=TEXT)
    if raw.dtype.is_integer():
        return ParsedColumn(raw.cast(pl.Int64), kind=INTEGERS)
    if raw.dtype.is_float():
        present = raw.fill_nan(None)
        integers = present.cast(pl.Int64, strict=False)
        invalid = rows_where(present.is_not_null() & (integers.cast(pl.Float64) != present).fill_null(True))
        return ParsedColumn(integers, invalid, "must be an integer or text", kind=INTEGERS)
    if raw.dtype.is_nested() or raw.dtype.is_temporal() or raw.dtype in (pl.Boolean, pl.Object):
        return ParsedColumn(raw, rows_where(raw.is_not_null()), f"must be an integer or text, not {raw.dtype}")
    return _parse_text_ids(raw.cast(pl.String), text=text)


def _parse_text_ids(strings: pl.Series, *, text: bool) -> ParsedColumn:
    if text and (numbers := _text_to_integers(strings)) is not None:
        return ParsedColumn(numbers, kind=INTEGERS, missing=_missing_words(strings, numbers))
    present = remove_missing(strings)
    missing = _missing_words(strings, present)
    if text and (numbers := _text_to_integers(present)) is not None:
        return ParsedColumn(numbers, kind=INTEGERS, missing=missing)
    if text and present.str.contains(_DECIMAL).all() and present.null_count() < len(present):
        integers = present.str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)
        if integers.null_count() == present.null_count() and not _is_padded(present):
            return ParsedColumn(integers, note=DECIMALS_NOTE, kind=DECIMALS, missing=missing)
    return ParsedColumn(present, kind=TEXT, missing=missing)


def _missing_words(strings: pl.Series, present: pl.Series) -> dict[str, int]:
    """Count the words that stand for a missing id, the empty word included."""
    words = strings.filter(present.is_null()).fill_null("").str.strip_chars()
    return dict(words.alias("word").value_counts().iter_rows())


def parse_numbers(raw: pl.Series) -> ParsedColumn:
    """Parse numbers, also with decimal commas; integers stay integers."""
    if raw.dtype.is_numeric():
        return ParsedColumn(_narrowed(raw), kind=NUMBERS)
    if raw.dtype != pl.String:
        return ParsedColumn(raw, rows_where(raw.is_not_null()), "must be a number")
    kind, numbers = NUMBERS, text_to_numbers(raw)
    if numbers is None:
        raw = remove_missing(raw)
        kind, numbers = PRESENT_NUMBERS, text_to_numbers(raw)
    if numbers is not None:
        return ParsedColumn(numbers, kind=kind)
    numbers = from_decimal_commas(raw)
    if numbers is not None:
        return ParsedColumn(numbers, note="numbers with decimal commas", kind=COMMAS)
    numbers = raw.cast(pl.Float64, strict=False)
    kind = THOUSANDS if raw.str.contains(_DECIMAL_COMMA).all() else TEXT
    column = ParsedColumn(numbers, rows_where(raw.is_not_null() & numbers.is_null()), "must be a number", kind=kind)
    has_commas = raw.gather(column.invalid).str.contains(_THOUSANDS).any()
    return replace(column, remedy=_FIX_COMMAS) if has_commas else column


def parse_feature(raw: pl.Series, declared: str | None) -> ParsedColumn:
    """Parse a feature by its declared type; without one, as numbers if all values are numbers, else as text."""
    if raw.dtype == pl.Object:
        rule = "must be a number, text, a date or a list of these"
        return ParsedColumn(raw, rows_where(raw.is_not_null()), rule)
    match declared:
        case "number":
            return parse_numbers(raw)
        case "category":
            return ParsedColumn(strip_blanks(raw))
        case "numbers":
            lists = strip_blanks(raw).str.extract_all(r"\S+").cast(pl.List(pl.Float64), strict=False)
            invalid = rows_where(lists.list.eval(pl.element().is_null()).list.any())
            return ParsedColumn(lists, invalid, "must be numbers separated by spaces")
    if raw.dtype != pl.String or raw.null_count() == len(raw) or _is_padded(raw):
        kind = NUMBERS if raw.dtype.is_numeric() else AS_IT_IS
        return ParsedColumn(_narrowed(raw), out_of_range(raw), IN_RANGE, kind=kind)
    numbers = parse_numbers(raw)
    return ParsedColumn(strip_blanks(raw), kind=numbers.kind) if len(numbers.invalid) else numbers


def out_of_range(dates: pl.Series) -> Int64[np.ndarray, "_"]:
    """Return the row numbers of dates outside the years 1 to 9999, which Python cannot hold; none of other values."""
    unit = dates.dtype.time_unit if isinstance(dates.dtype, pl.Datetime) else None
    if dates.dtype not in (pl.Date, pl.Datetime) or unit == "ns":  # Nanoseconds lie in the years 1677 to 2262.
        return np.empty(0, dtype=np.int64)
    per_day = _DAY_TICKS[unit]
    low, high = _FIRST_DAY * per_day, (_LAST_DAY + 1) * per_day
    return rows_where(~dates.to_physical().cast(pl.Int64).is_between(low, high, closed="left").fill_null(True))


def _narrowed(numbers: pl.Series) -> pl.Series:
    """Return integers of more than 64 bits as Int64, or else as floats; others as they are."""
    if numbers.dtype not in _WIDE:
        return numbers
    narrowed = numbers.cast(pl.Int64, strict=False)
    return narrowed if narrowed.null_count() == numbers.null_count() else numbers.cast(pl.Float64)


def strip_blanks(strings: pl.Series) -> pl.Series:
    """Strip strings; an empty string becomes null."""
    if not strings.str.contains(_BLANK).any():
        return strings
    stripped = strings.str.strip_chars()
    return stripped.set(stripped == "", None)


def remove_missing(strings: pl.Series) -> pl.Series:
    """Strip strings; an empty one, or one that stands for a missing value such as ``NA``, becomes null."""
    stripped = strip_blanks(strings)
    missing = stripped.is_in(_MISSING).fill_null(False)
    return stripped.set(missing, None) if missing.any() else stripped


def rows_where(mask: pl.Series) -> Int64[np.ndarray, "_"]:
    """Return the row numbers at which a mask is true."""
    return mask.arg_true().cast(pl.Int64).to_numpy()


def text_to_numbers(strings: pl.Series) -> pl.Series | None:
    """Convert text to numbers, integers if possible; None if any value is not a number."""
    integers = _if_complete(strings.cast(pl.Int64, strict=False), strings)
    return integers if integers is not None else _if_complete(strings.cast(pl.Float64, strict=False), strings)


def from_decimal_commas(strings: pl.Series) -> pl.Series | None:
    """Convert text such as ``3,5``; None if any value is not such a number, or all commas may separate thousands."""
    commas = strings.str.contains(",", literal=True)
    if not commas.any() or not strings.str.contains(_DECIMAL_COMMA).all():
        return None
    if strings.filter(commas.fill_null(False)).str.contains(_THOUSANDS).all():
        return None
    return strings.str.replace(",", ".", literal=True).cast(pl.Float64)


def _text_to_integers(strings: pl.Series) -> pl.Series | None:
    """Convert text to integers; None if any value is not an integer, or none is present."""
    integers = _if_complete(strings.cast(pl.Int64, strict=False), strings)
    has_any = integers is not None and integers.null_count() < len(integers)
    return integers if has_any and not _is_padded(strings) else None


def _if_complete(numbers: pl.Series, strings: pl.Series) -> pl.Series | None:
    """Return the numbers; None if the cast made any text null."""
    return numbers if numbers.null_count() == strings.null_count() else None


def _is_padded(strings: pl.Series) -> bool:
    return bool(strings.str.contains(_PADDED).any())
