"""Splits on logs worked by hand, and what must contain on every log."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.data.events import ROW, sort_events
from segue.protocols import holdout as split
from segue.rng import generator

START = datetime(2024, 1, 1)
MINUTE, DAY = 1, 24 * 60

events = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(0, 5 * DAY)), min_size=1, max_size=40)


def log(rows):
    """An ordered log from (session, item, minutes)."""
    frame = pl.DataFrame(rows, schema={"session": pl.Int64, "item": pl.Int64, "time": pl.Int64}, orient="row")
    return sort_events(frame.with_columns(time=pl.lit(START).dt.cast_time_unit("us") + pl.duration(minutes="time")))


def sessions(frame):
    return sorted(set(frame["session"].to_list()))


def test_the_last_day_is_the_24_hours_before_the_last_event():
    frame = log([(1, 1, 0), (1, 2, 2 * DAY), (2, 1, DAY - 1), (3, 1, DAY), (4, 1, DAY - 5), (4, 2, 3 * DAY // 2)])
    apart = split.last_days(frame, 1.0)
    assert sessions(apart.holdout) == [1, 3, 4]
    assert sessions(apart.train) == [2]


def test_no_days_hold_out_nothing():
    frame = log([(1, 1, 0), (2, 1, 5)])
    assert split.last_days(frame, 0.0).holdout.is_empty()


def test_the_last_share_counts_sessions_by_their_end():
    frame = log([(1, 1, 0), (1, 1, 50), (2, 1, 10), (3, 1, 20), (4, 1, 30)])
    assert sessions(split.last_share(frame, 0.5).holdout) == [1, 4]
    assert sessions(split.last_share(frame, 0.26).holdout) == [1, 4]
    assert split.last_share(frame, 0.0).holdout.is_empty()
    assert split.last_share(log([(s, 1, s) for s in range(100)]), 0.07).holdout.height == 7


def test_the_last_event_of_a_session_that_is_long_enough():
    frame = log([(1, 1, 0), (1, 2, 7), (1, 3, 7), (2, 4, 0), (2, 5, 1), (3, 6, 0)])
    assert split.last_event(frame, 3).holdout["item"].to_list() == [3]
    assert split.last_event(frame, 2).holdout["item"].to_list() == [3, 5]
    assert split.last_event(frame, 2, among=pl.Series([2, 3])).holdout["item"].to_list() == [5]


def test_the_last_basket_of_a_session_that_has_enough_of_them():
    frame = log([(1, 1, 0), (1, 2, 7), (1, 3, 7), (2, 4, 0), (2, 5, 1), (2, 6, 2), (3, 7, 2), (3, 8, 2)])
    assert split.last_basket(frame, 3).holdout["item"].to_list() == [6]
    assert split.last_basket(frame, 2).holdout["item"].to_list() == [2, 3, 6]
    assert split.last_basket(frame, 2, among=pl.Series([1, 3])).holdout["item"].to_list() == [2, 3]
    in_one_second = frame.with_columns(time=pl.col("time") + pl.duration(milliseconds=pl.col("item")))
    assert split.last_basket(in_one_second, 2).holdout["item"].to_list() == [2, 3, 6]


def test_any_event_may_be_left_out_as_likely_as_the_last():
    frame = log([(user, event, event) for user in range(1000) for event in range(4)] + [(1000, 0, 0)])
    held = split.last_event(frame, 2, rng=generator(0, "test")).holdout
    assert held["session"].to_list() == list(range(1000))
    counts = held["item"].value_counts().sort("item")["count"]
    assert counts.min() > 180  # 5 standard deviations of 13.7 around 250 would be 181.5
    assert counts.max() < 320
    assert held.equals(split.last_event(frame, 2, rng=generator(0, "test")).holdout)


def test_one_moment_for_everyone():
    frame = log([(1, 1, 0), (1, 2, 10), (2, 3, 10), (2, 4, 20)])
    apart = split.from_moment(frame, START + timedelta(minutes=10))
    assert apart.train["item"].to_list() == [1]
    assert apart.holdout["item"].to_list() == [2, 3, 4]
    assert split.from_moment(frame, None).holdout.is_empty()


def test_a_given_part():
    frame = log([(1, 1, 0), (2, 2, 0), (3, 3, 0)]).with_columns(part=pl.Series(["train", "test", "valid"]))
    assert split.given(frame, "test").holdout["item"].to_list() == [2]
    assert split.given(frame, "test").train["item"].to_list() == [1, 3]


def test_whether_sessions_go_on_in_another_part():
    first, second, third = log([(1, 1, 0)]), log([(1, 2, 5), (2, 2, 5)]), log([(3, 1, 0)])
    assert split.continues(first, second)
    assert not split.continues(third, second)


def test_the_last_share_of_the_events_begins_at_one_moment():
    frame = log([(1, 1, 0), (1, 2, 10), (2, 3, 20), (2, 4, 20), (3, 5, 30)])
    assert split.last_events(frame, 0.2).holdout["item"].to_list() == [5]
    assert split.last_events(frame, 0.4).holdout["item"].to_list() == [3, 4, 5]
    assert split.last_events(frame, 0.0).holdout.is_empty()


def recboles_sizes(total, ratios):
    """The rule for one group, one step after the other."""
    shares = [ratio / sum(ratios) for ratio in ratios]
    sizes = [int(share * total + 1e-9) for share in shares]
    sizes[0] = total - sizes[1] - sizes[2]
    for part in (2, 1):
        if sizes[0] <= 1:
            break
        if 0 < shares[part] * total < 1 - 1e-9:
            sizes[part] += 1
            sizes[0] -= 1
    return sizes


@given(
    totals=st.lists(st.integers(1, 200), min_size=1, max_size=20),
    ratios=st.sampled_from([(0.8, 0.1, 0.1), (8.0, 1.0, 1.0), (8.0, 0.0, 2.0), (1.0, 1.0, 1.0), (90.0, 5.0, 5.0)]),
)
def test_the_sizes_of_shares_follow_the_rule_one_group_at_a_time(totals, ratios):
    valid, test = split.share_sizes(np.array(totals), ratios)
    assert [[total - v - t, v, t] for total, v, t in zip(totals, valid.tolist(), test.tolist(), strict=True)] == [
        recboles_sizes(total, ratios) for total in totals
    ]


def half(sizes):
    return sizes // 2


def test_a_share_of_the_events_of_each_user_or_of_all():
    frame = log([(1, 1, 0), (1, 2, 10), (1, 3, 99), (1, 4, 100), (2, 5, 20), (2, 6, 30)])
    assert split.share_of_events(frame, half, "user", None).holdout["item"].to_list() == [3, 4, 6]
    assert split.share_of_events(frame, half, "none", None).holdout["item"].to_list() == [3, 4, 6]
    assert split.share_of_events(frame, lambda sizes: sizes - 1, "none", None).train["item"].to_list() == [1]
    untimed = sort_events(pl.DataFrame({"session": [2, 1, 1, 2], "item": [1, 2, 3, 4]}))
    assert split.share_of_events(untimed, half, "none", None).holdout["item"].to_list() == [3, 4]


def test_a_random_share_is_fair_and_repeats_itself():
    frame = log([(user, event, event) for user in range(400) for event in range(10)])
    one, other = (split.share_of_events(frame, half, "user", generator(0, "test")).holdout for _ in range(2))
    assert one.equals(other)
    assert one.group_by("session").len()["len"].to_list() == [5] * 400
    shares = one["item"].value_counts().sort("item")["count"] / 400
    assert shares.min() > 0.4  # 5 standard deviations of 0.025 around 0.5 would be 0.375
    assert shares.max() < 0.6
    assert not one.equals(split.share_of_events(frame, half, "user", generator(1, "test")).holdout)
    of_all = split.share_of_events(frame, half, "none", generator(0, "test")).holdout
    assert of_all.height == 2000
    assert of_all.group_by("session").len()["len"].n_unique() > 1


RULES = [
    lambda log: split.last_days(log, 1.0),
    lambda log: split.last_share(log, 0.3),
    lambda log: split.last_event(log, 2),
    lambda log: split.from_moment(log, START + timedelta(days=2)),
    lambda log: split.last_events(log, 0.3),
    lambda log: split.share_of_events(log, half, "user", None),
    lambda log: split.share_of_events(log, half, "none", None),
]


@pytest.mark.parametrize("rule", RULES)
@given(rows=events)
def test_every_event_ends_in_exactly_one_part(rule, rows):
    frame = log(rows)
    apart = rule(frame)
    assert sorted(apart.train[ROW].to_list() + apart.holdout[ROW].to_list()) == frame[ROW].sort().to_list()
    for part in (apart.train, apart.holdout):
        assert part.equals(frame.filter(pl.col(ROW).is_in(part[ROW].to_list())))


@pytest.mark.parametrize("rule", RULES[:2])
@given(rows=events)
def test_no_held_out_session_ends_before_a_training_session(rule, rows):
    apart = rule(log(rows))
    kept, held = (part.group_by("session").agg(pl.col("time").max())["time"] for part in (apart.train, apart.holdout))
    assert set(apart.train["session"]).isdisjoint(set(apart.holdout["session"]))
    if len(kept) and len(held):
        assert held.min() >= kept.max()


@pytest.mark.parametrize("rule", RULES[2:])
@given(rows=events)
def test_no_held_out_event_lies_before_a_training_event_of_its_session(rule, rows):
    apart = rule(log(rows))
    ends = apart.train.group_by("session").agg(end=pl.col("time").max())
    both = apart.holdout.join(ends, on="session")
    assert (both["time"] >= both["end"]).all()
