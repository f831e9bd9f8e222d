"""Which parameters of a protocol change a figure: its hash, and the data sets that are behind one hash."""

import numpy as np
import polars as pl
import pytest

from segue.data.readers.read import read
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.parameters import describe, merge, nested
from segue.protocols.cleaning import DEFAULT_ORDER, STEPS
from segue.protocols.dataset import Dataset
from segue.protocols.hashing import differences, protocol_hash
from segue.protocols.prepare import prepare
from segue.protocols.protocol import Protocol


def named(*parameters):
    """``session-next`` with parameters by dotted name on top, those of later mappings above those of earlier ones."""
    tree = {}
    for some in parameters:
        tree = merge(tree, nested(some))
    return Protocol.named("session-next", tree)


def mark(*parameters):
    return protocol_hash(named(*parameters), "data")


DRAWN, LABELED = {"ranking.candidates": "uni100"}, {"ranking.candidates": "labeled"}
MOMENT = {"split.kind": "global-time", "split.test_from": "2024-02-01"}


def split(kind, **parameters):
    return {"split.kind": kind, **{f"split.{name}": value for name, value in parameters.items()}}


def without(*names):
    return {"cleaning.order": [name for name in DEFAULT_ORDER if name not in names]}


ACTIVE = [
    ("cleaning.drop_duplicates", True, {}),
    ("cleaning.last_days", 3, {}),
    ("cleaning.since", "2024-01-01", {}),
    ("cleaning.until", "2024-01-01", {}),
    ("cleaning.session_gap", 30, {}),
    ("cleaning.drop_consecutive_repeats", True, {}),
    ("cleaning.revisits", "last", {}),
    ("cleaning.value_interval", {"rating": "[3,inf)"}, {}),
    ("cleaning.value_among", {"type": ["buy"]}, {}),
    ("cleaning.max_length", 50, {}),
    ("cleaning.session_interval", "[5,inf)", {}),
    ("cleaning.item_interval", "[5,inf)", {}),
    ("cleaning.k_core", 2, {}),
    ("cleaning.min_support", 2, {}),
    ("cleaning.min_length", 3, {}),
    ("cleaning.recent_share", 0.5, {}),
    ("cleaning.order", ["incomplete", "hold-out-test"], {}),
    ("split", "ratio", {}),
    ("split.test_days", 2, {}),
    ("split.valid_days", 2, {}),
    ("split.test_share", 0.2, split("ratio")),
    ("split.test_share", 0.2, split("global-time")),
    ("split.valid_share", 0.2, split("ratio")),
    ("split.valid_share", 0.2, split("global-time")),
    ("split.valid_share", 0.2, split("given")),
    ("split.test_from", "2024-01-01", split("global-time")),
    ("split.valid_from", "2024-01-01", MOMENT),
    ("split.leave", "test_only", split("last-event")),
    ("split.baskets", True, split("last-event")),
    ("split.ratios", (7, 1, 2), split("event-ratio")),
    ("split.group_by", "none", split("event-ratio")),
    ("split.order", "random", split("event-ratio")),
    ("split.order", "random", split("last-event")),
    ("split.seed", 1, split("last-event", order="random")),
    ("split.seed", 1, split("event-ratio", order="random")),
    ("cases.targets", "last", {}),
    ("cases.feed_valid", False, split("last-event")),
    ("cases.exclude_seen", True, {}),
    ("cases.repeat_targets", False, {}),
    ("cases.label", "stars", LABELED),
    ("cases.label_threshold", 4, LABELED),
    ("ranking.candidates", "uni100", {}),
    ("ranking.seed", 1, DRAWN),
    ("ranking.ties", "average", {}),
]
"""Another value of each parameter, and where it changes a figure."""

OTHER = {name: value for name, value, _ in ACTIVE}

REFUSED = [
    *[(f"cleaning.{name}", without(step)) for step, kind in STEPS.items() for name in kind.parameters],
    ("split.test_days", split("ratio")),
    ("split.valid_days", split("ratio")),
    ("split.valid_days", without("hold-out-valid")),
    ("split.test_share", {}),
    ("split.test_share", MOMENT),
    ("split.valid_share", {}),
    ("split.valid_share", MOMENT),
    ("split.valid_share", {**split("ratio"), **without("hold-out-valid")}),
    ("split.test_from", {}),
    ("split.valid_from", {}),
    ("split.leave", {}),
    ("split.ratios", split("last-event")),
    ("split.group_by", split("last-event")),
    ("split.order", split("ratio")),
    ("split.baskets", split("ratio")),
    ("split.baskets", split("last-event", order="random")),
    ("split.seed", split("ratio")),
    ("split.seed", split("event-ratio")),
    ("split.seed", split("last-event")),
    ("cases.feed_valid", {}),
    ("cases.feed_valid", split("ratio")),
    ("cases.feed_valid", split("last-event", leave="test_only")),
    ("cases.feed_valid", split("last-event", leave="valid_only")),
    ("cases.feed_valid", split("event-ratio", ratios=(8, 0, 2))),
    ("cases.feed_valid", split("global-time", valid_share=0)),
    ("cases.feed_valid", MOMENT),
    ("cases.label", DRAWN),
    ("cases.label_threshold", {}),
    ("ranking.seed", {}),
    ("ranking.seed", LABELED),
    ("ranking.ties", LABELED),
]
"""Parameters with where they would change no figure, so that they are refused."""

