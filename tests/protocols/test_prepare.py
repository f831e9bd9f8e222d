"""From raw logs to data sets: worked by hand, on random logs, and on real ones."""

import inspect
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from segue.data.events import Events
from segue.data.readers.read import read
from segue.errors import EmptyDataError, ParameterError
from segue.evaluation.linter import lint
from segue.evaluation.measure import evaluate
from segue.models.markov import Markov
from segue.models.popularity import Popularity
from segue.protocols.prepare import prepare
from segue.protocols.protocol import Protocol

START = datetime(2024, 1, 1)
EPOCH = int(START.replace(tzinfo=UTC).timestamp())
DAY = 24 * 60


def log(rows, unit="session", **columns):
    """Events from (session, item, minutes)."""
    frame = pl.DataFrame(rows, schema=["session", "item", "time"], orient="row")
    frame = frame.with_columns(time=pl.lit(START).dt.cast_time_unit("us") + pl.duration(minutes="time"))
    return Events(frame.with_columns(**{name: pl.Series(values) for name, values in columns.items()}), unit=unit)


def decoded(sessions):
    """The raw items of each session."""
    raw = sessions.vocabulary.decode(sessions.items)
    return [raw[start:end] for start, end in zip(sessions.offsets, sessions.offsets[1:], strict=False)]


def listed(cases, vocabulary):
    """Each case as (raw items before, raw target)."""
    prefixes = cases.prefixes
    raw = vocabulary.decode(prefixes.items)
    spans = zip(prefixes.starts, prefixes.ends, vocabulary.decode(cases.targets), strict=True)
    return [(raw[start:end], target) for start, end, target in spans]


SHOP = [
    *[(1, "a", 0), (1, "b", 1), (2, "a", 2), (2, "b", 3), (2, "rare", 4), (3, "a", 5)],
    *[(4, "b", DAY + 10), (4, "a", DAY + 11), (4, "new", DAY + 12)],
    *[(5, "a", 2 * DAY + 20), (5, "b", 2 * DAY + 21), (5, "rare", 2 * DAY + 22), (5, "a", 2 * DAY + 23)],
    (6, "rare", 2 * DAY + 24),
]


def test_what_is_no_log_and_no_data_set_is_refused_with_the_remedy():
    # Users have no checks of types, which would be first here.
    preparing, evaluating = inspect.unwrap(prepare), inspect.unwrap(evaluate)
    with pytest.raises(ParameterError, match=r"events: must be a log, got str; read it first: segue\.read"):
        preparing("clicks.csv")
    with pytest.raises(ParameterError, match="scorer: must be a model, got str"):
        evaluating("m", None)
    with pytest.raises(ParameterError, match=r"data: must be a Dataset, got str"):
        evaluating(Popularity().fit(prepare(log(SHOP), cleaning={"min_support": 2}).train), "clicks.csv")


def test_session_next_by_hand():
    data = prepare(log(SHOP), cleaning={"min_support": 2})
    assert data.protocol.name == "session-next"
    assert decoded(data.train) == [["a", "b"], ["a", "b"]]
    assert listed(data.valid, data.vocabulary) == [(["b"], "a")]
    assert listed(data.test, data.vocabulary) == [(["a"], "b"), (["a", "b"], "a")]
    assert data.vocabulary.table.rows() == [("a", 2), ("b", 2)]
    assert not data.test.exclude_seen


def test_the_stages_say_what_each_step_left():
    data = prepare(log(SHOP), cleaning={"min_support": 2})
    stages = [(stage.step, stage.part, stage.dropped, stage.statistics.events) for stage in data.stages]
    assert stages == [
        ("read", "log", 0, 14),
        ("hold-out-test", "train", 0, 9),
        ("hold-out-test", "test", 0, 5),
        ("hold-out-valid", "train", 0, 6),
        ("hold-out-valid", "valid", 0, 3),
        ("min-support", "train", 1, 5),
        ("min-length", "train", 1, 4),
        ("encode", "valid", 1, 2),
        ("encode", "test", 2, 3),
    ]
    unknown = {stage.part: stage.statistics.unknown for stage in data.stages if stage.step == "hold-out-test"}
    assert unknown == {"train": None, "test": 0.0}
    assert [stage.all_items for stage in data.stages] == [4, 4, 4, 4, 4, 4, 4, 2, 2]
    assert data.statistics()["item_indices"] == [1, 2]
    assert json.loads(json.dumps(data.statistics())) == data.statistics()


