"""Events that were logged twice: what is said of them, and what the option drops."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.data.events import Events, sort_events
from segue.protocols.cleaning_steps import count_duplicates, drop_duplicates
from segue.protocols.prepare import prepare

OPTION = "--set protocol.cleaning.drop_duplicates=true"


def log(*again, **columns):
    """40 histories of 25 events, one a minute, and the rows ``again`` once more."""
    rows = [*range(1000), *again]
    frame = pl.DataFrame(
        {
            "session": [row // 25 for row in rows],
            "item": [row % 7 for row in rows],
            "time": [datetime(2024, 1, 1) + timedelta(minutes=row) for row in rows],
        }
    )
    return frame.with_columns(**columns)


def notes(frame, protocol=None, **cleaning):
    data = prepare(Events(frame, unit="user"), protocol, cleaning=cleaning)
    return [note for note in data.notes if "repeat the" in note]


def test_duplicates_are_counted_and_the_option_drops_them():
    frame = log(3, 3, 700)
    (note,) = notes(frame)
    assert note == (
        "3 events (0.3%) repeat the user, item and time of another event, all of them in every column; if they were "
        f"logged twice, drop these with {OPTION}"
    )
    data = prepare(Events(frame, unit="user"), cleaning={"drop_duplicates": True})
    assert [stage.dropped for stage in data.stages if stage.step == "duplicates"] == [3]
    assert not notes(frame, drop_duplicates=True)


def test_events_that_differ_in_a_column_are_counted_apart():
    kind = pl.Series(["view"] * 1000 + ["view", "cart", "view"])
    (note,) = notes(log(3, 4, 700, kind=kind))
    assert "3 events (0.3%) repeat the user, item and time of another event, 2 of them in every column" in note
    assert not notes(log(3, 4, 700, kind=pl.int_range(pl.len())))


@pytest.mark.parametrize("frame", [log(), log(3, 700).drop("time")])
def test_nothing_is_said_without_duplicates_or_times(frame):
    assert not notes(frame)


def test_few_duplicates_are_not_worth_a_note():
    several = pl.concat([log(3), log().with_columns(pl.col("session") + 40)])
    assert not notes(several)
    assert notes(pl.concat([several, log()[:2]]))


def test_a_protocol_without_the_step_is_told_to_add_it():
    (note,) = notes(log(3, 700), order=("incomplete", "k-core", "hold-out-test", "hold-out-valid"))
    assert note.endswith(f"{OPTION}, with the step 'duplicates' in protocol.cleaning.order")


def test_a_visit_and_its_parts_are_different_sessions():
    frame = log(*range(1000)).with_columns(part=pl.Series(["train"] * 1000 + ["test"] * 1000))
    assert not [note for note in prepare(Events(frame)).notes if "repeat the" in note]


@given(rows=st.lists(st.tuples(st.sampled_from([1, 2, None]), st.integers(1, 2), st.integers(0, 3), st.integers(0, 1))))
def test_the_counts_equal_those_of_the_step(rows):
    frame = pl.DataFrame(rows, schema=["session", "item", "time", "price"], orient="row").with_columns(
        pl.col("session").cast(pl.Int64), pl.col("item").cast(pl.Int64), pl.col("time").cast(pl.Datetime("us"))
    )
    found = count_duplicates(sort_events(frame))
    complete = frame.drop_nulls()
    assert found["equal"] == drop_duplicates(sort_events(complete)).dropped
    assert found["repeats"] == complete.height - complete.select("session", "item", "time").n_unique()
