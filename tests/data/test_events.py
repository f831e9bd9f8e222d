"""Events: the columns that every later step trusts, and the sessions of a sorted log."""

from datetime import datetime

import polars as pl
import pytest

from segue.data.events import ROW, Events, SessionBounds, is_first_event, sessions_by_end, sort_events
from segue.errors import LogError

EARLY, LATE = datetime(2024, 1, 1), datetime(2024, 1, 2)
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


def test_sessions_come_in_one_piece_in_time_order_and_equal_times_keep_file_order():
    frame = pl.DataFrame(
        {"session": [2, 1, 2, 1, 2], "item": [1, 2, 3, 4, 5], "time": [LATE, LATE, EARLY, EARLY, LATE]}
    )
    log = sort_events(frame)
    assert log.select("session", "item").rows() == [(1, 4), (1, 2), (2, 3), (2, 1), (2, 5)]
    assert log[ROW].to_list() == [3, 1, 2, 0, 4]


def test_every_session_has_its_bounds_even_one_without_an_id():
    log = sort_events(pl.DataFrame({"session": ["b", None, "a", "b", None], "item": [1, 2, 3, 4, 5]}))
    sessions = SessionBounds.of(log)
    assert log["session"].to_list() == [None, None, "a", "b", "b"]
    assert sessions.starts.tolist() == [0, 2, 3]
    assert sessions.lengths.tolist() == [2, 1, 2]
    assert sessions.repeat(sessions.lengths).tolist() == [2, 2, 1, 2, 2]
    assert is_first_event(log).to_list() == [True, False, True, True, False]


def test_an_empty_log_has_no_sessions():
    log = sort_events(pl.DataFrame({"session": [], "item": []}, schema={"session": pl.Int64, "item": pl.Int64}))
    assert SessionBounds.of(log).lengths.tolist() == []


def test_sessions_are_ranked_by_their_end_and_ties_by_their_place_in_the_file():
    frame = pl.DataFrame({"session": [1, 2, 3, 1], "item": [1, 1, 1, 1], "time": [EARLY, EARLY, LATE, LATE]})
    log = sort_events(frame)
    assert sessions_by_end(log, SessionBounds.of(log)).tolist() == [1, 2, 0]


def test_without_times_the_place_of_the_last_event_decides():
    log = sort_events(pl.DataFrame({"session": [1, 2, 3, 1], "item": [1, 1, 1, 1]}))
    assert sessions_by_end(log, SessionBounds.of(log)).tolist() == [1, 2, 0]