HISTORIES = [
    *[("ann", "a", 0), ("ann", "b", 1), ("ann", "c", 2), ("ann", "d", 2)],
    *[("bob", "d", 0), ("bob", "a", 5)],
    *[("cid", "c", 1), ("cid", "b", 2), ("cid", "a", 3), ("cid", "c", 4)],
]


def test_leave_one_out_by_hand():
    data = prepare(log(HISTORIES, unit="user"), cleaning={"k_core": 1})
    assert data.protocol.name == "leave-one-out"
    assert decoded(data.train) == [["a", "b"], ["c", "b"], ["d", "a"]]
    assert sorted(listed(data.valid, data.vocabulary)) == [(["a", "b"], "c"), (["c", "b"], "a")]
    assert sorted(listed(data.test, data.vocabulary)) == [(["a", "b", "c"], "d"), (["c", "b", "a"], "c")]
    assert not data.test.exclude_seen
    assert "items seen before are candidates: 10.0% of the events repeat an item of their user" in data.notes


@pytest.mark.parametrize(
    ("protocol", "cases", "expected"),
    [("leave-one-out", {}, True), (None, {"exclude_seen": True}, True), (None, {"exclude_seen": False}, False)],
)
def test_seen_items_are_excluded_where_it_is_asked_for(protocol, cases, expected):
    data = prepare(log(HISTORIES, unit="user"), protocol, cleaning={"k_core": 1}, cases=cases)
    assert data.test.exclude_seen == expected
    assert not any("items seen before" in note for note in data.notes)


def test_seen_items_are_excluded_where_nobody_returns_to_them():
    rows = [(user, item, time) for user, items in (("u", "abcd"), ("v", "dabc")) for time, item in enumerate(items)]
    data = prepare(log(rows, unit="user"), cleaning={"k_core": 1})
    assert data.test.exclude_seen
    assert "items seen before are no candidates: 0.0% of the events repeat an item of their user" in data.notes


def test_the_validation_event_is_fed_at_test_unless_told_otherwise():
    data = prepare(log(HISTORIES, unit="user"), cleaning={"k_core": 1}, cases={"feed_valid": False})
    assert sorted(listed(data.test, data.vocabulary)) == [(["a", "b"], "d"), (["c", "b"], "c")]


def test_targets_that_training_does_not_hold_are_dropped_and_counted():
    rows = [*HISTORIES, ("dan", "a", 0), ("dan", "b", 1), ("dan", "c", 2), ("dan", "unseen", 3)]
    data = prepare(log(rows, unit="user"), cleaning={"k_core": 1})
    assert len(data.test) == 2
    assert "unseen" not in data.vocabulary.ids.to_list()
    assert any(note.startswith("1 test events are not used") for note in data.notes)


PARTS = ["train"] * 7 + ["test"] * 4


def given_split(**columns):
    rows = [(1, "a", 0), (1, "b", 1), (2, "b", 2), (3, "b", 3), (3, "a", 4), (4, "a", 5), (4, "b", 6)]
    rows += [(5, "a", 7), (5, "b", 8), (5, "x", 9), (6, "b", 9)]
    return log(rows, part=PARTS, **columns)


def test_a_given_split_is_taken_as_it_is_and_validation_comes_from_the_end_of_train():
    data = prepare(given_split(), split={"valid_share": 0.25})
    assert decoded(data.train) == [["a", "b"], ["b"], ["b", "a"]]
    assert listed(data.valid, data.vocabulary) == [(["a"], "b")]
    assert listed(data.test, data.vocabulary) == [(["a"], "b")]
    assert (data.protocol.split.kind, data.protocol.cleaning.min_support, data.protocol.cleaning.min_length) == (
        "given",
        1,
        1,
    )


def test_a_given_split_is_filtered_if_asked():
    data = prepare(given_split(), "session-next", split={"valid_share": 0}, cleaning={"min_length": 2})
    assert decoded(data.train) == [["a", "b"], ["b", "a"], ["a", "b"]]
    assert data.valid is None
    assert "nothing is held out for validation" in data.notes


def test_a_given_validation_part_is_used():
    data = prepare(
        log(
            [(1, "a", 0), (1, "b", 1), (2, "a", 2), (2, "b", 3), (3, "b", 4), (3, "a", 5)],
            part=["train", "train", "valid", "valid", "test", "test"],
        )
    )
    assert decoded(data.train) == [["a", "b"]]
    assert listed(data.valid, data.vocabulary) == [(["a"], "b")]
    assert listed(data.test, data.vocabulary) == [(["b"], "a")]


