"""Every format gives the same ten clicks."""

from datetime import datetime, timedelta
from pathlib import Path

import jaxtyping
import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from segue.data.events import Events
from segue.data.readers.formats import FORMATS
from segue.data.readers.read import read
from segue.errors import ParameterError, UnknownNameError

LOGS = Path(__file__).parent.parent / "fixtures" / "logs"
SESSIONS = [11, 11, 11, 12, 12, 13, 13, 13, 13, 13]
ITEMS = [501, 502, 501, 503, 504, 502, 505, 505, 501, 503]
SECONDS = [0, 60, 120, 3600, 3630, 7200, 7260, 7290, 7350, 7400]
TIMES = [datetime(2023, 11, 14, 22, 13, 20) + timedelta(seconds=second) for second in SECONDS]
CLICKS = pl.DataFrame({"session": SESSIONS, "item": ITEMS, "time": TIMES}, schema_overrides={"time": pl.Datetime("us")})

WITH_TIME = {
    "clicks.csv": "csv",
    "clicks.csv.gz": "csv",
    "clicks.csv.zst": "csv",
    "clicks-windows.csv": "csv",
    "clicks.tsv": "tsv",
    "clicks-semicolon.csv": "semicolon",
    "clicks-bar.txt": "bar",
    "clicks-space.txt": "space",
    "clicks.jsonl": "jsonl",
    "clicks-nested.jsonl": "otto",
    "clicks.dat": "dat",
    "clicks.inter": "recbole",
    "yoochoose-clicks.dat": "yoochoose",
    "train-item-views.csv": "diginetica",
    "clicks.parquet": "parquet",
}
WITHOUT_TIME = {"sequences.txt": "sequences", "pairs.txt": "pairs"}


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("name", WITH_TIME)
def test_formats_are_recognised(name):
    events = read(LOGS / name)
    assert_frame_equal(events.frame.select("session", "item", "time"), CLICKS)
    assert events.unit == ("user" if name == "clicks.dat" else "session")


@pytest.mark.parametrize(("name", "form"), WITH_TIME.items())
def test_formats_can_be_named(name, form):
    events = read(LOGS / name, format=form)
    assert_frame_equal(events.frame.select("session", "item", "time"), CLICKS)


@pytest.mark.parametrize("name", WITHOUT_TIME)
def test_formats_without_time_keep_the_order_of_the_file(name):
    events = read(LOGS / name)
    assert_frame_equal(events.frame, CLICKS.select("session", "item"))
    assert not events.has_time
    assert events.notes[-1] == "time: no column; events and sessions keep the order of the file"
    assert events.unit == ("user" if name == "pairs.txt" else "session")


def test_every_format_has_a_fixture():
    assert set(FORMATS) == {*WITH_TIME.values(), *WITHOUT_TIME.values()}


def test_what_was_recognised_is_said():
    assert read(LOGS / "clicks-semicolon.csv").notes == (
        "format: fields separated by semicolon, with a header",
        "columns: session is 'sid', item is 'aid', "
        "time is 'ts' (milliseconds since 1970, detected from their magnitude)",
        "time: from 2023-11-14 22:13 to 2023-11-15 00:16 UTC",
    )


def test_published_logs_are_named():
    assert (
        read(LOGS / "yoochoose-clicks.dat").notes[0] == "format: YooChoose as published, session, time, item, category"
    )
    note = "format: Diginetica as published, the time is 'eventdate' plus 'timeframe' milliseconds"
    assert read(LOGS / "train-item-views.csv").notes[0] == note


def test_times_that_are_all_absent_have_no_span():
    frame = pl.DataFrame({"session": [1], "item": [2], "time": [None]}, schema_overrides={"time": pl.Float64})
    assert read(frame).notes == (
        "columns: session is 'session', item is 'item', "
        "time is 'time' (seconds since 1970, detected from their magnitude)",
    )


def test_columns_can_be_named(tmp_path):
    path = write(tmp_path / "log.csv", "when,basket,what,item\n1700000000,7,a,blue\n")
    events = read(path, columns={"session": "basket", "item": "what", "time": "when"})
    assert events.frame.columns == ["session", "item", "time"]
    assert events.frame.row(0) == (7, "a", TIMES[0])
    assert "column 'item' is left out: its name is taken by another one" in events.notes


