"""Every supported format: times that are written and parsed are equal; what can be read in two ways is asked."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.data.ingest.time_formats import check_time_format
from segue.data.ingest.times import parse_times
from segue.errors import ParameterError

DAY_13 = datetime(2014, 4, 13, 18, 0, 9)
"""Tells days from months; its clock tells minutes from hours."""
FORMATS = {
    "%Y-%m-%d %H": "hours",
    "%Y-%m-%dT%H": "hours",
    "%Y-%m-%d %H:%M": "minutes",
    "%Y-%m-%d %H:%M:%S": "seconds",
    "%Y-%m-%d %H:%M:%S.%f": "microseconds",
    "%Y-%m-%d %H:%M:%S,%f": "microseconds",
    "%Y-%m-%d %H:%M:%S +0000": "seconds",
    "%Y-%m-%d %H:%M:%S UTC": "seconds",
    "%Y-%m-%d %H:%M:%S GMT": "seconds",
    "%Y-%m-%d %H:%M:%S,%f Z": "microseconds",
    "%Y-%m-%d %I:%M:%S %p": "seconds",
    "%Y-%m-%d": "days",
    "%Y/%m/%d %H:%M": "minutes",
    "%Y.%m.%d %H:%M": "minutes",
    "%Y%m%d": "days",
    "%Y%m%d%H": "hours",
    "%Y%m%d%H%M": "minutes",
    "%Y%m%d%H%M%S": "seconds",
    "%Y%m%dT%H%M%S": "seconds",
    "%Y%m%dT%H%M%SZ": "seconds",
    "%Y%m%d %H:%M": "minutes",
    "%d.%m.%Y %H:%M": "minutes",
    "%d/%m/%Y": "days",
    "%d/%m/%Y %H:%M:%S": "seconds",
    "%m/%d/%Y %H:%M": "minutes",
    "%m/%d/%Y, %I:%M:%S %p": "seconds",
    "%m/%d/%Y %I:%M%p": "minutes",
    "%m/%d/%Y %I %p": "hours",
    "%d-%m-%Y %H:%M": "minutes",
    "%m %d, %Y": "days",
    "%d-%b-%Y": "days",
    "%d %b %Y %H:%M": "minutes",
    "%d %B %Y %H:%M": "minutes",
    "%B %d, %Y": "days",
    "%b %d, %Y, %I:%M:%S %p": "seconds",
    "%d/%b/%Y:%H:%M:%S +0000": "seconds",
    "%a %b %d %H:%M:%S +0000 %Y": "seconds",
    "%a %b %d %H:%M:%S %Y": "seconds",
    "%a, %d %b %Y %H:%M:%S GMT": "seconds",
    "%A, %d %B %Y %H:%M": "minutes",
}
PRECISION = {
    "days": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "hours": {"minute": 0, "second": 0, "microsecond": 0},
    "minutes": {"second": 0, "microsecond": 0},
    "seconds": {"microsecond": 0},
    "microseconds": {},
}
moments = st.lists(st.datetimes(datetime(1991, 1, 1), datetime(2100, 12, 31)), min_size=1, max_size=20)


def column(values):
    return pl.Series("time", values)


def parsed(values, time_format=None):
    found = parse_times(column(values), time_format)
    assert not len(found.invalid), found.rule
    assert found.values.dtype == pl.Datetime("us")
    return found.values.to_list()


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=15, deadline=None)
@given(times=moments)
def test_written_times_are_parsed(form, times):
    exact = [time.replace(**PRECISION[FORMATS[form]]) for time in [DAY_13, *times]]
    assert parsed([time.strftime(form) for time in exact]) == exact


@settings(max_examples=30, deadline=None)
@given(times=st.lists(st.datetimes(datetime(1991, 1, 1), datetime(2032, 12, 31)), min_size=1, max_size=20))
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_numbers_since_1970(unit, times):
    exact = [time.replace(microsecond=0) for time in times]
    seconds = [int((time - datetime(1970, 1, 1)).total_seconds()) for time in exact]
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    numbers = [second * per_second for second in seconds]
    assert parsed(numbers) == parsed([str(number) for number in numbers]) == parsed(numbers, unit) == exact


@settings(max_examples=30, deadline=None)
@given(times=moments)
def test_excel(times):
    exact = [time.replace(microsecond=0) for time in [DAY_13, *times]]
    days = [(time - datetime(1899, 12, 30)) / timedelta(days=1) for time in exact]
    assert parsed(days) == parsed([f"{day:.9f}".replace(".", ",") for day in days]) == parsed(days, "excel") == exact


@settings(max_examples=30, deadline=None)
@given(times=st.lists(st.datetimes(datetime(2000, 1, 1), datetime(2000, 11, 30)), min_size=1, max_size=20))
def test_months_and_days(times):
    days = [time.replace(**PRECISION["days"]) for time in [datetime(2000, 5, 11), *times]]
    assert parsed([f"{day:%m%d}" for day in days]) == days
    assert parsed([int(f"{day:%m%d}") for day in days], "mmdd") == days


def test_months_and_days_as_numbers_are_recognized_where_they_are_many():
    days = [datetime(2000, 5, 20) + timedelta(days=day) for day in range(40)]
    numbers = [int(f"{day:%m%d}") for day in days]
    assert parsed(numbers) == days
    few = parse_times(column(numbers[:15]))
    assert len(few.invalid) == 15
    assert few.remedy == "say which: --time-format mmdd or --time-format s (time_format= in Python)"


def test_a_log_across_the_new_year_needs_to_be_told():
    assert len(parse_times(column(["1231", "0101", "0102"])).invalid) == 3
    assert parsed(["1231", "0101"], "mmdd") == [datetime(2000, 12, 31), datetime(2000, 1, 1)]


@pytest.mark.parametrize(
    ("numbers", "codes"),
    [
        ([14102100, 14103123], "%y%m%d%H"),
        ([220408, 220501], "%y%m%d"),
        ([201404, 201512], "%Y%m"),
        ([2014, 2015], "%Y"),
    ],
)
def test_other_numbers_that_may_be_dates_are_asked(numbers, codes):
    found = parse_times(column(numbers))
    assert len(found.invalid) == 2
    assert f'--time-format "{codes}"' in found.remedy
    assert parsed(numbers, codes) == parsed([str(one) for one in numbers], codes)
    assert parsed(numbers, codes)[0].year >= 2014


@pytest.mark.parametrize("form", ["%m/%d/%Y %H:%M", "%d/%m/%y", "%d-%m-%Y", "%m/%d/%Y %I:%M:%S %p"])
def test_exchangeable_days_and_months_are_asked_and_every_answer_parses(form):
    times = [datetime(2010, 12, 1, 8, 26), datetime(2010, 11, 2, 21, 3)]
    exact = [time.replace(**PRECISION["minutes" if "%M" in form else "days"]) for time in times]
    values = [time.strftime(form) for time in exact]
    found = parse_times(column(values))
    assert found.invalid.tolist() == [0, 1]
    answers = [part.partition('"')[0] for part in found.remedy.split('--time-format "')[1:]]
    assert form in answers
    assert parsed(values, form) == exact
    assert all(parsed(values, answer) for answer in answers)


def test_equal_days_and_months_need_no_answer():
    assert parsed(["3/3/2012", "4/4/2012"]) == [datetime(2012, 3, 3), datetime(2012, 4, 4)]


def test_numbers_without_leading_zeros():
    assert parsed(["12/13/2010 8:26", "1/2/2011 18:05"]) == [datetime(2010, 12, 13, 8, 26), datetime(2011, 1, 2, 18, 5)]


def test_offsets_are_converted_to_utc():
    noon = datetime(2026, 1, 31, 12)
    for values in (
        ["2026-01-31T12:00:00Z", "2026-01-31T14:00:00+02:00", "2026-01-31T07:00:00-05:00"],
        ["2026-01-31 14:00:00 +0200", "2026-01-31 12:00:00 UTC", "2026-01-31 07:00:00 -05:00"],
        ["2026-01-31 14:00:00,0 +02", "2026-01-31 12:00:00,000 +00"],
    ):
        assert parsed(values) == [noon] * len(values)


def test_fractions_may_be_absent():
    values = ["2026-01-31 12:00:00,5 +0000", "2026-01-31 12:00:00 +0000"]
    assert parsed(values) == [datetime(2026, 1, 31, 12, 0, 0, 500_000), datetime(2026, 1, 31, 12)]


def test_seconds_with_decimal_commas():
    assert parsed(["1396808691,295", "", "1396808691"]) == [
        datetime(2014, 4, 6, 18, 24, 51, 295_000),
        None,
        datetime(2014, 4, 6, 18, 24, 51),
    ]


def test_absent_dates_are_null_in_every_format():
    day = datetime(2022, 4, 8)
    for values in (["20220408", "", "NA"], [20220408, None, None], [20220408.0, float("nan"), None]):
        assert parsed(values) == parsed(values, "yyyymmdd") == [day, None, None]
    assert parsed(["13/4/2022", " ", None]) == [datetime(2022, 4, 13), None, None]


def test_a_year_of_two_digits_is_not_the_year_12():
    assert parse_times(column(["03/04/12"]), "%d/%m/%Y").invalid.tolist() == [0]
    assert parsed(["03/04/12"], "%d/%m/%y") == [datetime(2012, 4, 3)]


def test_a_note_names_the_format():
    assert parse_times(column(["12/13/2010 8:26"])).note == "dates in the format %m/%d/%Y %H:%M"
    assert parse_times(column([20220408])).note == "dates as yyyymmdd"
    assert parse_times(column(["0511"])).note == "months and days as mmdd, without a year: all in 2000"
    assert parse_times(column(["0511"]), "mmdd").note == "dates in the format mmdd, as requested"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("min", r"must be one of s, ms, us, ns, excel, yyyymmdd, mmdd, or strptime codes such as .*, got 'min'"),
        ("%H:%M", "must be one of"),
        ("%Y-%", "must be one of"),
        ("%Y %Z", r"cannot contain %Z, got '%Y %Z'; write offsets such as \+0200 in the log, and %z"),
        ("%Y%m%d%f", r"cannot contain %f, got '%Y%m%d%f'; write \.%f after a point, or %3f, %6f"),
        ("%Y %U", "cannot contain %U, got '%Y %U'; use %#z, "),
    ],
)
def test_formats_are_checked(form, message):
    with pytest.raises(ParameterError, match=f"time_format: {message}"):
        check_time_format(form)