def test_equal_session_ids_in_two_parts_are_two_sessions():
    events = log([(1, "a", 0), (1, "b", 1), (1, "b", 2), (1, "a", 3)], part=["train", "train", "test", "test"])
    data = prepare(events, split={"valid_share": 0})
    assert listed(data.test, data.vocabulary) == [(["b"], "a")]
    assert any("1 session ids occur in several parts" in note for note in data.notes)


def test_histories_that_go_on_in_a_given_test_part_are_fed():
    rows = [("ann", "a", 0), ("ann", "b", 1), ("bob", "b", 0), ("bob", "a", 1), ("ann", "a", 2), ("bob", "b", 2)]
    data = prepare(log(rows, unit="user", part=["train"] * 4 + ["test"] * 2), cases={"exclude_seen": False})
    assert decoded(data.train) == [["a"], ["b"]]
    assert sorted(listed(data.test, data.vocabulary)) == [(["a", "b"], "a"), (["b", "a"], "b")]


def test_another_split_than_the_given_one_can_be_asked_for():
    data = prepare(
        given_split(),
        split={"kind": "ratio", "test_share": 0.2, "valid_share": 0},
        cleaning={"min_support": 1, "min_length": 1},
    )
    assert any("the predefined split of the log is ignored" in note for note in data.notes)
    assert len(data.train) == 4


def without_times(rows=SHOP, **kwargs):
    events = log(rows, **kwargs)
    return Events(events.frame.drop("time"), unit=events.unit)


def test_a_log_without_times_is_split_by_its_order_and_that_is_said():
    data = prepare(without_times(), cleaning={"min_support": 1, "min_length": 1}, split={"test_share": 0.2})
    assert data.protocol.split.kind == "ratio"
    assert data.train.times is None
    assert any("no times, so the last 20% of its sessions" in note for note in data.notes)


def test_what_needs_times_is_refused_on_a_log_without_them():
    with pytest.raises(ParameterError) as caught:
        prepare(without_times(), "session-next", cleaning={"last_days": 3, "drop_duplicates": True})
    message = str(caught.value)
    assert "protocol.split: 'last-days' needs times and this log has none" in message
    assert "protocol.cleaning.last_days: needs times" in message
    assert "protocol.cleaning.drop_duplicates: needs times" in message


def test_a_split_that_the_log_does_not_have_is_refused():
    with pytest.raises(ParameterError, match=r"protocol.split: 'given' needs a log with train and test parts"):
        prepare(log(SHOP), split="given")


def test_an_unknown_parameter_is_refused():
    with pytest.raises(ParameterError, match="unknown parameter of protocol 'min_suport'"):
        prepare(log(SHOP), min_suport=3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"cleaning": {"min_support": 99}},
            "step 'min-support' dropped all 6 events: .* change protocol.cleaning.min_support .now 99.",
        ),
        (
            {"cleaning": {"k_core": 9}},
            "step 'k-core' dropped all 14 events: .* change protocol.cleaning.k_core .now 9.",
        ),
        (
            {"split": {"test_days": 30}},
            "step 'hold-out-test' with split 'last-days' left nothing for training of 14 events",
        ),
        (
            {"split": {"valid_days": 30}},
            "step 'hold-out-valid' with split 'last-days' left nothing for training of 9 events",
        ),
        ({"cleaning": {"min_support": 1, "recent_share": 0.01}}, "step 'recent-share' dropped all"),
    ],
)
def test_the_step_that_leaves_nothing_is_named(parameters, message):
    with pytest.raises(EmptyDataError, match=message):
        prepare(log(SHOP), **parameters)


def test_an_empty_log_and_one_without_test_cases_are_refused():
    with pytest.raises(EmptyDataError, match="the log contains no event"):
        prepare(Events(log(SHOP).frame.clear()))
    with pytest.raises(EmptyDataError, match=r"step 'incomplete' dropped all 14 events: .* check which columns"):
        prepare(Events(log(SHOP).frame.with_columns(item=pl.lit(None, dtype=pl.String))))
    rows = [(1, "a", 0), (1, "b", 1), (2, "x", DAY + 5), (2, "y", DAY + 6)]
    with pytest.raises(EmptyDataError, match="no test case is left"):
        prepare(log(rows), cleaning={"min_support": 1}, split={"valid_days": 0})


