"""Parses times as UTC, in microseconds.

The unit of numbers is detected from their magnitude: seconds since 1970 stay below 10^11 until the year 5138,
milliseconds lie between 10^11 (March 1973) and 10^14, microseconds between 10^14 and 10^17, nanoseconds above. Text is
a number or ISO 8601; a time without a zone is UTC.
"""

from typing import Literal, get_args

import numpy as np
import polars as pl

from segue.data.events import TIME_DTYPE
from segue.data.ingest.values import ParsedColumn, remove_missing, rows_where, text_to_numbers

TimeUnit = Literal["s", "ms", "us", "ns"]
TIME_UNITS: tuple[TimeUnit, ...] = get_args(TimeUnit)

# By index of the unit: the magnitude from which the next unit begins, the name, the number that would lie after the
# year 9000, and the microseconds in one.
_THRESHOLDS = (1e11, 1e14, 1e17)
_NAMES = ("seconds", "milliseconds", "microseconds", "nanoseconds")
_TOO_LARGE = (2.5e11, 2.5e14, 2.5e17, float("inf"))
_MICROSECONDS = (1_000_000, 1_000, 1)
_ISO_START = r"^\d{4}-\d\d-\d\d"


def parse_times(raw: pl.Series, unit: TimeUnit | None = None) -> ParsedColumn:
    """Parse a column of dates, numbers, or text of either.

    Args:
        raw: the column.
        unit: unit of numbers; detected from their magnitude if None.
    """
    if raw.dtype in (pl.Datetime, pl.Date):
        zone = raw.dtype.time_zone if isinstance(raw.dtype, pl.Datetime) else None
        utc = raw.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else raw
        return ParsedColumn(utc.cast(TIME_DTYPE), note="dates")
    if raw.dtype.is_numeric():
        return _from_numbers(raw, unit)
    if raw.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return ParsedColumn(raw, rows_where(raw.is_not_null()), f"must be a date, a number or text, not {raw.dtype}")
    text = raw.cast(pl.String)
    present = remove_missing(text)
    return _from_text(text, unit) or _from_text(present, unit) or _invalid_text(present)


def _from_text(text: pl.Series, unit: TimeUnit | None) -> ParsedColumn | None:
    numbers = text_to_numbers(text)
    if numbers is not None:
        return _from_numbers(numbers, unit)
    times = _from_iso(text)
    return ParsedColumn(times, note="ISO 8601 dates") if times.null_count() == text.null_count() else None


def _invalid_text(text: pl.Series) -> ParsedColumn:
    """Report the rows that differ from the majority."""
    numbers, times = text.cast(pl.Float64, strict=False), _from_iso(text)
    mostly_numbers = numbers.null_count() <= times.null_count()
    best, rule = (numbers, "must be a number") if mostly_numbers else (times, "must be an ISO 8601 time")
    if best.null_count() == len(text):
        rule = "must be a number or an ISO 8601 time such as 2026-01-31T12:00:00"
    return ParsedColumn(times, rows_where(text.is_not_null() & best.is_null()), rule)


def _from_iso(text: pl.Series) -> pl.Series:
    """Parse ISO 8601; other text becomes null (polars alone would accept 07/04/2014)."""
    is_iso = text.str.contains(_ISO_START)
    if not is_iso.any():
        return pl.repeat(None, len(text), dtype=TIME_DTYPE, eager=True)
    dates = text if is_iso.all() else text.set(~is_iso, None)
    if dates.str.ends_with(" UTC").any():
        dates = dates.str.strip_suffix(" UTC")
    return dates.str.to_datetime(time_unit="us", time_zone="UTC", strict=False).dt.replace_time_zone(None)


def _from_numbers(numbers: pl.Series, unit: TimeUnit | None) -> ParsedColumn:
    numbers = numbers.cast(pl.Int64) if numbers.dtype.is_integer() else numbers.cast(pl.Float64).fill_nan(None)
    if numbers.dtype.is_float() and numbers.is_infinite().any():
        return ParsedColumn(numbers, rows_where(numbers.is_infinite()), "must be finite")
    index = TIME_UNITS.index(unit) if unit else _common_unit(numbers)
    if index is None:
        return _mixed_units(numbers)
    too_large = rows_where(numbers.abs() >= _TOO_LARGE[index])
    if len(too_large):
        rule = f"must be {_NAMES[index]} since 1970"
        return ParsedColumn(numbers, too_large, rule, "give another time_unit, or none")
    origin = "as requested" if unit else "detected from their magnitude"
    times = _to_microseconds(numbers, index).cast(TIME_DTYPE)
    return ParsedColumn(times, note=f"{_NAMES[index]} since 1970, {origin}")


def _to_microseconds(numbers: pl.Series, unit: int) -> pl.Series:
    if unit == len(_MICROSECONDS):
        return (numbers / 1_000).round().cast(pl.Int64) if numbers.dtype.is_float() else numbers // 1_000
    scaled = numbers * _MICROSECONDS[unit]
    return scaled.round().cast(pl.Int64) if scaled.dtype.is_float() else scaled


def _common_unit(numbers: pl.Series) -> int | None:
    """Return the index of the unit of all numbers; None if they differ."""
    values = np.abs(numbers.drop_nulls().to_numpy())
    if not values.size:
        return 0
    low, high = np.searchsorted(_THRESHOLDS, [values.min(), values.max()], side="right").tolist()
    return int(low) if low == high else None


def _mixed_units(numbers: pl.Series) -> ParsedColumn:
    """Report the rows whose unit is in the minority."""
    units = np.searchsorted(_THRESHOLDS, numbers.abs().fill_null(0).to_numpy(), side="right")
    present = numbers.is_not_null().to_numpy()
    counts = np.bincount(units[present], minlength=len(_NAMES))
    most = int(counts.argmax())
    odd = np.flatnonzero(present & (units != most))
    others = " and ".join(_NAMES[unit] for unit in np.unique(units[odd]))
    return ParsedColumn(
        numbers,
        odd,
        rule=f"must have one unit, {counts[most]:,} values look like {_NAMES[most]} but {len(odd):,} like {others}",
        remedy="correct them or, if all are in one unit, name it: time_unit='s' (or ms, us, ns)",
    )
