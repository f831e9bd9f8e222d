"""Statistics worked by hand."""

import json
from datetime import datetime, timedelta

import polars as pl
import pytest

from segue.data.events import sort_events
from segue.data.statistics import count_items, density, density_class, statistics

START = datetime(2024, 1, 1)


@pytest.fixture
def log():
    minutes = [0, 1, 1, 9, 0, 5]
    return sort_events(
        pl.DataFrame(
            {
                "session": ["a", "a", "a", "a", "b", None],
                "item": [3, 3, 5, 3, 9, 9],
                "time": [START + timedelta(minutes=minute) for minute in minutes],
            }
        )
    )


def test_what_is_in_a_log(log):
    numbers = statistics(log)
    assert (numbers.events, numbers.sessions, numbers.items, numbers.users) == (6, 2, 3, None)
    assert (numbers.length_min, numbers.length_median, numbers.length_max) == (1, 1.0, 4)
    assert numbers.length_mean == 2.5
    assert numbers.length_p95 == 4.0
    assert (numbers.consecutive_repeats, numbers.equal_times) == (1, 1)
    # The event without a session is no part of a basket; the two at 00:01 are one.
    assert (numbers.baskets, numbers.basket_mean, numbers.basket_alone) == (4, 5 / 4, 0.0)
    at_once = statistics(log.with_columns(time=pl.col("time").dt.truncate("1h")))
    assert (at_once.baskets, at_once.basket_mean, at_once.basket_alone) == (2, 5 / 2, 1.0)
    assert (numbers.first_time, numbers.last_time) == ("2024-01-01T00:00:00", "2024-01-01T00:09:00")
    assert (numbers.item_min, numbers.item_max) == (3, 9)
    assert numbers.unknown is None


def test_popularity_is_measured_from_even_to_uneven():
    even = statistics(sort_events(pl.DataFrame({"session": [1, 1, 2, 2], "item": ["p", "q", "r", "s"]})))
    assert even.gini == 0.0
    assert even.top_10_percent == 0.25
    # Two items with 3 and 1 events: half the mean absolute difference, 1, over the mean, 2, times n = 2: gini 1/4.
    uneven = statistics(sort_events(pl.DataFrame({"session": [1] * 4, "item": ["p", "p", "p", "q"]})))
    assert uneven.gini == pytest.approx(0.25)
    assert (uneven.support_median, uneven.support_max) == (2.0, 3)
    assert uneven.item_min is None


def test_the_gini_index_equals_its_definition():
    support = [7, 1, 1, 4, 2, 9]
    items = [item for item, events in enumerate(support) for _ in range(events)]
    numbers = statistics(sort_events(pl.DataFrame({"session": [1] * len(items), "item": items})))
    differences = sum(abs(a - b) for a in support for b in support)
    assert numbers.gini == pytest.approx(differences / (2 * len(support) * sum(support)))


@pytest.mark.parametrize(
    ("events", "users", "items", "value", "name"),
    [
        (100, 100, 100, 0.01, "dense"),
        (99, 100, 100, 0.0099, "sparse"),
        (1, 100, 100, 0.0001, "sparse"),
        (1, 100, 101, 1 / 10_100, "very sparse"),
        (30, 5, 3, 2.0, "dense"),
        (0, 0, 0, 0.0, "very sparse"),
    ],
)
def test_density_is_events_per_pair_and_has_a_class(events, users, items, value, name):
    assert density(events, users, items) == pytest.approx(value)
    assert density_class(density(events, users, items)) == name


def test_the_share_of_events_on_unknown_items(log):
    assert statistics(log, training_items=pl.Series([3, 5])).unknown == pytest.approx(1 / 5)
    assert statistics(log, counts=count_items(log), training_items=pl.Series([3, 5, 9])).unknown == 0.0


def test_a_log_without_times_and_one_with_users():
    frame = pl.DataFrame({"session": [1, 2, 3], "item": [1, 1, 1], "user": ["x", "x", "y"]})
    numbers = statistics(sort_events(frame))
    assert (numbers.equal_times, numbers.first_time, numbers.last_time) == (None, None, None)
    assert (numbers.baskets, numbers.basket_mean, numbers.basket_alone) == (None, None, None)
    assert numbers.users == 2


def test_an_empty_log_has_zeros_and_nothing_else_fails(log):
    numbers = statistics(log.clear(), training_items=pl.Series([3]))
    assert (numbers.events, numbers.sessions, numbers.items, numbers.gini, numbers.unknown) == (0, 0, 0, 0.0, 0.0)


def test_the_numbers_are_plain_json(log):
    numbers = statistics(log, training_items=pl.Series([3]))
    assert json.loads(json.dumps(numbers.describe())) == numbers.describe()