def test_the_order_of_steps_is_the_protocols():
    # Session 3 has one event; item c has support 2 only as long as session 3 is there.
    rows = [
        (1, "a", 0),
        (1, "c", 1),
        (2, "a", 2),
        (2, "b", 3),
        (2, "b", 4),
        (3, "c", 5),
        (9, "a", 9 * DAY),
        (9, "b", 9 * DAY),
    ]
    filters = {"min_support": 2, "min_length": 2}
    first_support = ("incomplete", "hold-out-test", "min-support", "min-length")
    first_length = ("incomplete", "hold-out-test", "min-length", "min-support")
    for order, items in ((first_support, ["a", "b", "c"]), (first_length, ["a", "b"])):
        data = prepare(log(rows), cleaning={"order": order, **filters})
        assert data.vocabulary.ids.to_list() == items


def test_a_user_log_can_be_cut_into_sessions():
    rows = [("ann", "a", 0), ("ann", "b", 5), ("ann", "a", 2 * DAY), ("ann", "b", 2 * DAY + 5)]
    data = prepare(log(rows, unit="user"), cleaning={"session_gap": 30, "min_support": 1}, split={"valid_days": 0})
    assert data.protocol.name == "session-next"
    assert decoded(data.train) == [["a", "b"]]
    assert data.stages[-1].statistics.users == 1


def test_one_moment_for_everyone_with_the_first_event_after_it():
    events = log(HISTORIES, unit="user")
    test_from = START + timedelta(minutes=2)
    data = prepare(
        events,
        cleaning={"k_core": 1},
        split={"kind": "global-time", "test_from": test_from},
        cases={"targets": "first", "exclude_seen": False},
    )
    assert sorted(decoded(data.train)) == [["a", "b"], ["c"], ["d"]]
    assert sorted(listed(data.test, data.vocabulary)) == [(["a", "b"], "c"), (["c"], "b"), (["d"], "a")]


def test_metadata_of_items_is_kept():
    events = log(SHOP)
    items = pl.DataFrame({"item": ["b", "a"], "title": ["Bow", "Arrow"]})
    data = prepare(Events(events.frame, items=items), cleaning={"min_support": 2})
    assert data.vocabulary.table["title"].to_list() == ["Arrow", "Bow"]


def test_equal_requests_have_equal_hashes_and_others_do_not():
    data = prepare(log(SHOP), cleaning={"min_support": 2})
    assert prepare(log(SHOP), "session-next", cleaning={"min_support": 2}).hash == data.hash
    assert prepare(log(SHOP), Protocol.named("session-next", {"cleaning": {"min_support": 2}})).hash == data.hash
    assert prepare(log(SHOP), cleaning={"min_support": 1}).hash != data.hash
    assert prepare(log(SHOP[::-1]), cleaning={"min_support": 2}).hash != data.hash
    assert data.describe()["hash"] == data.hash


def test_the_recent_share_is_taken_after_the_test_part_and_before_validation():
    rows = [(s, item, s * 60 + i) for s in range(40) for i, item in enumerate("ab")]
    rows += [(100 + s, item, 9 * DAY + s * 60 + i) for s in range(3) for i, item in enumerate("ab")]
    data = prepare(log(rows), "yoochoose-1-4", split={"valid_days": 0.05})
    stages = {(stage.step, stage.part): stage.statistics for stage in data.stages}
    assert stages["hold-out-test", "train"].events == 80
    assert stages["recent-share", "train"].events == 20
    assert stages["recent-share", "train"].sessions == 10
    assert len(data.test) == 3
    assert (len(data.train), len(data.valid)) == (8, 2)


def short_sample(**parameters):
    """Prepare a log of forty days whose most recent 1/4 of the training events spans minutes."""
    rows = [(s, item, s * DAY + i) for s in range(30) for i, item in enumerate("ab")]
    rows += [(50 + s, item, 30 * DAY + s + i) for s in range(20) for i, item in enumerate("ab")]
    rows += [(100 + s, item, 40 * DAY + s * 60 + i) for s in range(3) for i, item in enumerate("ab")]
    return prepare(log(rows), "yoochoose-1-4", **parameters)


