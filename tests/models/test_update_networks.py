"""Updates of networks: further training that knows new items, keeps the old ones, and repeats itself exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from chains import sessions

from segue.data.growth import grow, replayed, with_new_rows
from segue.data.sessions import Sessions
from segue.data.vocabulary import VECTOR, Vocabulary
from segue.errors import ParameterError
from segue.models.base import Model
from segue.models.gru4rec import GRU4Rec
from segue.models.neural import NeuralModel
from segue.models.registry import BUILT_IN, COMPOSED, load, model_class
from segue.models.sasrec import SASRec
from segue.training.config import UpdatePlan
from small_models import parameters_of

NETWORKS = [name for name in BUILT_IN if name not in COMPOSED and issubclass(model_class(name), NeuralModel)]
START = 10_000_000


def circle(n_items: int, count: int, seed: int) -> Sessions:
    """Make sessions that walk around a circle of items."""
    rng = np.random.default_rng(seed)
    return sessions([(start + np.arange(5)) % n_items + 1 for start in rng.integers(0, n_items, count)], n_items)


def recent(vocabulary: Vocabulary, lists: list[list[int]]) -> Sessions:
    """Encode later sessions; an index behind the catalogue is a new item."""
    log = sessions(lists, max(map(max, lists)))
    grown = grow(vocabulary, log.vocabulary.ids.gather(log.items - 1))
    assert log.times is not None
    return Sessions(grown.encode(log.vocabulary.ids.gather(log.items - 1)), log.offsets, log.times + START, grown)


TRAIN = circle(12, 40, 0)
RECENT = recent(TRAIN.vocabulary, [[1, 13, 2, 3], [4, 14, 5], [13, 14, 1, 13], [7, 8], [13, 1, 13, 14]] * 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_further(name: str, tmp_path: object) -> None:
    parameters = {key: value for key, value in parameters_of(name).items() if key not in ("features", "user")}
    model = model_class(name)(**parameters).fit(TRAIN, seed=0)
    before = {key: array.copy() for key, array in model.arrays().items()}
    updated = model.update(RECENT, UpdatePlan(epochs=2, learning_rate=0.01), seed=1)
    again = model.update(RECENT, UpdatePlan(epochs=2, learning_rate=0.01), seed=1)
    assert updated.vocabulary.ids.to_list() == [*model.vocabulary.ids.to_list(), 113, 114]
    assert len(updated.curve) == 2
    for key, array in updated.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[key], err_msg=key)
        np.testing.assert_array_equal(before[key], model.arrays()[key], err_msg=key)  # The model itself is unchanged.
    scores = updated.score(RECENT.as_prefixes())[:, 1:]
    assert scores.shape == (len(RECENT), 14)
    assert torch.isfinite(scores).all()
    rest = load(updated.save(f"{tmp_path}/model"))
    assert torch.equal(rest.score(RECENT.as_prefixes()), updated.score(RECENT.as_prefixes()))
    assert rest.about["updates"][0]["items"] == 2


@pytest.mark.parametrize(
    ("model", "rate"), [(GRU4Rec(training={"epochs": 30}), 0.05), (SASRec(training={"epochs": 30}), 0.01)]
)
def test_new_and_old_items_are_recommended(model: Model, rate: float) -> None:
    model = model.fit(TRAIN, seed=0)
    assert model.recommend([101], 1).items == [102]
    updated = model.update(RECENT, UpdatePlan(epochs=20, learning_rate=rate), seed=0)
    assert updated.recommend([104], 1).items == [114]
    assert updated.recommend([107], 1).items == [108]


def test_an_epoch_without_learning_keeps_the_old_weights() -> None:
    model = GRU4Rec(hidden_size=8, training={"epochs": 1}).fit(TRAIN, seed=0)
    updated = model.update(RECENT, UpdatePlan(epochs=1, learning_rate=1e-12), seed=0)
    for name, array in model.arrays().items():
        kept = updated.arrays()[name][: len(array)] if name in model.per_item_arrays() else updated.arrays()[name]
        np.testing.assert_allclose(kept, array, atol=1e-6)


def test_the_plan_is_by_default_that_of_the_training() -> None:
    model = SASRec(embedding_size=8, inner_size=8, training={"epochs": 3, "schedule": "linear"}).fit(TRAIN, seed=0)
    assert len(model.update(RECENT).curve) == 3


def test_sessions_of_one_event_are_refused() -> None:
    model = GRU4Rec(hidden_size=8, training={"epochs": 1}).fit(TRAIN, seed=0)
    with pytest.raises(ParameterError, match="recent: must have a session of two events or more, got 2 of one event"):
        model.update(recent(TRAIN.vocabulary, [[1], [2]]))


def test_features_of_events_are_read_as_in_training() -> None:
    model = SASRec(embedding_size=8, inner_size=8, features=("hour", "gap"), training={"epochs": 1}).fit(TRAIN, seed=0)
    updated = model.update(RECENT, seed=0)
    assert updated.context_columns == model.context_columns
    for name, array in model.arrays().items():
        if name.startswith("features/"):
            np.testing.assert_array_equal(updated.arrays()[name], array)


def test_columns_and_times_that_a_network_reads_are_asked_for() -> None:
    priced = replace(TRAIN, columns=pl.DataFrame({"price": np.arange(len(TRAIN.items)) / 7}))
    model = SASRec(embedding_size=8, inner_size=8, features=("price", "hour"), training={"epochs": 1}).fit(priced)
    with pytest.raises(ParameterError, match=r"recent: sasrec\.features: 'price' must be"):
        model.update(RECENT)
    prices = replace(RECENT, columns=pl.DataFrame({"price": np.arange(len(RECENT.items)) / 7}))
    history = replace(priced, vocabulary=RECENT.vocabulary)
    model.update(prices, history=history)
    with pytest.raises(ParameterError, match=r"history: sasrec\.features: 'price' must be"):
        model.update(prices, history=replace(history, columns=None))
    with pytest.raises(ParameterError, match="history: must have times, because the recent sessions have some"):
        GRU4Rec(hidden_size=8, training={"epochs": 1}).fit(TRAIN).update(RECENT, history=replace(history, times=None))


@pytest.mark.parametrize("use", ["initial", "features"])
def test_new_items_start_from_their_vectors(use: str, tmp_path: Path) -> None:
    rows = (3 + np.random.default_rng(0).normal(size=(14, 4))).astype(np.float32)
    table = pl.DataFrame([pl.Series("item", np.arange(101, 115)), pl.Series(VECTOR, rows)])
    old = Vocabulary(TRAIN.vocabulary.table.with_columns(pl.Series(VECTOR, rows[:12])))
    small = {"embedding_size": 8, "inner_size": 8, "training": {"epochs": 1}}
    model = SASRec(item_vectors=use, **small).fit(replace(TRAIN, vocabulary=old), seed=0)
    assert (
        model.update(replace(RECENT, vocabulary=grow(old, ids_of(RECENT)))).vocabulary.table[VECTOR].null_count() == 2
    )
    grown = grow(old, ids_of(RECENT), table)
    np.testing.assert_array_equal(grown.table[VECTOR].to_numpy(), rows)
    still = UpdatePlan(epochs=1, learning_rate=1e-12)
    updated = model.update(replace(RECENT, vocabulary=grown), still, seed=0)
    # The vectors of the new items move the mean of all, and no item with it. Weights are those of their cold selves.
    recounted = SASRec(model.config).restore(model.arrays(), Vocabulary(grown.table.head(12)))
    cold = recounted.add_items({"item": [113, 114]}, vectors=table.rename({VECTOR: "vector"}))
    np.testing.assert_allclose(updated.item_vectors()[1:], cold.item_vectors()[1:], atol=1e-6)
    np.testing.assert_allclose(updated.item_vectors()[1:13], model.item_vectors()[1:], atol=1e-6)
    np.testing.assert_array_equal(load(updated.save(tmp_path / "model")).item_vectors(), updated.item_vectors())


def test_vectors_of_another_model_are_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(14, 4)).astype(np.float32)
    old = Vocabulary(TRAIN.vocabulary.table.with_columns(pl.Series(VECTOR, rows[:12])))
    table = pl.DataFrame([pl.Series("item", np.arange(101, 115)), pl.Series(VECTOR, rows[::-1].copy())])
    with pytest.raises(ParameterError, match="item_vectors: must be of the same model as those of the training"):
        grow(old, ids_of(RECENT), table)
    shorter = table.with_columns(pl.Series(VECTOR, rows[:, :3].copy()))
    with pytest.raises(ParameterError, match="item_vectors: must have 4 numbers as those of the training, got 3"):
        grow(old, ids_of(RECENT), shorter)


def ids_of(log: Sessions) -> pl.Series:
    return log.vocabulary.ids.gather(log.items - 1)


def test_sessions_of_the_history_are_learnt_again() -> None:
    model = GRU4Rec(hidden_size=8, training={"epochs": 1}).fit(TRAIN, seed=0)
    history = Sessions(TRAIN.items, TRAIN.offsets, TRAIN.times, RECENT.vocabulary)
    plan = UpdatePlan(replay=0.5)
    one, again, without = (model.update(RECENT, plan, history=log, seed=3) for log in (history, history, None))
    assert all(np.array_equal(array, again.arrays()[name]) for name, array in one.arrays().items())
    assert any(not np.array_equal(array, without.arrays()[name]) for name, array in one.arrays().items())
    assert one.about["updates"][0]["sessions"] == len(RECENT)
    with pytest.raises(ParameterError, match="history: must be encoded with the catalogue"):
        model.update(RECENT, plan, history=TRAIN)


def test_each_epoch_replays_other_sessions_of_the_history() -> None:
    history = Sessions(TRAIN.items, TRAIN.offsets, TRAIN.times, RECENT.vocabulary)
    joined = replayed(history, RECENT, 2, share=0.5, half_life=4.0, seed=0)
    earlier, later = round(0.5 * len(RECENT)), len(RECENT)
    assert len(joined) == 2 * (earlier + later)
    assert joined.times is not None
    assert history.times is not None
    starts = joined.times[joined.offsets[:-1]]
    epochs = [starts[: earlier + later], starts[earlier + later :]]
    for epoch in epochs:
        assert (np.diff(epoch) > 0).all()
        assert epoch[earlier:].tolist() == starts[earlier : earlier + later].tolist()
    drawn = np.concatenate([epoch[:earlier] for epoch in epochs])
    assert len(np.unique(drawn)) == 2 * earlier
    assert set(drawn.tolist()) <= set(history.times[history.offsets[:-1]].tolist())
    assert joined.items[joined.offsets[earlier] : joined.offsets[earlier + later]].tolist() == RECENT.items.tolist()


def test_a_short_history_is_replayed_again() -> None:
    history = Sessions(TRAIN.items, TRAIN.offsets, TRAIN.times, RECENT.vocabulary)
    joined = replayed(history, RECENT, 3, share=100.0, half_life=4.0, seed=0)
    assert joined.items.tolist() == [*TRAIN.items.tolist(), *RECENT.items.tolist()] * 3
    partly = replayed(history, RECENT, 4, share=1.0, half_life=4.0, seed=0)  # 60 sessions of 40, no two in an epoch.
    assert partly.times is not None
    starts = partly.times[partly.offsets[:-1]].reshape(4, -1)[:, : len(RECENT)]
    assert np.unique(starts).tolist() == TRAIN.times[TRAIN.offsets[:-1]].tolist()
    assert all(len(np.unique(epoch)) == len(RECENT) for epoch in starts)


def test_late_sessions_of_the_history_are_replayed_more_often() -> None:
    long = circle(12, 3000, 0)
    history = Sessions(long.items, long.offsets, long.times, RECENT.vocabulary)
    assert history.times is not None
    ranks = np.argsort(np.argsort(history.times[history.offsets[:-1]]))
    later = RECENT.select(np.arange(10))
    ages = []
    for seed in range(100):
        joined = replayed(history, later, 1, share=1.0, half_life=20.0, seed=seed)
        assert joined.times is not None
        starts = joined.times[joined.offsets[:-1]][:10]
        ages.append(len(history) - 1 - ranks[np.searchsorted(history.times[history.offsets[:-1]], starts)])
    # Of weights that halve every 200 sessions, half lies within the last 200.
    assert 0.45 < (np.concatenate(ages) < 200).mean() < 0.55
    flat = replayed(history, later, 1, share=50.0, half_life=1e9, seed=0)
    assert flat.times is not None
    assert 0.4 < (flat.times[flat.offsets[:-1]][:500] > np.median(history.times)).mean() < 0.6


def test_rows_of_new_items_begin_as_the_mean_of_their_sessions() -> None:
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 4.0]], dtype=np.float32)
    fresh = np.full((5, 2), 9.0, dtype=np.float32)
    log = recent(TRAIN.vocabulary, [[1, 2]])
    some = Sessions(
        np.array([1, 3, 2, 3, 2, 2, 4], dtype=np.int32), np.array([0, 2, 6, 7]), None, log.vocabulary
    )  # Item 3: with item 1 in a session, with item 2 in another one; item 4 alone.
    found = with_new_rows(rows, fresh, some)
    np.testing.assert_array_equal(found[:3], rows)
    np.testing.assert_allclose(found[3:], [[0.5, 2.0], [9.0, 9.0]])
