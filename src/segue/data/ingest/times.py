"""Parses times as UTC, in microseconds.

The unit of numbers is detected from their magnitude: seconds since 1970 stay below 10^11 until the year 5138,
milliseconds lie between 10^11 (March 1973) and 10^14, microseconds between 10^14 and 10^17, nanoseconds above. Results
before 1991 or after 2100 are not believed; ``numeric_dates`` then looks for dates such as 20220408, and other small
numbers are read as seconds with a warning. Text is a number, ISO 8601, or in another format that all its values have; a
time without a zone is UTC.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from segue.data.events import TIME_DTYPE
from segue.data.ingest.numeric_dates import EARLIEST, LATEST, from_compact, from_excel, from_format, from_short
from segue.data.ingest.time_formats import (
    EXCEL,
    UNITS,
    ask_for,
    chrono_codes,
    clean,
    has_named_zone,
    order_of,
    padded,
    parse_iso,
    parse_text,
    recognize,
)
from segue.data.ingest.values import (
    IN_RANGE,
    ParsedColumn,
    from_decimal_commas,
    out_of_range,
    remove_missing,
    rows_where,
    text_to_numbers,
)

# By index of the unit: the magnitude from which the next unit begins, the name, the number that would lie after the
# year 9000, how many there are in a second, and the microseconds in one.
_THRESHOLDS = (1e11, 1e14, 1e17)
_NAMES = ("seconds", "milliseconds", "microseconds", "nanoseconds")
_TOO_LARGE = (2.5e11, 2.5e14, 2.5e17, 2.5e20)
_PER_SECOND = (1, 1_000, 1_000_000, 1_000_000_000)
_MICROSECONDS = (1_000_000, 1_000, 1)
CERTAIN = 1_988_150_400
"""Seconds at the beginning of 2033, after which ten digits may also be year, month, day and hour."""
_ZONE_END = r":\d\d(\.\d+)? ?[+-]\d\d(:?\d\d)?$"
_BY_MAGNITUDE = "detected from their magnitude"


def parse_times(raw: pl.Series, time_format: str | None = None) -> ParsedColumn:
    """Parse a column of dates, numbers, or text of either.

    Args:
        raw: the column.
        time_format: a name of ``time_formats.NAMES`` or strptime codes; detected if None.
    """
    if raw.dtype in (pl.Datetime, pl.Date) and len(odd := out_of_range(raw)):
        return ParsedColumn(raw, odd, IN_RANGE)
    column = _parse(raw, time_format)
    if column.values.dtype == TIME_DTYPE and not len(column.invalid):
        column = replace(column, invalid=out_of_range(column.values), rule=IN_RANGE)
    return _with_odd_years(column) if time_format is None and not raw.dtype.is_numeric() else column


def _parse(raw: pl.Series, time_format: str | None) -> ParsedColumn:
    if raw.dtype in (pl.Datetime, pl.Date):
        return _from_dates(raw, time_format)
    if raw.dtype.is_numeric():
        return _from_numbers(raw, time_format)
    if raw.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return ParsedColumn(raw, rows_where(raw.is_not_null()), f"must be a date, a number or text, not {raw.dtype}")
    text = raw.cast(pl.String)
    if time_format is not None:
        return _as_requested(remove_missing(text), time_format)
    found = _from_text(text)
    if found is None:
        present = remove_missing(text)
        found = _from_text(present) or _from_other_text(present)
    return found


def _with_odd_years(column: ParsedColumn) -> ParsedColumn:
    """Warn of single dates that stand for a missing time, such as 1970-01-01; numbers are refused then."""
    if column.values.dtype != TIME_DTYPE or len(column.invalid) or column.warning:
        return column
    return replace(column, warning=odd_years_warning([odd_years(column.values)]))


def odd_years(times: pl.Series) -> tuple[int, int, str]:
    """Return how many times lie between 1991 and 2100, how many do not, and the first of these."""
    usual = times.to_physical().is_between(EARLIEST * _MICROSECONDS[0], LATEST * _MICROSECONDS[0])
    if usual.all():
        return len(times) - times.null_count(), 0, ""
    odd = times.filter(~usual)
    return int(usual.sum()), len(odd), odd[0].isoformat(" ", "minutes")


def odd_years_warning(pieces: Sequence[tuple[int, int, str]]) -> str:
    """Return the warning of odd times among usual ones, from ``odd_years`` of each piece of a column; empty if none."""
    usual, odd = sum(piece[0] for piece in pieces), sum(piece[1] for piece in pieces)
    if not usual or not odd:
        return ""
    example = next(piece[2] for piece in pieces if piece[1])
    return f"{odd:,} of the times before 1991 or after 2100, such as {example}"


def _from_dates(raw: pl.Series, time_format: str | None) -> ParsedColumn:
    if time_format is not None:
        rule = f"must be numbers or text to be read as {time_format}, these are dates already"
        return ParsedColumn(raw, rows_where(raw.is_not_null()), rule, "leave --time-format (time_format=) out")
    zone = raw.dtype.time_zone if isinstance(raw.dtype, pl.Datetime) else None
    utc = raw.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else raw
    return ParsedColumn(utc.cast(TIME_DTYPE), note="dates")


def _from_text(text: pl.Series) -> ParsedColumn | None:
    numbers = text_to_numbers(text)
    if numbers is not None:
        return _from_numbers(numbers, text=text)
    times = parse_iso(text)
    return ParsedColumn(times, note="ISO 8601 dates") if times.null_count() == text.null_count() else None


def _from_other_text(text: pl.Series) -> ParsedColumn:
    numbers = from_decimal_commas(text)
    if numbers is not None:
        column = _from_numbers(numbers)
        return replace(column, note=f"{column.note}, with decimal commas")
    cleaned = clean(text)
    found = recognize(cleaned)
    complete = [(codes, times) for codes, times in found if times.null_count() == text.null_count()]
    if not complete:
        return _invalid_text(text, cleaned, found)
    codes, times = complete[0]
    if all(times.equals(other) for _, other in complete[1:]):
        kind = "one format" if len(complete) == 1 else "formats with equal results"
        return ParsedColumn(times, note=f"dates in the format {codes}", kind=kind)
    orders = " or ".join(f"the {order_of(codes)}" for codes, _ in complete)
    return ParsedColumn(
        times,
        rows_where(text.is_not_null()),
        f"may begin with {orders}, every value is a date either way",
        f"say which: {ask_for(*(codes for codes, _ in complete))}",
    )


def _invalid_text(text: pl.Series, cleaned: pl.Series, found: list[tuple[str, pl.Series]]) -> ParsedColumn:
    """Report the rows that differ from the majority."""
    numbers, iso = text.cast(pl.Float64, strict=False), parse_iso(text)
    readings = [(numbers, "must be a number"), (iso, "must be an ISO 8601 time")]
    readings += [(times, f"must be a date in the format {codes}") for codes, times in found[:1]]
    best, rule = min(readings, key=lambda reading: reading[0].null_count())
    invalid = rows_where(text.is_not_null() & best.is_null())
    has_zone = cleaned.drop_nulls().str.contains(_ZONE_END)
    if has_named_zone(cleaned.gather(invalid)):
        rule, remedy = "must have an offset from UTC, not the name of a time zone", "write offsets such as +0200"
        return ParsedColumn(iso, invalid, rule, remedy)
    if best.null_count() == len(text):
        rule = "must be a number or an ISO 8601 time such as 2026-01-31T12:00:00"
        remedy = f"correct them, or describe all of them, for example {ask_for('%d.%m.%Y %H:%M')}"
        return ParsedColumn(iso, invalid, rule, remedy)
    if best is not numbers and has_zone.any() and not has_zone.all():
        rule += ", with a zone in every row or in none"
    return ParsedColumn(iso, invalid, rule)


def _as_requested(text: pl.Series, time_format: str) -> ParsedColumn:
    """Parse text in a given format."""
    numbers, with_commas = text_to_numbers(text), ""
    if numbers is None:
        numbers, with_commas = from_decimal_commas(text), " with decimal commas"
    if numbers is not None and (time_format in (*UNITS, EXCEL) or numbers.dtype.is_float()):
        column = _from_numbers(numbers, time_format)
        return replace(column, kind=column.kind + with_commas)
    if time_format in (*UNITS, EXCEL):
        invalid = rows_where(text.is_not_null() & text.cast(pl.Float64, strict=False).is_null())
        return ParsedColumn(text, invalid, f"must be a number to be read as {time_format}")
    codes = chrono_codes(time_format)
    readings = [parse_text(padded(one, codes), codes) for one in (text.str.strip_chars(), clean(text))]
    column = _in_format(min(readings, key=pl.Series.null_count), text, time_format)
    return replace(column, kind=" ".join(str(one.null_count() == text.null_count()) for one in readings))


def _in_format(times: pl.Series, raw: pl.Series, time_format: str) -> ParsedColumn:
    invalid = rows_where(raw.is_not_null() & times.is_null())
    rule = f"must be a date in the format {time_format}"
    return ParsedColumn(times, invalid, rule, note=f"dates in the format {time_format}, as requested")


def _from_numbers(numbers: pl.Series, time_format: str | None = None, text: pl.Series | None = None) -> ParsedColumn:
    integers = numbers.cast(pl.Int64, strict=False) if numbers.dtype.is_integer() else None
    if integers is not None and integers.null_count() == numbers.null_count():
        numbers = integers
    else:
        numbers = numbers.cast(pl.Float64).fill_nan(None)
    if numbers.dtype.is_float() and numbers.is_infinite().any():
        return ParsedColumn(numbers, rows_where(numbers.is_infinite()), "must be finite")
    if time_format == EXCEL:
        return from_excel(numbers)
    if time_format in UNITS:
        return _in_unit(numbers, UNITS.index(time_format), "as requested")
    if time_format is not None:
        column = _in_format(from_format(numbers, chrono_codes(time_format)), numbers, time_format)
        return replace(column, kind=str(numbers.dtype))
    index = _common_unit(numbers)
    if index is not None and _lies_between(numbers, index, EARLIEST, CERTAIN).all():
        return _in_unit(numbers, index, _BY_MAGNITUDE)
    return from_compact(numbers) or _doubtful(numbers, index, text)


def _doubtful(numbers: pl.Series, index: int | None, text: pl.Series | None) -> ParsedColumn:
    """Read numbers some of which are no count of seconds (or fractions of them) between 1991 and 2033."""
    if index is None:
        return _mixed_units(numbers)
    believable = _lies_between(numbers, index, EARLIEST, LATEST)
    if believable.all():
        return _in_unit(numbers, index, _BY_MAGNITUDE)
    if believable.any():
        return ParsedColumn(
            numbers,
            rows_where(~believable.fill_null(True)),
            f"must lie between 1991 and 2100 like the other {believable.sum():,}, as {_NAMES[index]} since 1970",
            f"correct them or leave them empty, or accept them with {ask_for(UNITS[index])}",
        )
    if index == 0 and (numbers < EARLIEST).all():
        return from_short(numbers, text) or _counted(numbers)
    return ParsedColumn(
        numbers,
        rows_where(numbers.is_not_null()),
        f"must lie between 1991 and 2100, these do not as {_NAMES[index]} since 1970",
        f"convert them, or accept them with {ask_for(UNITS[index])}",
    )


def _counted(numbers: pl.Series) -> ParsedColumn:
    """Read numbers that are no dates as seconds from an unknown start."""
    warning = (
        "numbers too small for dates are read as seconds counted from 1970; if they are dates, give their format, "
        f"for example {ask_for('%y%m%d')}"
    )
    return replace(_in_unit(numbers, 0, _BY_MAGNITUDE), warning=warning)


def _in_unit(numbers: pl.Series, index: int, origin: str) -> ParsedColumn:
    too_large = rows_where(numbers.cast(pl.Float64).abs() >= _TOO_LARGE[index])  # The least integer has no absolute.
    if len(too_large):
        rule = f"must be {_NAMES[index]} since 1970"
        return ParsedColumn(numbers, too_large, rule, "give another time_format, or none")
    times = _to_microseconds(numbers, index).cast(TIME_DTYPE)
    return ParsedColumn(times, note=f"{_NAMES[index]} since 1970, {origin}", kind=str(numbers.dtype))


def _lies_between(numbers: pl.Series, index: int, first: int, last: int) -> pl.Series:
    """Whether numbers lie between two times in seconds; null where a number is missing."""
    return numbers.is_between(first * _PER_SECOND[index], last * _PER_SECOND[index], closed="left")


def _to_microseconds(numbers: pl.Series, unit: int) -> pl.Series:
    if unit == len(_MICROSECONDS):
        return (numbers / 1_000).round().cast(pl.Int64) if numbers.dtype.is_float() else numbers // 1_000
    scaled = numbers * _MICROSECONDS[unit]
    return scaled.round().cast(pl.Int64) if scaled.dtype.is_float() else scaled


def _common_unit(numbers: pl.Series) -> int | None:
    """Return the index of the unit of all numbers; None if they differ."""
    values = np.abs(numbers.drop_nulls().cast(pl.Float64).to_numpy())
    if not values.size:
        return 0
    low, high = np.searchsorted(_THRESHOLDS, [values.min(), values.max()], side="right").tolist()
    return int(low) if low == high else None


def _mixed_units(numbers: pl.Series) -> ParsedColumn:
    """Report the rows whose unit is in the minority."""
    units = np.searchsorted(_THRESHOLDS, numbers.cast(pl.Float64).abs().fill_null(0).to_numpy(), side="right")
    present = numbers.is_not_null().to_numpy()
    counts = np.bincount(units[present], minlength=len(_NAMES))
    most = int(counts.argmax())
    odd = np.flatnonzero(present & (units != most))
    others = " and ".join(_NAMES[unit] for unit in np.unique(units[odd]))
    return ParsedColumn(
        numbers,
        odd,
        rule=f"must have one unit, {counts[most]:,} values look like {_NAMES[most]} but {len(odd):,} like {others}",
        remedy=f"correct them or, if all are in one unit, name it: {ask_for('s')}, or ms, us, ns",
    )