def test_a_sample_shorter_than_the_validation_part_is_trained_on_whole():
    data = short_sample()
    assert (len(data.train), data.valid, len(data.test)) == (12, None, 3)
    (note,) = [note for note in data.notes if "held out for validation" in note]
    assert note == (
        "all 24 events that step 'recent-share' left for training belong to the validation part of split 'last-days', "
        "so all are trained on and nothing is held out for validation; lower protocol.split.valid_days (now 1) to "
        "hold some out"
    )
    data = short_sample(split={"valid_days": 0.003})
    assert (len(data.train), len(data.valid)) == (7, 5)
    assert not [note for note in data.notes if "validation" in note]


FEWER = settings(max_examples=settings.default.max_examples // 4)
"""An example takes as long as the preparation of a log."""

VISIT = st.tuples(st.integers(0, 4 * DAY), st.lists(st.integers(0, 5), min_size=1, max_size=5))
VISITS = st.lists(VISIT, min_size=20, max_size=60)


@FEWER
@given(visits=VISITS)
def test_the_future_never_leaks_into_training(visits):
    rows = [(s, item, start + i) for s, (start, items) in enumerate(visits) for i, item in enumerate(items)]
    try:
        data = prepare(log(rows), cleaning={"min_support": 2})
    except EmptyDataError:
        assume(False)
    ends = data.train.times[data.train.offsets[1:] - 1]
    assert (ends[1:] >= ends[:-1]).all()
    stages = {(stage.step, stage.part): stage.statistics for stage in data.stages}
    assert stages["hold-out-valid", "train"].last_time < stages["hold-out-valid", "valid"].last_time
    assert stages["hold-out-test", "train"].last_time < stages["hold-out-test", "test"].last_time
    last_second = datetime(1970, 1, 1) + timedelta(seconds=int(ends[-1]))
    assert last_second.isoformat() <= stages["hold-out-valid", "train"].last_time
    assert set(data.train.items) == set(range(1, len(data.vocabulary) + 1))
    assert data.vocabulary.support[1:].sum() == len(data.train.items)


def published_preparation(rows):
    """The preparation of Hidasi et al. 2016, event by event: (train, valid, test) as sets of (session, item, time)."""

    def long_enough(events):
        lengths = Counter(session for session, _, _ in events)
        return [event for event in events if lengths[event[0]] >= 2]

    def apart(events):
        ends = {}
        for session, _, time in events:
            ends[session] = max(time, ends.get(session, time))
        last = max(ends.values())
        return [e for e in events if ends[e[0]] < last - DAY], [e for e in events if ends[e[0]] >= last - DAY]

    events = long_enough(rows)
    support = Counter(item for _, item, _ in events)
    events = long_enough([event for event in events if support[event[1]] >= 5])
    train, test = apart(events)
    known = {item for _, item, _ in train}
    test = long_enough([event for event in test if event[1] in known])
    return *apart(train), test


@FEWER
@given(visits=VISITS)
def test_gru4rec_2015_is_the_published_preparation(visits):
    rows = [(s, item, start + i) for s, (start, items) in enumerate(visits) for i, item in enumerate(items)]
    try:
        data = prepare(log(rows), "gru4rec-2015")
    except EmptyDataError:
        assume(False)
    train, valid, test = published_preparation(rows)
    stages = {(stage.step, stage.part): stage.statistics.events for stage in data.stages}
    assert stages["known-items", "test"] == len(test)
    assert stages["hold-out-valid", "valid"] == len(valid)
    raw = data.vocabulary.decode(data.train.items)
    assert sorted(zip(raw, data.train.times, strict=True)) == sorted((i, time * 60 + EPOCH) for _, i, time in train)


EVENTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5), st.integers(0, 6 * DAY)), min_size=20, max_size=60)


@FEWER
@given(rows=EVENTS)
def test_leave_one_out_uses_every_event_of_a_user_once(rows):
    try:
        data = prepare(log(rows, unit="user"), cleaning={"k_core": 1})
    except EmptyDataError:
        assume(False)
    held = {stage.part: stage for stage in data.stages if stage.step.startswith("hold-out")}
    total = sum(held[part].statistics.events for part in ("train", "valid", "test"))
    assert total == len(rows)
    counts = pl.Series([row[0] for row in rows]).value_counts()
    tested = counts.filter(pl.col("count") >= 3).height
    assert held["test"].statistics.events == held["valid"].statistics.events == tested


@pytest.mark.real
def test_diginetica_has_the_published_prefixes(real_data):
    data = prepare(read(real_data / "diginetica"), split={"valid_share": 0})
    assert data.statistics()["train_prefixes"] == 719_470
    assert len(data.test) == 60_858
    assert len(data.vocabulary) == 43_097
    assert data.stages[1].statistics.sessions == 186_670


