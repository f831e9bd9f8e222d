import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.data.batches.session_parallel import SessionParallel
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import EmptyDataError


def sessions(lengths: list[int]) -> Sessions:
    """Sessions whose events are numbered 1, 2, 3, ... through the whole log."""
    items = np.arange(1, sum(lengths) + 1, dtype=np.int32)
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    return Sessions(items, offsets, None, Vocabulary.from_items(pl.Series(items.astype(np.int64))))


def walk(lists: list[list[int]], n_lanes: int) -> list[list[tuple[int, int, bool]]]:
    """The lanes, one event at a time: (input, target, fresh) of each lane that is left."""
    waiting = [one for one in lists if len(one) >= 2]
    lanes = [(waiting.pop(0), 0) for _ in range(min(n_lanes, len(waiting)))]
    steps = []
    while lanes:
        steps.append([(session[at], session[at + 1], at == 0) for session, at in lanes])
        moved = [(session, at + 1) for session, at in lanes]
        lanes = []
        for session, at in moved:
            if at + 1 < len(session):
                lanes.append((session, at))
            elif waiting:
                lanes.append((waiting.pop(0), 0))
    return steps


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=60), n_lanes=st.integers(1, 8))
def test_it_walks_as_lanes_do_one_event_at_a_time(lengths: list[int], n_lanes: int) -> None:
    log = sessions(lengths)
    expected = walk([part.tolist() for part in np.split(log.items, log.offsets[1:-1])], n_lanes)
    if not expected:
        with pytest.raises(EmptyDataError, match="at least 1 must have two events"):
            SessionParallel(log, n_lanes)
        return
    lanes = SessionParallel(log, n_lanes)
    assert lanes.n_steps == len(expected)
    for step, rows in enumerate(expected):
        batch = lanes.batch(step)
        got = list(zip(batch.inputs.tolist(), batch.targets.tolist(), batch.starts.tolist(), strict=True))
        assert got == rows


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(2, 6), min_size=1, max_size=40), n_lanes=st.integers(1, 8))
def test_a_lane_goes_on_where_it_was_or_starts_a_session(lengths: list[int], n_lanes: int) -> None:
    lanes = SessionParallel(sessions(lengths), n_lanes)
    before = lanes.batch(0).targets
    for step in range(1, lanes.n_steps):
        batch = lanes.batch(step)
        before = before if batch.kept is None else before[batch.kept]
        assert len(before) == len(batch.inputs)
        assert (before[~batch.starts] == batch.inputs[~batch.starts]).all()
        before = batch.targets


def test_a_step_does_not_depend_on_what_was_asked_before() -> None:
    lengths = np.random.default_rng(0).integers(2, 30, 400).tolist()
    lanes, again = SessionParallel(sessions(lengths), 7), SessionParallel(sessions(lengths), 7)
    assert lanes.n_steps > 500
    for step in (lanes.n_steps - 1, 300, 0, 128, 127):
        for field in ("inputs", "targets", "starts"):
            np.testing.assert_array_equal(getattr(lanes.batch(step), field), getattr(again.batch(step), field))
    assert (lanes.batch(lanes.n_steps - 1).kept is None) == (again.batch(lanes.n_steps - 1).kept is None)


def test_the_walk_ends_while_enough_lanes_are_left() -> None:
    lanes = SessionParallel(sessions([3, 6]), 2, min_lanes=2)
    assert lanes.n_steps == 2
    assert len(lanes.batch(1).inputs) == 2
    with pytest.raises(EmptyDataError, match="at least 2 must have two events"):
        SessionParallel(sessions([3, 1]), 2, min_lanes=2)