def test_columns_without_a_header_go_by_number(tmp_path):
    path = write(tmp_path / "log.csv", "1700000000,7,12\n1700000060,7,13\n")
    events = read(path, columns={"time": "1", "session": "2", "item": "3"})
    assert_frame_equal(
        events.frame,
        pl.DataFrame({"session": [7, 7], "item": [12, 13], "time": TIMES[:2]}, schema=events.frame.schema),
    )


def test_ids_are_integers_or_text(tmp_path):
    path = write(
        tmp_path / "log.csv", 'session,item,colour,code\n1,été 9,red,007\n 2,"a,b",blue,8\n3,"two\nlines", 1 ,9\n'
    )
    frame = read(path).frame
    assert frame["session"].to_list() == [1, 2, 3]
    assert frame["item"].to_list() == ["été 9", "a,b", "two\nlines"]
    assert frame["colour"].to_list() == ["red", "blue", "1"]
    assert frame["code"].to_list() == ["007", "8", "9"]


def test_ids_with_leading_zeros_stay_text(tmp_path):
    frame = read(write(tmp_path / "log.csv", "session,item\n1,007\n1,7\n")).frame
    assert frame["item"].to_list() == ["007", "7"]


def test_absent_values_are_left_to_the_cleaning(tmp_path):
    frame = read(write(tmp_path / "log.csv", "session,item,time\n1,,1700000000\nNA,5,\n\n2,6,1700000060\n")).frame
    assert frame["session"].to_list() == [1, None, 2]
    assert frame["item"].to_list() == [None, 5, 6]
    assert frame["time"].to_list() == [TIMES[0], None, TIMES[1]]


def test_optional_columns_are_kept(tmp_path):
    text = "session_id,user_id,item_id,event_type,score,price,shop\n1,u,5,click,3,1.5,north\n1,u,6,buy,,2,\n"
    events = read(write(tmp_path / "log.csv", text))
    assert events.frame.schema == {
        "session": pl.Int64,
        "user": pl.String,
        "item": pl.Int64,
        "rating": pl.Int64,
        "type": pl.String,
        "price": pl.Float64,
        "shop": pl.String,
    }
    assert events.frame.row(1) == (1, "u", 6, None, "buy", 2.0, None)
    assert events.unit == "session"
    by_user = read(tmp_path / "log.csv", unit="user")
    assert by_user.frame["session"].to_list() == ["u", "u"]
    assert by_user.frame["session_id"].to_list() == [1, 1]
    assert by_user.unit == "user"


def test_recbole_types_are_kept_and_metadata_is_found():
    events = read(LOGS / "clicks.inter")
    assert events.items is not None
    assert events.items.row(4) == (505, '"Big" bowl', None)
    assert events.items.schema == {"item": pl.Int64, "title": pl.String, "price": pl.Float64}
    assert events.notes[-1] == "metadata: clicks.item describes 5 of 5 items"


def test_recbole_sequences_of_numbers(tmp_path):
    path = write(tmp_path / "a.inter", "user_id:token\titem_id:token\tpos:float_seq\n1\t2\t0.5 2\n1\t3\t\n")
    assert read(path).frame["pos"].to_list() == [[0.5, 2.0], None]


def test_items_can_be_given(tmp_path):
    titles = write(tmp_path / "titles.csv", "item_id,title\n501,Pan\n501,Pan again\n502,Spoon\n,nothing\n")
    events = read(LOGS / "clicks.csv", items=titles)
    assert events.items is not None
    assert events.items.rows() == [(501, "Pan"), (502, "Spoon")]
    assert events.notes[-1] == "metadata: titles.csv describes 2 of 5 items"
    from_frame = read(LOGS / "clicks.csv", items=pl.DataFrame({"item": ["503"], "title": ["Press"]}))
    assert from_frame.items is not None
    assert from_frame.items.rows() == [(503, "Press")]


def test_movielens_tables_are_found(tmp_path):
    write(tmp_path / "ratings.dat", "1::10::5::978300760\n1::20::3::978302109\n")
    (tmp_path / "movies.dat").write_bytes(
        "10::Amélie (2001)::Comedy\n20::Heat (1995)::Action|Crime\n".encode("latin-1")
    )
    write(tmp_path / "users.dat", "1::F::1::10::48067\n")
    events = read(tmp_path)
    assert events.unit == "user"
    assert events.frame["rating"].to_list() == [5, 3]
    assert events.items is not None
    assert events.items["title"].to_list() == ["Amélie (2001)", "Heat (1995)"]
    assert events.users is not None
    assert events.users.row(0) == (1, "F", 1, 10, 48067)


