"""Cleaning steps on logs worked by hand, and on random ones against naive versions."""

from collections import defaultdict
from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.data.events import ROW, sort_events
from segue.errors import ParameterError
from segue.protocols import cleaning_steps as clean
from segue.protocols.intervals import parse_intervals

START = datetime(2024, 1, 1)

pairs = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=60)


def log(*events):
    """An ordered log from (session, item) or (session, item, minutes)."""
    names = ("session", "item", "time")[: len(events[0])] if events else ("session", "item")
    frame = pl.DataFrame(events, schema=list(names), orient="row")
    if "time" in names:
        frame = frame.with_columns(time=pl.lit(START).dt.cast_time_unit("us") + pl.duration(minutes="time"))
    return sort_events(frame)


def left(cleaned):
    """The (session, item) of what a step left."""
    return cleaned.log.select("session", "item").rows()


def test_events_without_session_item_or_time_are_dropped():
    frame = log((1, "a", 0), (None, "b", 1), (1, None, 2), (1, "c", None))
    cleaned = clean.drop_incomplete(frame)
    assert left(cleaned) == [(1, "a")]
    assert cleaned.dropped == 3
    assert "session or item or time" in cleaned.why


def test_a_duplicate_equals_another_event_in_every_column():
    frame = sort_events(
        pl.DataFrame(
            {"session": [1, 1, 1, 1], "item": [5, 6, 5, 5], "time": [START] * 4, "type": ["c", "c", "c", "buy"]}
        )
    )
    cleaned = clean.drop_duplicates(frame)
    assert cleaned.log.select("item", "type").rows() == [(5, "c"), (6, "c"), (5, "buy")]
    assert cleaned.dropped == 1


def test_only_the_first_of_consecutive_repeats_stays_and_sessions_do_not_mix():
    cleaned = clean.drop_consecutive_repeats(log((1, 5), (1, 5), (1, 6), (1, 5), (1, 5), (2, 5)))
    assert left(cleaned) == [(1, 5), (1, 6), (1, 5), (2, 5)]


def test_windows_of_time():
    day = 24 * 60
    frame = log((1, 1, 0), (1, 2, day), (1, 3, 2 * day), (1, 4, 3 * day))
    assert left(clean.window(frame, last_days=2.0)) == [(1, 3), (1, 4)]
    since, until = START + timedelta(days=1), START + timedelta(days=3)
    assert left(clean.window(frame, since=since, until=until)) == [(1, 2), (1, 3)]


def test_a_span_beyond_the_calendar_drops_nothing():
    frame = log((1, 1, 0), (1, 2, 60))
    assert left(clean.window(frame, last_days=1e15)) == [(1, 1), (1, 2)]
    assert clean.sessionise(frame, 1e15).log["session"].n_unique() == 1


def test_a_gap_longer_than_the_limit_starts_a_session():
    frame = log((8, 1, 0), (9, 1, 5), (8, 2, 30), (8, 3, 61), (9, 2, 200))
    cleaned = clean.sessionise(frame, 30.0)
    assert cleaned.log.group_by("user", "session").agg("item").sort("session").rows() == [
        (8, 1, [1, 2]),
        (8, 2, [3]),
        (9, 3, [1]),
        (9, 4, [2]),
    ]
    assert cleaned.dropped == 0


def test_sessionising_keeps_the_user_that_is_known():
    frame = log((8, 1, 0), (8, 2, 90)).with_columns(user=pl.lit("ann"))
    assert clean.sessionise(frame, 30.0).log["user"].to_list() == ["ann", "ann"]


def test_long_and_short_sessions_and_rare_items():
    frame = log((1, 5), (2, 5), (2, 6), (3, 5), (3, 6), (3, 7))
    assert left(clean.drop_long_sessions(frame, 2)) == [(1, 5), (2, 5), (2, 6)]
    assert left(clean.drop_short_sessions(frame, 2)) == [(2, 5), (2, 6), (3, 5), (3, 6), (3, 7)]
    assert left(clean.drop_rare_items(frame, 2)) == [(1, 5), (2, 5), (2, 6), (3, 5), (3, 6)]


def test_support_counts_events_but_the_core_counts_distinct_partners():
    frame = log((1, 5), (1, 5), (1, 5), (2, 6), (2, 7), (3, 6), (3, 7))
    assert left(clean.drop_rare_items(frame, 2)) == left(clean.Cleaned(frame, 0, ""))
    assert left(clean.drop_outside_core(frame, 2)) == [(2, 6), (2, 7), (3, 6), (3, 7)]


@given(events=pairs, k=st.integers(1, 4))
def test_the_core_equals_a_naive_loop(events, k):
    kept = list(events)
    while True:
        items, sessions = defaultdict(set), defaultdict(set)
        for session, item in kept:
            items[session].add(item)
            sessions[item].add(session)
        smaller = [(s, i) for s, i in kept if len(items[s]) >= k and len(sessions[i]) >= k]
        if smaller == kept:
            break
        kept = smaller
    frame = pl.DataFrame(events, schema={"session": pl.Int64, "item": pl.Int64}, orient="row")
    assert sorted(left(clean.drop_outside_core(sort_events(frame), k))) == sorted(kept)


