"""Test cases taken apart, by hand."""

import numpy as np
import polars as pl
import pytest

from segue.data.cases import Cases
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.evaluation import slices
from segue.evaluation.slices import Partition, partitions, popularity_bands, slice_problems

HOUR = 3600
MONDAY = 4 * 24 * HOUR


@pytest.fixture(autouse=True)
def _small_parts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "MIN_CASES", 1)


def catalogue(*support: int, **metadata: list) -> Vocabulary:
    return Vocabulary(pl.DataFrame({"item": list(range(1, len(support) + 1)), "support": list(support), **metadata}))


def cases(times: list[int] | None = None, columns: pl.DataFrame | None = None) -> Cases:
    """Session 7 holds items 1 2 3 4, session 9 items 2 1; each event after the first is predicted."""
    items = np.array([1, 2, 3, 4, 2, 1], dtype=np.int32)
    starts, ends = np.array([0, 0, 0, 4]), np.array([1, 2, 3, 5])
    moments = None if times is None else np.array(times)
    prefixes = Prefixes(items, starts, ends, moments, columns)
    return Cases(prefixes, items[ends], np.array([7, 7, 7, 9]))


def named(found: Partition) -> list[str]:
    return [found.labels[member] for member in found.members]


def by_dimension(*arguments) -> dict[str, list[str]]:
    return {one.dimension: named(one) for one in partitions(*arguments)}


def test_length_is_of_the_whole_session_and_position_of_the_predicted_event():
    found = by_dimension(cases(), catalogue(9, 9, 9, 9))
    assert found["session length"] == ["3-4", "3-4", "3-4", "2"]
    assert found["position in the session"] == ["2", "3-4", "3-4", "2"]
    assert len(found) == 2


def test_numbers_are_taken_apart_by_doubling():
    found = slices._doubling("x", np.array([1, 2, 3, 4, 5, 8, 9, 16, 17, 1024, 1025]))
    expected = ["1", "2", "3-4", "3-4", "5-8", "5-8", "9-16", "9-16", "17-32", "513-1024", "1025-2048"]
    assert named(found) == expected


def test_what_tells_nothing_new_is_left_out():
    # With the last event of each session alone, its position is the length of the session.
    last = cases()[np.array([2, 3])]
    assert list(by_dimension(last, catalogue(9, 9, 9, 9))) == ["session length"]


def test_bands_of_popularity_by_hand():
    # 100 events: the first 20 are of the item with 30, the last 20 of the five items with 5.
    support = np.array([0, 5, 30, 5, 20, 5, 25, 5, 5])
    assert popularity_bands(support).tolist()[1:] == [2, 0, 2, 1, 2, 1, 2, 2]
    # Equally popular items are in one band, whatever it holds then.
    assert popularity_bands(np.array([0, 7, 7, 7])).tolist()[1:] == [0, 0, 0]
    assert popularity_bands(np.array([0, 9, 1])).tolist()[1:] == [0, 2]


def test_targets_are_told_apart_by_their_popularity():
    found = by_dimension(cases(), catalogue(60, 25, 18, 4))
    assert found["popularity of the target"] == ["middle", "tail", "tail", "head"]
    assert found["training events of the target"] == ["5 or more", "5 or more", "fewer than 5", "5 or more"]


def test_times_are_those_of_the_last_known_event():
    times = [MONDAY, MONDAY + 7 * HOUR, MONDAY + 30 * HOUR, 0, MONDAY + 23 * HOUR, 0]
    found = by_dimension(cases(times), catalogue(9, 9, 9, 9), ["weekday", "day"])
    assert found["time of day of the last event (UTC)"] == ["00:00-05:59", "06:00-11:59", "06:00-11:59", "18:00-23:59"]
    assert found["weekday of the last event"] == ["Monday", "Monday", "Tuesday", "Monday"]
    # Days tell these cases apart as weekdays do.
    assert "day of the last event" not in found
    days = by_dimension(cases([0, 86_400 * 9, 86_400 * 20, 0, 0, 0]), catalogue(9, 9, 9, 9), ["day"])
    assert days["day of the last event"] == [
        "1970-01-01 to 1970-01-03",
        "1970-01-10 to 1970-01-12",
        "1970-01-19 to 1970-01-21",
        "1970-01-01 to 1970-01-03",
    ]


def test_columns_of_the_items_are_those_of_the_target_and_of_the_log_those_of_the_last_event():
    log = pl.DataFrame({"device": ["phone", "phone", None, "x", "desk", "x"], "basket": [True] * 6})
    vocabulary = catalogue(9, 9, 9, 9, category=["a", "b", "a", None])
    found = by_dimension(cases(columns=log), vocabulary, ["category", "device", "basket"])
    assert found["category of the target"] == ["b", "a", "not known", "a"]
    assert found["device of the last event"] == ["phone", "phone", "not known", "desk"]
    assert "basket of the last event" not in found


def test_rare_values_are_put_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slices, "MIN_CASES", 3)
    found = slices._values("x", pl.Series(["b"] * 3 + ["a"] * 4 + ["c"] * 2 + ["d"]))
    assert named(found) == ["b"] * 3 + ["a"] * 4 + ["other"] * 3
    assert found.labels == ("a", "b", "other")
    assert slices._values("x", pl.Series(["b"] * 3 + ["c"] * 2)).labels == ("b", "other (few cases)")
    many = slices._values("x", pl.Series([str(number) for number in range(12) for _ in range(20 - number)]))
    assert many.labels == (*map(str, range(9)), "other")


def test_small_neighbours_are_joined_and_none_is_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slices, "MIN_CASES", 3)
    found = slices._doubling("x", np.array([2, 2, 3, 4, 9, 9, 9, 40]))
    assert found.labels == ("2-4", "9-64")
    assert named(found) == ["2-4"] * 4 + ["9-64"] * 4
    assert slices._doubling("x", np.array([2, 40])).labels == ("2-64",)
    assert slices._doubling("x", np.array([2, 2, 2])).labels == ("2",)


def test_several_targets_leave_out_what_needs_one():
    one = cases([0, 0, 30_000, 0, 0, 0])
    several = Cases(
        one.prefixes[1:], np.array([3, 4, 1, 4], dtype=np.int32), one.groups[1:], offsets=np.array([0, 2, 3, 4])
    )
    vocabulary = catalogue(60, 20, 15, 4, category=["a", "b", "a", None])
    found = by_dimension(several, vocabulary, ["category"])
    # The position tells these cases apart as the length does; popularity and category are those of one target.
    assert found == {
        "session length": ["3-4", "3-4", "2"],
        "time of day of the last event (UTC)": ["00:00-05:59", "06:00-11:59", "00:00-05:59"],
    }


def test_what_cannot_be_told_apart_is_refused_by_name():
    columns = pl.DataFrame({"device": ["a", "b"], "price": [0.5, 1.0]})
    train = Sessions(
        np.array([1, 2], dtype=np.int32), np.array([0, 2]), None, catalogue(1, 1, kind=["x", "y"]), columns
    )
    assert list(slice_problems(["device", "kind", "length"], train)) == []
    hour, price, colour = slice_problems(["hour", "price", "colour"], train)
    assert hour == "'hour' needs a log with times and this one has none; leave it out"
    assert price == "'price' must be a column of text, integers or booleans, got Float64; leave it out"
    assert colour.startswith(
        "'colour' must be length, position, popularity, support, hour, weekday, day or a column of"
    )
    assert colour.endswith("there are: 'device', 'price', 'kind'")
