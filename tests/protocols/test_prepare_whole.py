"""Logs that are cleaned for a model that learns from all of them."""

import pytest
from test_prepare import DAY, SHOP, decoded, log

from segue.data.fingerprint import fingerprint
from segue.errors import EmptyDataError, ParameterError
from segue.protocols.prepare import prepare, prepare_whole
from segue.protocols.protocol import Protocol


def test_nothing_is_held_out_and_all_items_that_survive_are_the_catalogue():
    events = log(SHOP)
    whole = prepare_whole(events, Protocol.named("session-next", {"cleaning": {"min_support": 1}}))
    assert decoded(whole.train) == [
        ["a", "b"],
        ["a", "b", "rare"],
        ["b", "a", "new"],
        ["a", "b", "rare", "a"],
    ]
    assert whole.train.vocabulary.table.to_dicts() == [
        {"item": "a", "support": 5},
        {"item": "b", "support": 4},
        {"item": "new", "support": 1},
        {"item": "rare", "support": 2},
    ]
    assert whole.fingerprint == fingerprint(events.frame)
    assert {stage.part for stage in whole.stages} == {"log"}
    assert [stage.step for stage in whole.stages] == ["read", "min-length"]


def test_steps_that_act_on_training_sessions_act_on_all_in_the_order_of_the_protocol():
    held_out = ("hold-out-test", "known-items", "recent-share", "hold-out-valid")
    protocol = Protocol(
        cleaning={
            "order": ("incomplete", *held_out, "min-support", "min-length"),
            "recent_share": 0.6,
            "min_support": 2,
            "min_length": 2,
        }
    )
    # The last three sessions have 8 of 14 events; "new" has one of them.
    assert decoded(prepare_whole(log(SHOP), protocol).train) == [["b", "a"], ["a", "b", "rare", "a"]]
    assert [stage.step for stage in prepare_whole(log(SHOP), protocol).stages] == [
        "read",
        "recent-share",
        "min-support",
        "min-length",
    ]


@pytest.mark.parametrize("unit", ["session", "user"])
def test_a_split_of_the_log_itself_is_not_used(unit: str):
    parts = ["train"] * 9 + ["test"] * 5
    events = log(SHOP, unit, part=parts)
    whole = prepare_whole(events, Protocol.named("session-next", {"split": "given", "cleaning": {"min_support": 1}}))
    assert len(whole.train.items) == 12
    assert "new" in whole.train.vocabulary.ids.to_list()
    assert len(prepare(events, "session-next").train.items) < 12


def test_a_log_needs_only_what_the_cleaning_reads():
    untimed = log(SHOP)
    untimed = type(untimed)(untimed.frame.drop("time"))
    assert len(prepare_whole(untimed, Protocol.named("global-time", {"cleaning": {"min_support": 1}})).train) == 4
    mistakes = Protocol.named(
        "session-next", {"cleaning": {"session_gap": 30, "last_days": 7, "value_among": {"type": ["buy"]}}}
    )
    with pytest.raises(ParameterError) as caught:
        prepare_whole(untimed, mistakes)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "protocol.cleaning.last_days",
        "protocol.cleaning.session_gap",
        "protocol.cleaning.value_among",
    ]


def test_a_log_of_which_nothing_is_left_is_refused():
    with pytest.raises(EmptyDataError, match="step 'min-support' dropped all"):
        prepare_whole(log(SHOP), Protocol(cleaning={"min_support": 99}))
    with pytest.raises(EmptyDataError, match="the log contains no event"):
        prepare_whole(type(log(SHOP))(log(SHOP).frame.clear()), Protocol())


def test_the_cleaning_is_that_of_the_run():
    rows = [(session, item, session * DAY + minute) for session in range(6) for minute, item in enumerate("aab" * 2)]
    events = log(rows)
    protocol = Protocol.named(
        "session-next", {"cleaning": {"drop_consecutive_repeats": True, "min_support": 1, "revisits": "first"}}
    )
    whole, data = prepare_whole(events, protocol), prepare(events, protocol)
    held = decoded(whole.train)[len(data.train) :]
    assert decoded(whole.train)[: len(data.train)] == decoded(data.train)
    assert held == [["a", "b"]] * (6 - len(data.train))
    assert len(held) >= 2
