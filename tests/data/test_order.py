"""The order of a log."""

from datetime import datetime

import polars as pl

from segue.data.order import ROW, Runs, begins, by_end, ordered

EARLY, LATE = datetime(2024, 1, 1), datetime(2024, 1, 2)


def test_sessions_come_in_one_piece_in_time_order_and_equal_times_keep_file_order():
    frame = pl.DataFrame(
        {"session": [2, 1, 2, 1, 2], "item": [1, 2, 3, 4, 5], "time": [LATE, LATE, EARLY, EARLY, LATE]}
    )
    log = ordered(frame)
    assert log.select("session", "item").rows() == [(1, 4), (1, 2), (2, 3), (2, 1), (2, 5)]
    assert log[ROW].to_list() == [3, 1, 2, 0, 4]


def test_runs_are_the_sessions_even_those_without_an_id():
    log = ordered(pl.DataFrame({"session": ["b", None, "a", "b", None], "item": [1, 2, 3, 4, 5]}))
    runs = Runs.of(log)
    assert log["session"].to_list() == [None, None, "a", "b", "b"]
    assert runs.starts.tolist() == [0, 2, 3]
    assert runs.lengths.tolist() == [2, 1, 2]
    assert runs.spread(runs.lengths).tolist() == [2, 2, 1, 2, 2]
    assert begins(log).to_list() == [True, False, True, True, False]


def test_an_empty_log_has_no_runs():
    log = ordered(pl.DataFrame({"session": [], "item": []}, schema={"session": pl.Int64, "item": pl.Int64}))
    assert Runs.of(log).lengths.tolist() == []


def test_sessions_are_ranked_by_their_end_and_ties_by_their_place_in_the_file():
    frame = pl.DataFrame({"session": [1, 2, 3, 1], "item": [1, 1, 1, 1], "time": [EARLY, EARLY, LATE, LATE]})
    log = ordered(frame)
    assert by_end(log, Runs.of(log)).tolist() == [1, 2, 0]


def test_without_times_the_place_of_the_last_event_decides():
    log = ordered(pl.DataFrame({"session": [1, 2, 3, 1], "item": [1, 1, 1, 1]}))
    assert by_end(log, Runs.of(log)).tolist() == [1, 2, 0]
