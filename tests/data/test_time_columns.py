"""Which column is the time, and what is said about the others."""

import polars as pl
import pytest

from segue.data.readers.read import read
from segue.errors import LogError

DAYS = ["2014-04-07", "2014-04-08"]
MILLISECONDS = [1396868069295, 1396954469295]
UNUSED = (
    "column '{}' contains times but is not used, so the order of the file is used; to use it, give --columns "
    "\"time={}\" (columns={{'time': '{}'}} in Python)"
)


def frame(**columns):
    return pl.DataFrame({"session": [1, 1], "item": [2, 3], **columns})


@pytest.mark.parametrize("coarse", ["date", "day", "event_date"])
@pytest.mark.parametrize(("fine", "scale"), [("time_ms", 1), ("timestamp_ms", 1), ("event_time_us", 1000)])
def test_the_finest_time_is_used(coarse, fine, scale):
    exact = [time * scale for time in MILLISECONDS]
    events = read(frame(**{coarse: DAYS, fine: exact}))
    assert events.frame["time"].dt.epoch("ms").to_list() == MILLISECONDS
    assert coarse in events.frame.columns
    assert f"time is '{fine}'" in events.notes[0]


def test_a_date_may_be_that_of_another_time_zone():
    assert "time is 'timestamp'" in read(frame(date=["2014-04-08", "2014-04-07"], timestamp=MILLISECONDS)).notes[0]


def test_equal_times_are_one():
    seconds = [time // 1000 for time in MILLISECONDS]
    assert "time is 'timestamp'" in read(frame(ts=seconds, timestamp=seconds)).notes[0]


@pytest.mark.parametrize(
    "columns",
    [
        {"created_at": ["2013-01-01T10:00:00", "2014-04-08T10:00:00"], "date": DAYS},
        {"timestamp": MILLISECONDS, "created_at": [time + 5 for time in MILLISECONDS]},
        {"date": DAYS, "time": ["10:00", "11:00"]},
    ],
)
def test_times_that_differ_are_asked(columns):
    with pytest.raises(LogError, match="all look like the time; say which one it is, for example columns="):
        read(frame(**columns))


@pytest.mark.parametrize("name", ["created_at", "CreatedAt", "InvoiceDate", "click_time", "unix_time", "viewed_at"])
def test_common_names_with_the_newest_row_first(name):
    events = read(frame(**{name: ["2014-04-08T10:00:00", "2014-04-07T10:00:00"]}))
    assert events.frame["time"].is_sorted(descending=True)


@pytest.mark.parametrize(
    "values",
    [
        DAYS,
        MILLISECONDS,
        [20140407, 20140408],
        ["12/1/2010 8:26", "12/1/2010 8:27"],
        ["Tue Apr 03 18:00:09 +0000 2012"] * 2,
        pl.Series(DAYS).str.to_date(),
    ],
)
def test_times_that_are_not_used_are_named(values):
    events = read(frame(made=values, shop=["a", "b"], price=[511, 20]))
    assert events.notes[-2] == UNUSED.format("made", "made", "made")
    assert not any("'shop' holds" in note or "'price' holds" in note for note in events.notes)
    assert read(frame(made=["later", "2014-04-07"])).notes[-2] == "features: 'made'"


def test_blank_lines_are_no_times(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("session,item,made\n" + "1,2,2014-04-07\n" * 40 + "\n", encoding="utf-8")
    assert UNUSED.format("made", "made", "made") in read(path).notes


def test_times_that_are_finer_than_the_dates_in_use_are_named():
    note = (
        "column 'exact' contains times that are finer than the dates in use; to use it, give --columns \"time=exact\" "
        "(columns={'time': 'exact'} in Python)"
    )
    assert note in read(frame(date=DAYS, exact=MILLISECONDS)).notes
    assert note not in read(frame(timestamp=MILLISECONDS, exact=MILLISECONDS)).notes


def test_a_format_needs_a_time_column():
    with pytest.raises(
        LogError, match=r"the frame: has no column for the time, which --time-format .* describes; it has"
    ):
        read(frame(), time_format="ms")


def test_decimal_commas_are_noted(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("session;item;rating;price;size\n1;2;3,5;0,99;1,000\n1;3;4;12;2,000\n", encoding="utf-8")
    events = read(path)
    assert events.frame.drop("session", "item").rows() == [(3.5, 0.99, "1,000"), (4.0, 12.0, "2,000")]
    assert "rating is 'rating' (numbers with decimal commas)" in events.notes[1]
    assert "column 'price': numbers with decimal commas" in events.notes


def test_decimal_commas_of_metadata_are_noted(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item;price\n2;0,99\n3;1,5\n", encoding="utf-8")
    events = read(frame(), items=path)
    assert events.items is not None
    assert events.items["price"].to_list() == [0.99, 1.5]
    assert events.notes[-1] == "column 'price': numbers with decimal commas"