@pytest.mark.real
def test_yoochoose_slice_has_its_counts(real_data):
    data = prepare(read(real_data / "yoochoose-100k"))
    train, test = (
        next(s.statistics for s in data.stages if (s.step, s.part) == ("hold-out-test", p)) for p in ("train", "test")
    )
    assert (train.events, train.sessions, train.items) == (70_278, 17_794, 2_933)
    assert (test.events, test.sessions) == (13_568, 3_416)
    assert data.train.times is not None


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "users", "items", "events"), [("ml-100k", 943, 1_349, 99_287), ("ml-1m", 6_040, 3_416, 999_611)]
)
def test_movielens_leaves_one_case_per_user(real_data, name, users, items, events):
    data = prepare(read(real_data / name))
    assert data.protocol.name == "leave-one-out"
    assert (len(data.train), len(data.valid), len(data.test)) == (users, users, users)
    assert len(data.train.items) == events - 2 * users
    assert len(data.vocabulary) == items


def test_a_trained_model_is_tested_on_all_of_a_log_with_its_own_catalogue():
    trained = prepare(log(SHOP), cleaning={"min_support": 2})
    other = log([(1, "b", 0), (1, "a", 1), (1, "zebra", 2), (1, "b", 3), (2, "zebra", 4)])
    data = prepare(other, trained.protocol.on_whole_log(), vocabulary=trained.vocabulary)
    assert data.vocabulary is trained.vocabulary
    assert len(data.train) == 0
    assert listed(data.test, data.vocabulary) == [(["b"], "a"), (["b", "a"], "b")]
    assert data.hash != trained.hash


def test_a_protocol_that_trains_on_nothing_is_refused():
    with pytest.raises(ParameterError, match="'whole' leaves nothing for training"):
        prepare(log(SHOP), split="whole")


def test_a_protocol_comes_back_from_its_description():
    data = prepare(log(SHOP), cleaning={"min_support": 2})
    assert Protocol.of(data.describe()) == data.protocol


TASTES = [(user, str(item), 100 * user + 10 * place) for user in (1, 2, 3) for place, item in enumerate(range(10))]
"""Three users with the same ten items in the same order."""


def test_all_held_out_items_of_a_user_are_one_case():
    backwards = [(4, str(item), 500 - item) for item in range(10)]
    parameters = {"cases": {"targets": "together"}, "cleaning": {"min_support": 1}}
    data = prepare(
        log([*TASTES, *backwards], unit="user"),
        "session-next",
        **parameters,
        split={"kind": "event-ratio", "ratios": (6, 2, 2)},
    )
    wanted = [set(data.vocabulary.decode(row)) for row in data.test.padded_targets()]
    assert wanted == [{"8", "9"}, {"8", "9"}, {"8", "9"}, {"0", "1"}]
    assert data.test.prefixes.lengths.tolist() == [8] * 4
    assert data.valid.prefixes.lengths.tolist() == [6] * 4
    assert data.train.lengths.tolist() == [6] * 4
    assert [stage.statistics.events for stage in data.stages if stage.step == "encode"] == [8, 8]


def test_random_shares_are_drawn_once_for_all():
    parameters = {
        "cases": {"targets": "together"},
        "cleaning": {"min_support": 1},
    }
    one, same, other = (
        prepare(
            log(TASTES, unit="user"),
            "session-next",
            **parameters,
            split={"kind": "event-ratio", "order": "random", "seed": seed},
        )
        for seed in (0, 0, 1)
    )
    assert one.test.padded_targets().tolist() == same.test.padded_targets().tolist()
    assert one.test.padded_targets().tolist() != other.test.padded_targets().tolist()
    assert one.hash == same.hash != other.hash


@pytest.mark.parametrize(
    ("leave", "train", "valid", "test"),
    [("valid_and_test", 8, 8, 9), ("valid_only", 9, 9, 9), ("test_only", 9, None, 9)],
)
def test_which_events_are_left_out(leave, train, valid, test):
    rows = [(user, str(item), 100 * user + item) for user in (1, 2) for item in range(10)]
    rows += [(3, str(item), 1000 - item) for item in range(10)]
    data = prepare(
        log(rows, unit="user"),
        "leave-one-out",
        cleaning={"k_core": 1},
        split={"leave": leave},
        cases={"exclude_seen": False},
    )
    assert data.train.lengths.tolist() == [train] * 3
    found = {raw for _, raw in listed(data.test, data.vocabulary)}
    assert found == {str(test), str(9 - test)}
    # What is fed before the test never holds the tested event itself.
    assert data.test.prefixes.lengths.tolist() == [9] * 3
    if valid is None:
        assert data.valid is None
    else:
        assert {raw for _, raw in listed(data.valid, data.vocabulary)} == {str(valid), str(9 - valid)}
    assert any("the same events" in note for note in data.notes) == (leave == "valid_only")


