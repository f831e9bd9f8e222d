"""Times: their unit is detected from their magnitude, and all end in UTC microseconds."""

from datetime import date, datetime, timedelta, timezone

import polars as pl
import pytest

from segue.data.ingest.times import parse_times

NOON = datetime(2026, 1, 31, 12)
SECONDS = 1769860800


@pytest.mark.parametrize(
    ("raw", "unit", "expected"),
    [
        ([SECONDS], None, NOON),
        ([SECONDS * 1_000 + 1], None, NOON + timedelta(milliseconds=1)),
        ([SECONDS * 1_000_000 + 1], None, NOON + timedelta(microseconds=1)),
        ([SECONDS * 1_000_000_000 + 1_999], None, NOON + timedelta(microseconds=1)),
        ([SECONDS + 0.25], None, NOON + timedelta(microseconds=250_000)),
        ([SECONDS * 1_000 + 0.5], None, NOON + timedelta(microseconds=500)),
        ([SECONDS * 1e9], None, NOON),
        ([5], "ms", datetime(1970, 1, 1, 0, 0, 0, 5_000)),
        ([-1], None, datetime(1969, 12, 31, 23, 59, 59)),
        ([str(SECONDS)], None, NOON),
        ([f" {SECONDS}.5"], None, NOON + timedelta(microseconds=500_000)),
        (["2026-01-31T12:00:00Z"], None, NOON),
        (["2026-01-31 12:00:00"], None, NOON),
        (["2026-01-31 12:00:00 UTC"], None, NOON),
        (["2026-01-31T12:00:00.000250Z"], None, NOON + timedelta(microseconds=250)),
        (["2026-01-31T14:00:00+02:00"], None, NOON),
        (["2026-01-31"], None, NOON - timedelta(hours=12)),
        ([NOON], None, NOON),
        ([NOON.replace(tzinfo=timezone(timedelta(hours=-3)))], None, NOON + timedelta(hours=3)),
        ([date(2026, 1, 31)], None, NOON - timedelta(hours=12)),
    ],
)
def test_one_moment_in_many_forms(raw, unit, expected):
    column = parse_times(pl.Series("time", raw), unit)
    assert not len(column.invalid)
    assert column.values.dtype == pl.Datetime("us")
    assert column.values.to_list() == [expected]


def test_absent_times_are_null():
    for raw in (["", "NA", str(SECONDS)], ["", None, "2026-01-31T12:00:00"], [None, float("nan"), float(SECONDS)]):
        column = parse_times(pl.Series("time", raw, strict=False))
        assert not len(column.invalid)
        assert column.values.to_list() == [None, None, NOON]
    assert parse_times(pl.Series("time", [None, None])).values.to_list() == [None, None]


def test_numbers_that_are_no_dates_are_in_doubt():
    for raw in ([0, 1, 2], [-1, 5], [1.5, 2.5]):
        column = parse_times(pl.Series("time", raw))
        assert column.warning.startswith("numbers too small for dates are read as seconds counted from 1970; ")
        assert (column.values.to_physical() / 1_000_000).to_list() == raw
        assert not parse_times(pl.Series("time", raw), "s").warning
    assert not parse_times(pl.Series("time", [SECONDS])).warning


@pytest.mark.parametrize("placeholder", ["1970-01-01 00:00:00", "0001-01-01 00:00:00", "9999-12-31 00:00:00"])
def test_dates_that_stand_for_no_time_are_in_doubt(placeholder):
    text = pl.Series("time", ["2026-01-31 12:00:00", None, placeholder])
    warning = f"1 of the times before 1991 or after 2100, such as {placeholder[:-3]}"
    for raw in (text, text.str.to_datetime()):
        column = parse_times(raw)
        assert not len(column.invalid)
        assert column.warning == warning
    assert not parse_times(pl.Series("time", ["1985-01-31", "1985-02-01"])).warning


def test_the_few_are_named_among_the_many():
    column = parse_times(pl.Series("time", [SECONDS, None, SECONDS * 1000, SECONDS]))
    assert column.invalid.tolist() == [2]
    mostly_dates = parse_times(pl.Series("time", ["2026-01-31", "31.01.2026", "2026-02-01"]))
    assert mostly_dates.invalid.tolist() == [1]
    assert mostly_dates.rule == "must be an ISO 8601 time"


def test_a_given_unit_is_not_guessed():
    column = parse_times(pl.Series("time", [5, SECONDS * 1000]), "ms")
    assert not len(column.invalid)
    assert column.note == "milliseconds since 1970, as requested"
    impossible = parse_times(pl.Series("time", [5, SECONDS * 1000]), "s")
    assert impossible.invalid.tolist() == [1]
    assert impossible.rule == "must be seconds since 1970"
    dates = parse_times(pl.Series("time", [NOON]), "s")
    assert (dates.invalid.tolist(), dates.remedy) == ([0], "leave --time-format (time_format=) out")


@pytest.mark.parametrize("unit", [None, "s", "ms", "us", "ns", "excel", "yyyymmdd"])
@pytest.mark.parametrize("raw", [pl.Series([2**63 + 5], dtype=pl.UInt64), pl.Series([1e30]), pl.Series(["-1e30"])])
def test_numbers_of_any_size_are_refused_or_read(raw, unit):
    column = parse_times(raw, unit)
    is_read = unit == "ns" and raw.dtype == pl.UInt64
    assert column.invalid.tolist() == ([] if is_read else [0])
    assert not is_read or column.values.dt.year().to_list() == [2262]
