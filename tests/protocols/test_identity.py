"""Which parameters of a protocol change a figure: its hash, and the data sets that are behind one hash."""

import numpy as np
import polars as pl
import pytest

from segue.data.readers.read import read
from segue.data.vocabulary import Vocabulary
from segue.protocols.dataset import Dataset
from segue.protocols.identity import differences, protocol_hash
from segue.protocols.prepare import prepare
from segue.protocols.protocol import ORDER, Protocol
from segue.protocols.steps import CLEANING


def mark(parameters):
    return protocol_hash(Protocol.named("session-next", parameters), "data")


DRAWN, LABELED = {"candidates": "uni100"}, {"candidates": "labeled"}
RANDOM = {"split": "last-event", "order": "random"}
MOMENT = {"split": "global-time", "test_from": "2024-02-01"}


def without(*names):
    return {"steps": [name for name in ORDER if name not in names]}


ACTIVE = {
    "drop_duplicates": (True, {}),
    "last_days": (3, {}),
    "since": ("2024-01-01", {}),
    "until": ("2024-01-01", {}),
    "session_gap": (30, {}),
    "drop_repeats": (True, {}),
    "revisits": ("last", {}),
    "value_interval": ({"rating": "[3,inf)"}, {}),
    "value_among": ({"type": ["buy"]}, {}),
    "max_length": (50, {}),
    "session_interval": ("[5,inf)", {}),
    "item_interval": ("[5,inf)", {}),
    "k_core": (2, {}),
    "min_support": (2, {}),
    "min_length": (3, {}),
    "recent_share": (0.5, {}),
    "steps": (["incomplete", "hold-out-test"], {}),
    "split": ("ratio", {}),
    "test_days": (2, {}),
    "valid_days": (2, {}),
    "test_share": (0.2, {"split": "ratio"}),
    "valid_share": (0.2, {"split": "given"}),
    "test_from": ("2024-01-01", {"split": "global-time"}),
    "valid_from": ("2024-01-01", MOMENT),
    "leave": ("test_only", {"split": "last-event"}),
    "ratios": ((7, 1, 2), {"split": "event-ratio"}),
    "group_by": ("none", {"split": "event-ratio"}),
    "order": ("random", {"split": "event-ratio"}),
    "split_seed": (1, RANDOM),
    "cases": ("last", {}),
    "feed_valid": (False, {"split": "last-event"}),
    "exclude_seen": (True, {}),
    "repeats": (False, {}),
    "candidates": ("uni100", {}),
    "candidate_seed": (1, DRAWN),
    "label": ("stars", LABELED),
    "label_threshold": (4, LABELED),
    "ties": ("median", {}),
}
"""Another value of each parameter, and where it changes a figure."""

IDLE = [
    *[(name, without(step)) for step, kind in CLEANING.items() for name in kind.parameters],
    ("steps", {"steps": ORDER}),
    ("test_days", {"split": "ratio"}),
    ("valid_days", {"split": "ratio"}),
    ("valid_days", without("hold-out-valid")),
    ("test_share", {}),
    ("test_share", MOMENT),
    ("valid_share", {}),
    ("valid_share", MOMENT),
    ("valid_share", {"split": "ratio", **without("hold-out-valid")}),
    ("test_from", {}),
    ("valid_from", {}),
    ("leave", {}),
    ("ratios", {"split": "last-event"}),
    ("group_by", {"split": "last-event"}),
    ("order", {"split": "ratio"}),
    ("split_seed", {"split": "ratio", "order": "random"}),
    ("split_seed", {"split": "event-ratio"}),
    ("feed_valid", {}),
    ("feed_valid", {"split": "ratio"}),
    ("feed_valid", {"split": "last-event", "leave": "test_only"}),
    ("feed_valid", {"split": "last-event", "leave": "valid_only"}),
    ("feed_valid", {"split": "event-ratio", "ratios": (8, 0, 2)}),
    ("feed_valid", {"split": "global-time", "valid_share": 0}),
    ("feed_valid", MOMENT),
    ("candidate_seed", {}),
    ("candidate_seed", LABELED),
    ("label", DRAWN),
    ("label_threshold", {}),
    ("ties", LABELED),
    ("metrics", {}),
    ("valid_metric", {}),
    ("decimals", {}),
    ("name", {}),
]
"""Parameters with where they change no figure."""

OTHER = {
    **{name: value for name, (value, _) in ACTIVE.items()},
    "steps": [name for name in ORDER if name not in ("k-core", "values")],
    "metrics": ("mrr@5",),
    "valid_metric": "mrr@5",
    "decimals": 6,
    "name": "mine",
}


@pytest.mark.parametrize("name", ACTIVE)
def test_the_hash_changes_with_a_parameter_that_changes_a_figure(name):
    value, where = ACTIVE[name]
    assert mark({**where, name: value}) != mark(where)