def test_global_time_cuts_once_for_everyone():
    rows = [(user, str(place % 5), 60 * place + user) for user in range(20) for place in range(10)]
    data = prepare(log(rows, unit="user"), "global-time", cleaning={"min_support": 1}, cases={"exclude_seen": False})
    sizes = {(stage.step, stage.part): stage.statistics.events for stage in data.stages}
    assert sizes["hold-out-test", "test"] == 20  # the last tenth of 200 events, one of each user
    assert sizes["hold-out-valid", "valid"] == 9  # the last twentieth of the other 180
    assert [target for _, target in listed(data.test, data.vocabulary)] == ["4"] * 20
    # Those whose event before was held out for validation are fed it.
    assert data.test.prefixes.lengths.tolist() == [9] * 20


def test_what_was_liked_is_a_label():
    stars = [float(item) for _ in (1, 2, 3) for item in range(10)]
    events = log(TASTES, unit="user", rating=stars)
    parameters = {
        "split": {"kind": "event-ratio", "ratios": (5, 0, 5)},
        "cleaning": {"min_support": 1},
        "ranking": {"candidates": "labeled"},
    }
    events = log(
        [*TASTES, (4, "9", 0), (4, "8", 1), (4, "0", 2), (4, "1", 3)], unit="user", rating=[*stars, 1, 1, 1, 5]
    )
    data = prepare(events, "session-next", **parameters)
    assert list(zip(data.vocabulary.decode(data.test.targets), data.test.labels.tolist(), strict=True))[:2] == [
        ("0", 1),
        ("1", 5),
    ]
    liked = prepare(events, "session-next", **parameters, cases={"label_threshold": 5})
    assert liked.test.labels.tolist() == [float(label >= 5) for label in data.test.labels]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"ranking": {"candidates": "labeled", "metrics": ("mrr",)}},
            "protocol.ranking.metrics: must be among auc, logloss, mae, rmse with",
        ),
        (
            {"ranking": {"metrics": ("auc",)}},
            "protocol.ranking.metrics: auc compare a score with a label; set candidates to labeled",
        ),
        (
            {"ranking": {"candidates": "labeled"}, "cases": {"targets": "together"}},
            "protocol.cases.targets: must be every-next, first or last with candidates 'labeled', got 'together'",
        ),
        (
            {"ranking": {"candidates": "labeled"}},
            r"protocol.cases.label: must be a numeric column of the log, got 'rating' \(no such column\); there are: ",
        ),
        (
            {"ranking": {"candidates": "labeled"}, "cases": {"label": "item"}},
            r"protocol.cases.label: must be a numeric column of the log, got 'item' \(String\)",
        ),
    ],
)
def test_labels_that_the_log_cannot_give_are_explained(parameters, message):
    with pytest.raises(ParameterError, match=message):
        prepare(log(TASTES, unit="user"), "leave-one-out", **parameters)


def test_a_labelled_protocol_asks_for_metrics_of_values():
    assert Protocol.named("leave-one-out", {"ranking": {"candidates": "labeled"}}).ranking.metrics == ("mae", "rmse")
    assert Protocol.named(
        "leave-one-out", {"ranking": {"candidates": "labeled"}, "cases": {"label_threshold": 4}}
    ).ranking.headline == (
        "auc",
        "logloss",
    )


RETURNS = [(user, str(place % 5), 100 * user + place) for user in (1, 2, 3) for place in range(20)]
"""Three users who go round five items."""


def test_labels_that_no_metric_can_use_are_refused_before_any_training():
    stars = log(RETURNS, unit="user", rating=[float(place) for _ in (1, 2, 3) for place in range(20)])
    cleaning, cases, ranking = {"k_core": 1}, {"exclude_seen": False}, {"candidates": "labeled"}
    with pytest.raises(ParameterError, match="metric 'auc': needs labels of 0 and 1, got 19"):
        prepare(stars, "leave-one-out", cleaning=cleaning, cases=cases, ranking={**ranking, "metrics": ("auc",)})
    with pytest.raises(ParameterError, match="needs both liked and other cases, and every label is 1"):
        prepare(stars, "leave-one-out", cleaning=cleaning, cases={**cases, "label_threshold": 5}, ranking=ranking)


