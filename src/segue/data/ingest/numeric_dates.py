"""Numbers that are dates but no count of seconds: 20220408, month and day as 0511, serial numbers of Excel.

Read as seconds since 1970, all of them would fall into the first days or months of 1970.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from segue.data.events import TIME_DTYPE
from segue.data.ingest.time_formats import EXCEL, ask_for, padded, parse_text
from segue.data.ingest.values import ParsedColumn, rows_where

EARLIEST, LATEST = 662_688_000, 4_133_980_800
"""Seconds at the beginning of 1991 and at the end of 2100. Ticks of .NET, read as nanoseconds, fall into 1990."""

_YEARS = (1991, 2101)
_COMPACT: Mapping[int, str] = {
    8: "%Y%m%d",
    10: "%Y%m%d%H",
    12: "%Y%m%d%H%M",
    14: "%Y%m%d%H%M%S",
    17: "%Y%m%d%H%M%S%3f",
}
"""Formats of numbers that begin with a year of four digits, by their number of digits."""
_SHORT: Mapping[str, str] = {
    "mmdd": "%m%d",
    "%Y": "%Y",
    "%Y%m": "%Y%m",
    "%y%m%d": "%y%m%d",
    "%y%m%d%H": "%y%m%d%H",
}
"""Formats of small numbers that are dates only if every value is one; Excel's serial numbers are another."""

_EXCEL_1970 = 25_569
_EXCEL_END = 2_958_466
_DAY_SECONDS = 86_400
_WITH_YEAR = 10_000
"""Numbers below have no digits for a year, if two digits are the month and two the day."""
_ENOUGH = 20
"""Different values of which a third would be a day by chance, so that all of them are days for a reason."""


def from_format(numbers: pl.Series, codes: str) -> pl.Series:
    """Parse integers by the codes of their digits, with leading zeros; other numbers become null."""
    whole = numbers.cast(pl.Int64, strict=False)
    if numbers.dtype.is_float():
        whole = whole.set((whole.cast(pl.Float64) != numbers).fill_null(True), None)
    return parse_text(padded(whole.cast(pl.String), codes), codes)


def from_excel(numbers: pl.Series) -> ParsedColumn:
    """Convert days since 30 December 1899, to the millisecond."""
    invalid = rows_where(((numbers < 1) | (numbers >= _EXCEL_END)).fill_null(False))
    milliseconds = ((numbers.cast(pl.Float64) - _EXCEL_1970) * _DAY_SECONDS * 1_000).round()
    times = (milliseconds.cast(pl.Int64, strict=False) * 1_000).cast(TIME_DTYPE)
    return ParsedColumn(times, invalid, "must be a serial number of Excel, between 1 and 2,958,465", note="Excel dates")


def from_compact(numbers: pl.Series) -> ParsedColumn | None:
    """Parse numbers such as 20220408 or 20220408123059; None unless most of the values are dates."""
    present = len(numbers) - numbers.null_count()
    for digits, codes in _COMPACT.items():
        low, high = (year * 10 ** (digits - 4) for year in _YEARS)
        if 2 * int(numbers.is_between(low, high, closed="left").sum()) <= present:
            continue
        times = from_format(numbers, codes)
        if 2 * times.null_count() <= numbers.null_count() + len(numbers):
            name = "yyyymmdd" if digits == 8 else codes
            invalid = rows_where(numbers.is_not_null() & times.is_null())
            rule = f"must be a date in the format {name}"
            return ParsedColumn(times, invalid, rule, note=f"dates as {name}", kind=str(numbers.dtype))
    return None


def from_short(numbers: pl.Series, text: pl.Series | None) -> ParsedColumn | None:
    """Parse small numbers if they can only be dates; None if they can be none.

    Args:
        numbers: the column; no value is a count of seconds after 1990.
        text: the column as text, if the source is text: leading zeros say that numbers are not counted.

    Returns:
        An invalid column if its values may be dates of one kind or another, or count something.
    """
    found = {name: times for name, codes in _SHORT.items() if (times := _all_dates(numbers, codes)) is not None}
    if "mmdd" in found and _is_month_and_day(numbers, found["mmdd"], text):
        return ParsedColumn(found["mmdd"], note="months and days as mmdd, without a year: all in 2000")
    low, high = numbers.min(), numbers.max()
    excel = from_excel(numbers).values
    if (excel.dt.year().is_between(_YEARS[0], _YEARS[1] - 1)).all() and low is not None and high is not None:
        if _has_clock_times(numbers):
            return ParsedColumn(excel, note="Excel dates, days since 1899-12-30")
        found[EXCEL] = excel
    if not found:
        return None
    return ParsedColumn(
        numbers,
        rows_where(numbers.is_not_null()),
        "may be dates, or numbers that count from any start",
        f"say which: {ask_for(*found, 's')}",
    )


def _all_dates(numbers: pl.Series, codes: str) -> pl.Series | None:
    times = from_format(numbers, codes)
    if times.null_count() > numbers.null_count() or times.null_count() == len(times):
        return None
    if "%y" in codes and (numbers < _WITH_YEAR).any():
        return None
    has_year = "y" in codes.lower()
    return times if not has_year or times.dt.year().is_between(_YEARS[0], _YEARS[1] - 1).all() else None


def _is_month_and_day(numbers: pl.Series, times: pl.Series, text: pl.Series | None) -> bool:
    """Whether numbers are months and days beyond doubt, and in one year: January may also follow December."""
    months = times.dt.month().drop_nulls().unique().to_list()
    if 1 in months and 12 in months:
        return False
    if text is not None:
        written = text.drop_nulls().str.strip_chars()
        if (written.str.len_bytes() == 4).all() and written.str.starts_with("0").any():
            return True
    return len(months) > 1 and numbers.n_unique() >= _ENOUGH


def _has_clock_times(numbers: pl.Series) -> bool:
    """Whether fractions of days are whole seconds, and finer than hundredths, which many other numbers have."""
    if not numbers.dtype.is_float():
        return False
    values = numbers.drop_nulls().to_numpy()
    seconds, hundredths = values * _DAY_SECONDS, values * 100
    whole = np.abs(seconds - seconds.round()) < 0.01
    return bool(whole.all() and (np.abs(hundredths - hundredths.round()) > 1e-4).any())