NO_EFFECT = [
    ("cleaning.order", [name for name in DEFAULT_ORDER if name not in ("k-core", "values")], {}),
    ("cleaning.order", without("hold-out-valid")["cleaning.order"], {"split.valid_days": 0}),
    ("split.test_days", 1.0, {}),
    ("ranking.metrics", ("mrr@5",), {}),
    ("valid_metric", "mrr@5", {}),
    ("decimals", 6, {}),
    ("name", "mine", {}),
]
"""Values that change no figure, and where."""


@pytest.mark.parametrize(("name", "value", "where"), ACTIVE)
def test_the_hash_changes_with_a_parameter_that_changes_a_figure(name, value, where):
    assert mark(where, {name: value}) != mark(where)


@pytest.mark.parametrize(("name", "where"), REFUSED)
def test_a_parameter_that_would_change_no_figure_is_refused(name, where):
    with pytest.raises(ParameterError, match=rf"^protocol\.{name}: (has no effect|belongs to)"):
        named(where, {name: OTHER[name]})


@pytest.mark.parametrize(("name", "value", "where"), NO_EFFECT)
def test_the_hash_does_not_change_with_what_changes_no_figure(name, value, where):
    assert mark(where, {name: value}) == mark(where)


def test_every_parameter_is_known_to_change_figures_or_not_to():
    never = {"name", "ranking.metrics", "valid_metric", "decimals"}
    everything = {one.name for one in describe(Protocol)}
    assert set(OTHER) == everything - never
    always = {"split", "cases.targets", "cases.exclude_seen", "cases.repeat_targets", "ranking.candidates"}
    assert {name for name, _ in REFUSED} | {name for name, _, _ in NO_EFFECT} == everything - always


def test_known_items_make_the_least_length_count():
    order = {"cleaning.order": ["incomplete", "hold-out-test", "known-items"]}
    assert mark(order, {"cleaning.min_length": 2}) != mark(order, {"cleaning.min_length": 3})


def test_a_validation_part_that_is_not_asked_for_is_a_step_that_is_not_there():
    none = {"split.valid_days": 0}
    assert mark(none) == mark(none, without("hold-out-valid")) == mark(without("hold-out-valid")) != mark()


def test_the_hash_depends_on_the_data_and_not_on_the_way_a_protocol_was_built():
    protocol = Protocol.named("session-next")
    assert protocol_hash(protocol, "data") != protocol_hash(protocol, "other data")
    same = Protocol(**Protocol.presets["session-next"], name="mine")
    assert protocol_hash(same, "data") == protocol_hash(protocol, "data")


def test_what_two_protocols_differ_by_is_told_without_what_changes_no_figure():
    one = named({"cleaning.min_support": 1, "ranking.metrics": ["mrr@5"]})
    other = named({"split": "ratio", "decimals": 2})
    assert differences(one, other) == {"cleaning.min_support": (1, 5), "split": ("last-days", "ratio")}
    assert differences(named(), named({"split.test_days": 2})) == {"split.test_days": (1.0, 2.0)}


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


@pytest.mark.parametrize(("name", "value", "where"), NO_EFFECT)
def test_data_sets_under_one_hash_are_the_same(log, name, value, where):
    usual = {"cleaning.min_support": 1, "cleaning.min_length": 1, "split.valid_days": 4, "split.test_days": 1.0}
    one, other = (prepare(log, named(usual, where, more)) for more in ({}, {name: value}))
    assert one.hash == other.hash
    for left, right in zip(arrays(one), arrays(other), strict=True):
        if left is None or right is None:
            assert left is right
        else:
            np.testing.assert_array_equal(left, right)


def test_shares_are_on_any_scale_and_values_in_any_order():
    ratios = [
        protocol_hash(Protocol(split={"kind": "event-ratio", "ratios": one}), "log")
        for one in ((8, 1, 1), (80, 10, 10))
    ]
    among = [
        protocol_hash(Protocol(cleaning={"value_among": {"type": kinds}}), "log")
        for kinds in (["buy", "view"], ["view", "buy"])
    ]
    assert ratios[0] == ratios[1]
    assert among[0] == among[1]


def test_a_catalogue_that_was_given_is_part_of_the_hash_where_it_is_another_one(log):
    own = prepare(log, "session-next", cleaning={"min_support": 1})
    same = prepare(log, "session-next", cleaning={"min_support": 1}, vocabulary=own.vocabulary)
    fewer = Vocabulary(own.vocabulary.table.head(len(own.vocabulary) - 1))
    counted = Vocabulary(own.vocabulary.table.with_columns(support=pl.col("support") + 1))
    others = [
        prepare(log, "session-next", cleaning={"min_support": 1}, vocabulary=one).hash for one in (fewer, counted)
    ]
    assert same.hash == own.hash
    assert len({own.hash, *others}) == 3