@pytest.mark.parametrize(("name", "where"), IDLE, ids=[f"{name}-{number}" for number, (name, _) in enumerate(IDLE)])
def test_the_hash_does_not_change_with_a_parameter_that_is_idle(name, where):
    assert mark({**where, name: OTHER[name]}) == mark(where)


def test_every_parameter_is_known_to_change_figures_or_not_to():
    never = {"name", "metrics", "valid_metric", "decimals"}
    assert set(ACTIVE) == set(Protocol.model_fields) - never
    always = {"split", "cases", "exclude_seen", "repeats", "candidates"}
    assert {name for name, _ in IDLE} == set(Protocol.model_fields) - always


def test_known_items_make_the_least_length_count():
    steps = {"steps": ["incomplete", "hold-out-test", "known-items"]}
    assert mark({**steps, "min_length": 2}) != mark({**steps, "min_length": 3})


def test_a_validation_part_that_is_not_asked_for_is_a_step_that_is_not_there():
    assert mark({"valid_days": 0}) == mark({"valid_days": 0, **without("hold-out-valid")}) != mark({})


def test_the_hash_depends_on_the_data_and_not_on_the_way_a_protocol_was_built():
    protocol = Protocol.named("session-next")
    assert protocol_hash(protocol, "data") != protocol_hash(protocol, "other data")
    same = Protocol(**Protocol.presets["session-next"], name="mine")
    assert protocol_hash(same, "data") == protocol_hash(protocol, "data")


def test_what_two_protocols_differ_by_is_told_without_what_is_idle():
    one = Protocol.named("session-next", {"min_support": 1, "label": "a", "metrics": ["mrr@5"]})
    other = Protocol.named("session-next", {"split": "ratio", "label": "b"})
    assert differences(one, other) == {"min_support": (1, 5), "split": ("last-days", "ratio")}


@pytest.fixture(scope="module")
def log():
    """Sixty users with histories in January 2024 that go on to February; the log has a split of its own, too."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(60), 8)
    seconds = 1_704_067_200 + np.sort(rng.integers(0, 40 * 86_400, (60, 8)), axis=1).ravel()
    table = pl.DataFrame({"user": users, "item": rng.integers(0, 12, 480), "time": seconds})
    part = np.where(np.tile(np.arange(8), 60) < 6, "train", "test")
    return read(table.with_columns(rating=pl.Series(rng.integers(1, 6, 480)), stars=3.0, type=pl.lit("buy"), part=part))


def arrays(data: Dataset):
    """All that models learn from and are tested on."""
    yield from (data.train.items, data.train.offsets, data.train.times, data.vocabulary.support)
    for cases in (data.valid, data.test):
        if cases is None:
            yield None
            continue
        prefixes = cases.prefixes
        yield from (prefixes.items, prefixes.starts, prefixes.ends, prefixes.times, cases.targets, cases.groups)
        yield from (cases.offsets, cases.labels, np.array(cases.exclude_seen))


@pytest.mark.parametrize(("name", "where"), IDLE, ids=[f"{name}-{number}" for number, (name, _) in enumerate(IDLE)])
def test_data_sets_under_one_hash_are_the_same(log, name, where):
    where = {"min_support": 1, "min_length": 1, "valid_days": 4, "test_days": 4, **where}
    if where.get("candidates") == "labeled":
        where = {"metrics": ["mae"], **where}
    one, other = (prepare(log, Protocol.named("session-next", {**where, **more})) for more in ({}, {name: OTHER[name]}))
    assert one.hash == other.hash
    for left, right in zip(arrays(one), arrays(other), strict=True):
        if left is None or right is None:
            assert left is right
        else:
            np.testing.assert_array_equal(left, right)


def test_shares_are_on_any_scale_and_values_in_any_order():
    ratios = [protocol_hash(Protocol(split="event-ratio", ratios=one), "log") for one in ((8, 1, 1), (80, 10, 10))]
    among = [
        protocol_hash(Protocol(value_among={"type": kinds}), "log") for kinds in (["buy", "view"], ["view", "buy"])
    ]
    assert ratios[0] == ratios[1]
    assert among[0] == among[1]


def test_a_catalogue_that_was_given_is_part_of_the_hash_where_it_is_another_one(log):
    own = prepare(log, "session-next", min_support=1)
    same = prepare(log, "session-next", min_support=1, vocabulary=own.vocabulary)
    fewer = Vocabulary(own.vocabulary.table.head(len(own.vocabulary) - 1))
    counted = Vocabulary(own.vocabulary.table.with_columns(support=pl.col("support") + 1))
    others = [prepare(log, "session-next", min_support=1, vocabulary=one).hash for one in (fewer, counted)]
    assert same.hash == own.hash
    assert len({own.hash, *others}) == 3
