"""Times as they stand in logs -> UTC times in microseconds.

The unit of a number is told from its size: seconds since 1970 stay below 10^11 until the year 5138, milliseconds
lie between 10^11 (March 1973) and 10^14, microseconds between 10^14 and 10^17, nanoseconds above. Text is a number
or ISO 8601; a time without a zone is taken as UTC.
"""

from typing import Literal, get_args

import numpy as np
import polars as pl

from segue.data.events import TIME_DTYPE
from segue.data.ingest.values import Column, numbers_in, rows_where, without_markers

TimeUnit = Literal["s", "ms", "us", "ns"]
TIME_UNITS: tuple[TimeUnit, ...] = get_args(TimeUnit)

_SIZES = (1e11, 1e14, 1e17)
_NAMES = ("seconds", "milliseconds", "microseconds", "nanoseconds")
_TOO_FAR = (2.5e11, 2.5e14, 2.5e17, float("inf"))
"""Numbers that would lie after the year 9000."""
_MICROSECONDS = (1_000_000, 1_000, 1)
_ISO_START = r"^\d{4}-\d\d-\d\d"


def as_times(raw: pl.Series, unit: TimeUnit | None = None) -> Column:
    """Read a column of times: dates, numbers, or text of either.

    Args:
        raw: the column.
        unit: unit of numbers; told from their size if it is not given.
    """
    if raw.dtype in (pl.Datetime, pl.Date):
        return _from_dates(raw)
    if raw.dtype.is_numeric():
        return _from_numbers(raw, unit)
    if raw.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        present = rows_where(raw.is_not_null())
        return Column(raw, present, f"must be a date, a number or text, not {raw.dtype}")
    text = raw.cast(pl.String)
    return _from_text(text, unit) or _from_text(without_markers(text), unit) or _unclear(without_markers(text))


def _from_text(text: pl.Series, unit: TimeUnit | None) -> Column | None:
    numbers = numbers_in(text)
    if numbers is not None:
        return _from_numbers(numbers, unit)
    times = _from_iso(text)
    return Column(times, note="ISO 8601 dates") if times.null_count() == text.null_count() else None


def _unclear(text: pl.Series) -> Column:
    """Name the rows that are not what most are."""
    numbers, times = text.cast(pl.Float64, strict=False), _from_iso(text)
    mostly_numbers = numbers.null_count() <= times.null_count()
    best, rule = (numbers, "must be a number") if mostly_numbers else (times, "must be an ISO 8601 time")
    if best.null_count() == len(text):
        rule = "must be a number or an ISO 8601 time such as 2026-01-31T12:00:00"
    return Column(times, bad=rows_where(text.is_not_null() & best.is_null()), rule=rule)


def _from_dates(raw: pl.Series) -> Column:
    zone = raw.dtype.time_zone if isinstance(raw.dtype, pl.Datetime) else None
    utc = raw.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else raw
    return Column(utc.cast(TIME_DTYPE), note="dates")


def _from_iso(text: pl.Series) -> pl.Series:
    """Parse ISO 8601; what is not is null (the parser alone would take 07/04/2014 too)."""
    is_dated = text.str.contains(_ISO_START)
    if not is_dated.any():
        return pl.repeat(None, len(text), dtype=TIME_DTYPE, eager=True)
    dated = text if is_dated.all() else text.set(~is_dated, None)
    if dated.str.ends_with(" UTC").any():
        dated = dated.str.strip_suffix(" UTC")
    return dated.str.to_datetime(time_unit="us", time_zone="UTC", strict=False).dt.replace_time_zone(None)


def _from_numbers(numbers: pl.Series, unit: TimeUnit | None) -> Column:
    numbers = numbers.cast(pl.Int64) if numbers.dtype.is_integer() else numbers.cast(pl.Float64).fill_nan(None)
    if numbers.dtype.is_float() and numbers.is_infinite().any():
        return Column(numbers, bad=rows_where(numbers.is_infinite()), rule="must be finite")
    size = TIME_UNITS.index(unit) if unit else _common_size(numbers)
    if size is None:
        return _mixed(numbers)
    too_far = rows_where(numbers.abs() >= _TOO_FAR[size])
    if len(too_far):
        return Column(numbers, too_far, f"must be {_NAMES[size]} since 1970", "give another time_unit, or none")
    said = "as asked for" if unit else "told from their size"
    return Column(_in_microseconds(numbers, size).cast(TIME_DTYPE), note=f"{_NAMES[size]} since 1970, {said}")


def _in_microseconds(numbers: pl.Series, size: int) -> pl.Series:
    if size == len(_MICROSECONDS):
        return (numbers / 1_000).round().cast(pl.Int64) if numbers.dtype.is_float() else numbers // 1_000
    scaled = numbers * _MICROSECONDS[size]
    return scaled.round().cast(pl.Int64) if scaled.dtype.is_float() else scaled


def _common_size(numbers: pl.Series) -> int | None:
    values = np.abs(numbers.drop_nulls().to_numpy())
    if not values.size:
        return 0
    low, high = np.searchsorted(_SIZES, [values.min(), values.max()], side="right").tolist()
    return int(low) if low == high else None


def _mixed(numbers: pl.Series) -> Column:
    """Name the rows whose unit is in the minority."""
    sizes = np.searchsorted(_SIZES, numbers.abs().fill_null(0).to_numpy(), side="right")
    present = numbers.is_not_null().to_numpy()
    counts = np.bincount(sizes[present], minlength=len(_NAMES))
    usual = int(counts.argmax())
    odd = np.flatnonzero(present & (sizes != usual))
    others = " and ".join(_NAMES[size] for size in np.unique(sizes[odd]))
    return Column(
        numbers,
        bad=odd,
        rule=f"must have one unit, {counts[usual]:,} values look like {_NAMES[usual]} but {len(odd):,} like {others}",
        remedy="correct them or, if all are in one unit, say which: time_unit='s' (or ms, us, ns)",
    )
