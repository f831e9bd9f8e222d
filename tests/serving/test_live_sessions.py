"""Order, bounds and repeated deliveries of the events of a session, against a naive version."""

from hypothesis import given
from hypothesis import strategies as st
from store_kinds import event

from segue.serving import sessions
from segue.serving.sessions import Session


def test_late_events_go_to_their_place_and_equal_times_keep_their_order() -> None:
    session = Session()
    session.add_all([event(20, "b"), event(10, "a"), event(20, "c"), event(15, "x")])
    assert [one.item for one in session.events] == ["a", "x", "b", "c"]


def test_the_same_id_is_a_duplicate_or_a_conflict() -> None:
    session = Session()
    statuses = session.add_all([event(1, "a", "1"), event(1, "a", "1"), event(2, "a", "1"), event(1, "a")])
    assert statuses == ["accepted", "duplicate", "conflict", "accepted"]


def test_a_very_late_event_pushes_out_no_newer_one(monkeypatch) -> None:
    monkeypatch.setattr(sessions, "MAX_EVENTS", 2)
    session = Session()
    assert session.add_all([event(5), event(6), event(1, "late", "7")]) == ["accepted"] * 3
    assert [one.time for one in session.events] == [5, 6]
    assert session.add(event(1, "late", "7")) == "duplicate"


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 6), st.sampled_from("ab")), max_size=30))
def test_sessions_equal_the_naive_version(said) -> None:
    events = [event(time, item, None if number is None else str(number)) for time, number, item in said]
    before = sessions.MAX_EVENTS, sessions.MAX_EVENT_IDS
    sessions.MAX_EVENTS, sessions.MAX_EVENT_IDS = 4, 3
    try:
        session = Session()
        statuses = session.add_all(events)
    finally:
        sessions.MAX_EVENTS, sessions.MAX_EVENT_IDS = before
    kept, ids, expected = [], [], []
    for one in events:
        known = dict(ids[-3:])
        if one.event_id in known:
            expected.append("duplicate" if known[one.event_id] == one.digest else "conflict")
            continue
        ids += [] if one.event_id is None else [(one.event_id, one.digest)]
        kept.append(one)
        expected.append("accepted")
    assert statuses == expected
    assert session.events == sorted(kept, key=lambda one: one.time)[-4:]