def test_the_recent_share_is_cut_at_a_session_boundary_below_the_share():
    # Ends: session 3 first, then 1, then 2. Half of 8 events are 4: session 2 (3 events) fits, session 1 (2) does not.
    frame = log((1, 1, 10), (1, 2, 20), (2, 1, 0), (2, 2, 1), (2, 3, 30), (3, 1, 2), (3, 2, 3), (3, 3, 4))
    assert left(clean.keep_recent(frame, 1 / 2)) == [(2, 1), (2, 2), (2, 3)]
    assert left(clean.keep_recent(frame, 5 / 8)) == [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]
    assert clean.keep_recent(frame, 1 / 4).log.is_empty()


def test_held_out_events_on_unknown_items_go_and_then_short_sessions():
    frame = log((1, 5), (1, 6), (2, 5), (2, 9), (3, 5), (3, 9), (3, 6))
    assert left(clean.keep_known_items(frame, pl.Series([5, 6]), 2)) == [(1, 5), (1, 6), (3, 5), (3, 6)]


STEPS = [
    clean.drop_incomplete,
    clean.drop_consecutive_repeats,
    lambda log: clean.drop_long_sessions(log, 3),
    lambda log: clean.drop_short_sessions(log, 2),
    lambda log: clean.drop_rare_items(log, 2),
    lambda log: clean.drop_outside_core(log, 2),
    lambda log: clean.keep_recent(log, 0.5),
]


@pytest.mark.parametrize("step", STEPS)
@given(events=pairs)
def test_a_step_keeps_rows_in_order_and_reports_what_is_gone(step, events):
    frame = sort_events(pl.DataFrame(events, schema={"session": pl.Int64, "item": pl.Int64}, orient="row"))
    cleaned = step(frame)
    assert cleaned.dropped == frame.height - cleaned.log.height
    rows = set(cleaned.log[ROW].to_list())
    assert cleaned.log.equals(frame.filter(pl.col(ROW).is_in(list(rows))))
    assert (cleaned.log is frame) == (cleaned.dropped == 0)


def test_of_the_events_on_one_item_the_first_or_the_last_stays():
    frame = log((1, 5, 0), (1, 6, 1), (1, 5, 2), (2, 5, 3))
    assert clean.drop_revisits(frame, "first").log["time"].dt.minute().to_list() == [0, 1, 3]
    assert clean.drop_revisits(frame, "last").log["time"].dt.minute().to_list() == [1, 2, 3]
    assert "with a later event of the session" in clean.drop_revisits(frame, "last").why


def test_values_are_kept_by_intervals_and_by_lists():
    ratings, kinds = [1.0, 3.0, 5.0, None, float("nan")], ["see", "buy", "buy", "buy", None]
    frame = log((1, 1, 0), (1, 2, 1), (1, 3, 2), (1, 4, 3), (1, 5, 4)).with_columns(
        pl.Series("rating", ratings), pl.Series("type", kinds)
    )
    assert clean.keep_values(frame, value_interval={"rating": "[3,inf)"}).log["item"].to_list() == [2, 3]
    assert clean.keep_values(frame, value_interval={"rating": "(3,inf)"}).log["item"].to_list() == [3]
    assert clean.keep_values(frame, value_interval={"rating": "[0,1];[5,5]"}).log["item"].to_list() == [1, 3]
    assert clean.keep_values(frame, value_among={"type": ["buy"]}).log["item"].to_list() == [2, 3, 4]
    assert clean.keep_values(frame, value_among={"item": ["2", "5"]}).log["item"].to_list() == [2, 5]
    both = clean.keep_values(frame, value_interval={"rating": "[0,3]"}, value_among={"type": ["buy"]})
    assert both.log["item"].to_list() == [2]
    assert both.why == "events without 'rating' in [0,3] and 'type' among buy"
    second = (START - datetime(1970, 1, 1)).total_seconds()
    assert clean.keep_values(frame, value_interval={"time": f"({second},{second + 120}]"}).log["item"].to_list() == [
        2,
        3,
    ]


@pytest.mark.parametrize("text", ["", "3", "[3,", "[a,b]", "[5,4]", "[1,2,3]", "{1,2}", "[1,2];", "[nan,1]"])
def test_an_interval_that_is_none_is_refused(text):
    with pytest.raises(ParameterError, match="an interval such as"):
        parse_intervals(text)


@given(pairs, st.integers(0, 3), st.integers(3, 9), st.integers(0, 3), st.integers(3, 9))
def test_activity_is_counted_in_rounds_as_recbole_does(events, low, high, item_low, item_high):
    left_over = list(events)
    while True:
        sessions = defaultdict(int)
        items = defaultdict(int)
        for session, item in left_over:
            sessions[session] += 1
            items[item] += 1
        inside = [(s, i) for s, i in left_over if low <= sessions[s] <= high and item_low <= items[i] < item_high]
        if inside == left_over:
            break
        left_over = inside
    cleaned = clean.keep_active(
        log(*events), session_interval=f"[{low},{high}]", item_interval=f"[{item_low},{item_high})"
    )
    assert sorted(left(cleaned)) == sorted(left_over)


def test_one_side_alone_may_be_asked_for():
    frame = log((1, 5), (1, 6), (1, 6), (2, 5))
    assert left(clean.keep_active(frame, session_interval="(1,inf)")) == [(1, 5), (1, 6), (1, 6)]
    assert left(clean.keep_active(frame, item_interval="[0,1];[9,9]")) == []