def test_a_label_that_is_no_number_is_none():
    rows = [(user, str(place % 3), 100 * user + place) for user in (1, 2, 3) for place in range(5)]
    ratings = [float(place) if user < 3 else float("nan") for user in (1, 2, 3) for place in range(5)]
    data = prepare(
        log(rows, unit="user", rating=ratings),
        "leave-one-out",
        cleaning={"k_core": 1},
        ranking={"candidates": "labeled"},
    )
    assert data.test.labels.tolist() == [4, 4]


def test_validation_takes_no_more_than_its_share_of_what_a_step_left():
    split, cleaning = {"kind": "event-ratio", "ratios": (2, 1, 1)}, {"min_support": 1, "min_length": 1}
    one = prepare(
        log(RETURNS, unit="user"),
        "session-next",
        split={**split, "group_by": "none"},
        cleaning={**cleaning, "recent_share": 0.5},
    )
    sizes = {(stage.step, stage.part): stage.statistics.events for stage in one.stages}
    left = sizes["recent-share", "train"]
    assert 0 < sizes["hold-out-valid", "valid"] <= -(-left // 3)
    # The fourth user keeps one event of twenty, and gives nothing of the others' away.
    rare = [*((4, f"rare {place}", place) for place in range(19)), (4, "0", 19)]
    steps = ("incomplete", "hold-out-test", "min-support", "hold-out-valid")
    changed = {**cleaning, "min_support": 2, "order": steps}
    other = prepare(log([*RETURNS, *rare], unit="user"), "session-next", split=split, cleaning=changed)
    alone = prepare(log(RETURNS, unit="user"), "session-next", split=split, cleaning=cleaning)
    assert other.valid.groups.tolist() == alone.valid.groups.tolist()
    assert other.train.lengths.tolist() == alone.train.lengths.tolist()


def orders():
    """Histories of orders: four per user, of two items that depend on those of the order before."""
    return [
        (user, f"{letter}{(user + order) % 7}", order * DAY + user)
        for user in range(120)
        for order in range(4)
        for letter in "ab"
    ]


BASKETS = {
    "split": {"kind": "last-event", "baskets": True},
    "cases": {"targets": "next-basket"},
    "ranking": {"metrics": ("recall@2",)},
}


def test_the_last_basket_of_each_history_is_one_case():
    data = prepare(log(orders(), unit="user"), Protocol(), **BASKETS)
    assert (len(data.test), data.test.counts.tolist()) == (120, [2] * 120)
    assert data.test.prefixes.lengths.tolist() == [6] * 120
    assert (data.train.lengths == 4).all()
    assert data.valid.prefixes.lengths.tolist() == [4] * 120
    stage = data.statistics()["stages"][0]
    assert (stage["baskets"], stage["basket_mean"], stage["basket_alone"]) == (480, 2.0, 0.0)
    found = {
        baskets: evaluate(Markov(baskets=baskets, smoothing=0).fit(data.train), data).metrics
        for baskets in (True, False)
    }
    # In the order of the file an item of the next basket follows only one item of the last one.
    assert (found[True]["recall@2"], found[False]["recall@2"] < 0.8) == (1.0, True)
    assert not [finding for finding in lint(data) if finding.check != "few-test-sessions"]


def test_splits_that_divide_baskets_and_logs_without_times_are_refused():
    with pytest.raises(ParameterError) as caught:
        prepare(log(orders(), unit="user"), Protocol(), **{**BASKETS, "split": "last-event"})
    assert str(caught.value) == (
        "protocol.cases.targets: 'next-basket' needs whole baskets, which 'last-event' divides; "
        "set protocol.split.baskets=true"
    )
    with pytest.raises(ParameterError, match="which 'event-ratio' divides; choose another split"):
        prepare(log(orders(), unit="user"), Protocol(), **{**BASKETS, "split": "event-ratio"})
    untimed = log(orders(), unit="user")
    untimed = Events(untimed.frame.drop("time"), unit="user")
    with pytest.raises(ParameterError) as caught:
        prepare(untimed, Protocol(), **BASKETS)
    assert [line.split(": baskets are")[0] for line in str(caught.value).splitlines()] == [
        "protocol.split.baskets",
        "protocol.cases.targets",
    ]
