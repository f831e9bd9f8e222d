"""From ordered logs to arrays."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from segue.data.events import sort_events
from segue.data.vocabulary import Vocabulary
from segue.protocols.cases import count_seen_targets, encode, encode_cases

START = datetime(1970, 1, 1)


def log(*rows):
    """An ordered log from (session, item, seconds)."""
    frame = pl.DataFrame(rows, schema=["session", "item", "time"], orient="row")
    return sort_events(frame.with_columns(time=pl.lit(START).dt.cast_time_unit("us") + pl.duration(seconds="time")))


def listed(cases):
    """Each case as (items before, target)."""
    prefixes = cases.prefixes
    return [
        (prefixes.items[start:end].tolist(), int(target))
        for start, end, target in zip(prefixes.starts, prefixes.ends, cases.targets, strict=True)
    ]


@pytest.fixture
def vocabulary():
    """Items a, b, c, d are 1, 2, 3, 4."""
    return Vocabulary.from_items(pl.Series(list("abcd")))


def test_sessions_come_by_their_last_known_event_and_unknown_items_are_left_out(vocabulary):
    frame = log((1, "a", 0), (1, "b", 9), (2, "x", 3), (2, "c", 4), (3, "x", 1), (4, "d", 2), (4, "x", 20))
    sessions, rows = encode(frame, vocabulary)
    assert sessions.items.tolist() == [4, 3, 1, 2]
    assert sessions.offsets.tolist() == [0, 1, 2, 4]
    assert sessions.times.tolist() == [2, 4, 0, 9]
    assert frame["item"].gather(rows).to_list() == ["d", "c", "a", "b"]


def test_a_log_without_times_has_none(vocabulary):
    sessions, _ = encode(log((2, "a", 0), (1, "b", 1)).drop("time"), vocabulary)
    assert sessions.times is None
    assert sessions.items.tolist() == [1, 2]


def test_further_columns_go_with_their_events(vocabulary):
    frame = log((1, "a", 0), (1, "b", 9), (2, "x", 3), (2, "c", 4)).with_columns(shop=pl.Series(list("pqrs")))
    sessions, _ = encode(frame, vocabulary)
    assert sessions.items.tolist() == [3, 1, 2]
    assert sessions.columns.to_dict(as_series=False) == {"shop": ["s", "p", "q"]}
    assert encode(frame.drop("shop"), vocabulary)[0].columns is None
    later, _ = encode_cases(
        frame.with_columns(shop=pl.lit("z"), time=pl.col("time").dt.offset_by("1h")), [frame], vocabulary
    )
    last = later.prefixes[-1:].tail(2)
    assert (last.items.tolist(), last.columns["shop"].to_list()) == ([2, 1], ["q", "z"])
    assert sessions.reverse().columns["shop"].to_list() == ["s", "q", "p"]


def test_every_held_out_event_is_predicted_from_all_before_it(vocabulary):
    held = log((1, "a", 0), (1, "b", 1), (1, "x", 2), (1, "c", 3), (2, "d", 5))
    cases, left = encode_cases(held, [], vocabulary)
    assert listed(cases) == [([1], 2), ([1, 2], 3)]
    assert cases.groups.tolist() == [0, 0]
    assert left.select("session", "item").rows() == [(1, "a"), (1, "b"), (1, "c")]


def test_what_a_session_holds_earlier_is_fed_but_not_predicted(vocabulary):
    train = log((1, "a", 0), (1, "b", 1), (2, "c", 0))
    valid = log((1, "c", 2), (2, "a", 3))
    test = log((1, "d", 4), (3, "a", 4))
    cases, left = encode_cases(test, [train, valid], vocabulary, exclude_seen=True)
    assert listed(cases) == [([1, 2, 3], 4)]
    assert cases.exclude_seen
    assert left["item"].to_list() == ["d"]
    assert listed(encode_cases(test, [train], vocabulary)[0]) == [([1, 2], 4)]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("every-next", [([1], 2), ([1, 2], 3), ([4], 1), ([4, 1], 1)]),
        ("first", [([1], 2), ([4], 1)]),
        ("last", [([1, 2], 3), ([4, 1], 1)]),
    ],
)
def test_which_events_are_predicted(vocabulary, which, expected):
    held = log((1, "a", 0), (1, "b", 1), (1, "c", 2), (2, "d", 3), (2, "a", 4), (2, "a", 5))
    assert listed(encode_cases(held, [], vocabulary, targets=which)[0]) == expected


def test_targets_that_were_seen_before_are_counted(vocabulary):
    held = log((0, "a", 0), (1, "a", 1), (1, "b", 2), (1, "a", 3), (1, "a", 4), (2, "d", 9), (2, "b", 9))
    cases, _ = encode_cases(held, [], vocabulary)
    assert count_seen_targets(cases) == 2


def test_all_that_is_held_out_together_is_one_case(vocabulary):
    train = log((1, "a", 0), (1, "b", 1), (2, "c", 2), (3, "x", 3))
    held = log((1, "c", 9), (1, "d", 8), (1, "c", 7), (1, "x", 6), (1, "a", 10), (2, "c", 5), (3, "a", 4), (4, "b", 5))
    cases, left = encode_cases(held, [train], vocabulary, targets="together", exclude_seen=True)
    spans = zip(cases.prefixes.starts, cases.prefixes.ends, strict=True)
    assert [cases.prefixes.items[start:end].tolist() for start, end in spans] == [[3], [1, 2]]
    assert cases.padded_targets().tolist() == [[3, 0, 0], [3, 4, 1]]
    assert cases.offsets.tolist() == [0, 1, 4]
    assert cases.counts.tolist() == [1, 3]
    assert count_seen_targets(cases) == 2
    # Items of which training knows nothing are no targets; users without a known past (3 and 4) have no case.
    assert sorted(left["item"].to_list()) == ["a", "c", "c", "c", "d"]
    picked = cases[np.array([1])]
    assert (len(picked), picked.padded_targets().tolist(), picked.offsets.tolist()) == (1, [[3, 4, 1]], [0, 3])
    assert cases[1:].padded_targets().tolist() == picked.padded_targets().tolist()


def test_the_last_basket_is_predicted_from_all_before_it(vocabulary):
    train = log((1, "a", 0), (3, "c", 9))
    held = log(
        *[(1, "b", 5), (1, "c", 7), (1, "x", 7), (1, "d", 7), (1, "c", 7)],  # x is unknown, c is in the basket twice
        *[(2, "a", 3), (2, "b", 3)],  # all of it is one basket, so that nothing comes before
        *[(3, "a", 9), (3, "b", 9)],  # training holds a part of the basket
    )
    cases, left = encode_cases(held, [train], vocabulary, targets="next-basket")
    spans = zip(cases.prefixes.starts, cases.prefixes.ends, strict=True)
    assert [cases.prefixes.items[start:end].tolist() for start, end in spans] == [[1, 2], [3]]
    assert cases.padded_targets().tolist() == [[3, 4], [1, 2]]
    assert left["item"].to_list() == ["b", "c", "d", "c", "a", "b"]
    new, _ = encode_cases(held, [train], vocabulary, targets="next-basket", repeat_targets=False)
    assert new.padded_targets().tolist() == [[3, 4], [1, 2]]


def test_labels_go_with_the_targets(vocabulary):
    train = log((1, "a", 0), (2, "b", 1)).with_columns(rating=pl.lit(5.0))
    held = log((1, "b", 5), (1, "x", 6), (1, "c", 7), (2, "d", 8), (2, "a", 9)).with_columns(
        rating=pl.Series([1.0, 2.0, 3.0, None, 4.0])
    )
    cases, _ = encode_cases(held, [train], vocabulary, label="rating")
    assert listed(cases) == [([1], 2), ([1, 2], 3), ([2], 1)]
    assert cases.labels.tolist() == [1, 3, 4]
    assert cases[1:].labels.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("which", "targets"), [("every-next", [3, 4]), ("first", [3]), ("last", [4]), ("together", [3, 4])]
)
def test_repeats_are_no_targets_if_told_so(vocabulary, which, targets):
    train, held = log((1, "a", 0), (1, "b", 1)), log((1, "b", 2), (1, "c", 3), (1, "d", 4), (1, "c", 5), (1, "a", 6))
    cases, _ = encode_cases(held, [train], vocabulary, targets=which, repeat_targets=False)
    assert cases.targets.tolist() == targets
    # What is no target is still seen, but not by a case of all targets together.
    lengths = {"every-next": [3, 4], "first": [3], "last": [4], "together": [2]}
    assert cases.prefixes.lengths.tolist() == lengths[which]