def test_latin_1_is_read_and_said(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"session,item\n" + b"1,a\n" * 300 + "2,café\n".encode("latin-1"))
    events = read(path)
    assert events.frame["item"][-1] == "café"
    assert events.notes[0] == "encoding: line 302 is not UTF-8, so the file is read as Latin-1"


def test_sequences_of_one_length_are_read_when_named(tmp_path):
    path = write(tmp_path / "log.txt", "1 7 8\n2 8 9\n")
    assert read(path, format="sequences").frame.rows() == [(1, 7), (1, 8), (2, 8), (2, 9)]


def test_json_keys_may_come_late_and_types_may_vary(tmp_path):
    path = write(tmp_path / "log.jsonl", '{"session":1,"item":2}\n' * 200 + '\n{"session":"x","item":2,"shop":"n"}\n')
    frame = read(path).frame
    assert frame["session"].to_list() == ["1"] * 200 + ["x"]
    assert frame["shop"].to_list() == [None] * 200 + ["n"]


def test_sessions_without_events_hold_none(tmp_path):
    path = write(tmp_path / "log.jsonl", '{"session":1,"events":[]}\n{"session":2,"events":[{"aid":3,"ts":5}]}\n')
    assert read(path, format="otto").frame.select("session", "item").rows() == [(2, 3)]


@pytest.mark.parametrize("text_dtype", ["object", "str"])
def test_pandas_frames(text_dtype):
    frame = pd.DataFrame(
        {
            "SessionId": SESSIONS,
            "ItemId": pd.Series([str(item) for item in ITEMS], dtype=text_dtype),
            "Time": pd.to_datetime(TIMES, utc=True),
            "price": [1.5, np.nan] * 5,
            "shop": pd.Series(["north", None] * 5, dtype=text_dtype),
            "stock": pd.array([1, None] * 5, dtype="Int64"),
        }
    )
    events = read(frame.set_index(pd.RangeIndex(5, 15)))
    assert_frame_equal(events.frame.select("session", "time"), CLICKS.select("session", "time"))
    assert events.frame["item"].to_list() == [str(item) for item in ITEMS]
    assert events.frame["price"].to_list() == [1.5, None] * 5
    assert events.frame["shop"].to_list() == ["north", None] * 5
    assert events.frame["stock"].to_list() == [1, None] * 5


def test_pandas_ids_that_became_floats():
    frame = read(pd.DataFrame({"session": [1.0, np.nan], "item": [5, 6]})).frame
    assert frame.rows() == [(1, 5), (None, 6)]


@pytest.mark.parametrize("column", ["rating", "shop"])
@pytest.mark.parametrize("dtype", [pl.Null, pl.Boolean, pl.String, pl.Float64])
def test_columns_without_a_value_are_kept(column, dtype):
    frame = pl.DataFrame({"session": [1], "item": [2], column: [None]}, schema_overrides={column: dtype})
    assert read(frame).frame.row(0) == (1, 2, None)


def test_polars_frames_keep_their_types():
    frame = pl.DataFrame({"session": ["1"], "item": pl.Series(["007"], dtype=pl.Categorical), "time": [1.5]})
    events = read(frame)
    assert events.frame.rows() == [("1", "007", datetime(1970, 1, 1, 0, 0, 1, 500000))]
    assert isinstance(events, Events)


def test_a_column_part_is_a_given_split():
    frame = pl.DataFrame({"session": [1, 2], "item": [3, 3], "part": ["train", "test"]})
    assert read(frame).has_parts


def test_options_are_checked():
    with pytest.raises(UnknownNameError, match="unknown format 'cvs': did you mean 'csv'"):
        read(LOGS / "clicks.csv", format="cvs")
    with pytest.raises(UnknownNameError, match="unknown column role 'sesion': did you mean 'session'"):
        read(LOGS / "clicks.csv", columns={"sesion": "SessionId"})
    with pytest.raises(ParameterError, match="format: applies to files only, got 'csv'"):
        read(CLICKS, format="csv")
    with pytest.raises(ParameterError, match=r"source: must be a path, .* or a scipy sparse matrix, got int"):
        read(5)


def test_units_are_checked(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # a user's call is not checked against the types
    with pytest.raises(UnknownNameError, match="unknown unit 'visit': choose one of session, user"):
        read(LOGS / "clicks.csv", unit="visit")
