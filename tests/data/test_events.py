"""Events: the shape that every later step trusts."""

from datetime import datetime

import polars as pl
import pytest

from segue.data.events import Events
from segue.errors import LogError

FRAME = pl.DataFrame({"session": [1, 1, 2, None], "item": ["a", "b", "a", None]})


def test_sizes_do_not_count_absent_values():
    events = Events(FRAME)
    assert (len(events), events.n_sessions, events.n_items) == (4, 2, 2)


def test_visits_of_different_parts_are_different_but_users_are_not():
    frame = FRAME.with_columns(part=pl.Series(["train", "test", "test", "test"]))
    assert Events(frame).n_sessions == 3
    assert Events(frame, unit="user").n_sessions == 2


def test_optional_columns_are_told():
    assert not Events(FRAME).has_time
    assert not Events(FRAME).has_parts
    times = pl.Series([datetime(2026, 1, 31)] * 4, dtype=pl.Datetime("us"))
    assert Events(FRAME.with_columns(time=times)).has_time


def test_wrong_shapes_are_refused_together():
    frame = pl.DataFrame({"session": [1.5], "time": [1700000000], "part": ["train"]})
    with pytest.raises(LogError) as caught:
        Events(frame, items=pl.DataFrame({"title": ["Pan"]}), users=pl.DataFrame({"name": ["Ada"]}))
    assert str(caught.value).split("\n") == [
        "events: has no column 'item'; segue.read makes one",
        "items: has no column 'item'; segue.read makes one",
        "users: has no column 'user'; segue.read makes one",
        "events, column 'session': must be Int64 or String, got Float64; segue.read converts it",
        "events, column 'time': must be Datetime(time_unit='us', time_zone=None), got Int64; segue.read converts it",
    ]
