"""Items added after training: what they are scored by, worked by hand."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from chains import Task, blocks

from segue.data.cold_items import ColdItems
from segue.data.vocabulary import Vocabulary
from segue.errors import LogError, ParameterError
from segue.models.als import ALS
from segue.models.base import Model
from segue.models.bpr import BPR
from segue.models.gru4rec import GRU4Rec
from segue.models.markov import Markov
from segue.models.registry import load
from segue.models.sasrec import SASRec

TABLE = pl.DataFrame(
    {
        "item": [10, 20, 30, 40],
        "support": [4, 3, 2, 1],
        "group": ["shoe", "shoe", "hat", None],
        "brand": ["a", "b", "a", None],
    }
)
NEW = pl.DataFrame(
    {
        "item": [51, 52, 53, 54, 10],
        "group": ["shoe", "shoe", "hat", None, "hat"],
        "brand": ["b", "c", None, "a", "a"],
        "support": [0, 0, 0, 9, 7],
    }
)


def test_a_new_item_is_the_mean_of_those_most_like_it() -> None:
    cold = ColdItems.match(Vocabulary(TABLE), NEW, ["group", "brand"])
    rows = np.array([[0, 0], [1, 10], [2, 20], [3, 30], [4, 40]], dtype=np.float32)
    # 51 is item 20's twin, 52 shares the group with 10 and 20, 53 that of 30, 54 has no group, 10 is known already.
    assert cold.extend(rows)[5:].tolist() == [[2, 20], [1.5, 15], [3, 30], [0, 0]]
    assert cold.extend(rows[:, 0])[5:].tolist() == [2, 1.5, 3, 0]
    assert cold.vocabulary.table["item"].to_list() == [10, 20, 30, 40, 51, 52, 53, 54]
    assert cold.vocabulary.table["group"].to_list()[:1] == ["shoe"]
    assert cold.vocabulary.known.tolist() == [False, *[True] * 7, False]
    assert cold.vocabulary.n_trained == 4


def test_items_can_be_added_again_and_resemble_training_items_only() -> None:
    once = ColdItems.match(Vocabulary(TABLE), NEW, ["group"]).vocabulary
    more = pl.DataFrame({"item": [60, 51], "group": ["shoe", "hat"], "brand": ["b", "b"]})
    again = ColdItems.match(once, more, ["brand"])
    assert again.extend(np.arange(9.0))[9:].tolist() == [2.0]  # Of item 20 alone, not of 51 that was added first.
    assert again.vocabulary.cold(np.array([1, 5, 8, 9])) == {
        51: "similar items",
        54: "fallback",
        60: "similar items",
    }


@pytest.fixture(scope="module")
def task() -> Task:
    """Return blocks of five items, each block a group."""
    plain = blocks()
    groups = pl.Series("group", [f"group {number // 5}" for number in range(30)])
    vocabulary = Vocabulary(plain.train.vocabulary.table.with_columns(groups))
    return replace(plain, train=replace(plain.train, vocabulary=vocabulary))


MODELS = {
    ALS: {"embedding_size": 8},
    BPR: {"embedding_size": 8},
    GRU4Rec: {"hidden_size": 24, "training": {"batch_size": 32, "epochs": 4, "learning_rate": 0.15}},
    SASRec: {"embedding_size": 16, "training": {"batch_size": 32, "epochs": 6}},
}
FRESH = pl.DataFrame({"item": [501, 502, 503], "group": ["group 2", "no such group", "group 0"]})


@pytest.mark.parametrize("kind", MODELS)
def test_a_cold_item_is_recommended_with_its_like(kind: type[Model], task: Task, tmp_path: Path) -> None:
    model = kind(**MODELS[kind]).fit(task.train)
    before = model.score(task.cases.prefixes[:20]).numpy()
    plain, model = model, model.add_items(FRESH, by="group")
    np.testing.assert_array_equal(plain.score(task.cases.prefixes[:20]).numpy(), before)
    with pytest.raises(ParameterError, match="prefixes: must be encoded with the catalogue of the model, 33 items"):
        model.score(task.cases.prefixes[:20])
    after = model.score(replace(task.cases.prefixes[:20], vocabulary=None)).numpy()
    np.testing.assert_allclose(after[:, 1:31], before[:, 1:31], rtol=1e-5, atol=1e-5)
    assert (after[:, 32] < after[:, 1:31].min(axis=1)).all()
    answer = model.recommend([111, 112, 113], k=33)  # Three items of group 2.
    assert answer.cold == {501: "similar items", 502: "fallback", 503: "similar items"}
    assert 501 in answer.items[:7]
    assert answer.items[-1] == 502
    assert answer.items.index(503) >= 7
    assert load(model.save(tmp_path / "model")).recommend([111, 112, 113], k=33) == answer
    for items in ([[32, 5, 31]], [[33, 1, 2]]):
        own = replace(task.cases.prefixes[:1], vocabulary=model.vocabulary)
        torch.testing.assert_close(
            model.score_items(own, np.array(items)), model.score(own)[:, items[0]], rtol=1e-5, atol=1e-5
        )


def test_items_are_added_while_others_ask(task: Task) -> None:
    """The model that answers stays as it is, so that no answer mixes the arrays of two catalogues."""
    model, prefixes = ALS(embedding_size=8).fit(task.train), task.cases.prefixes[:50]
    expected = model.top_k(prefixes, 10)[0]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(model.top_k, prefixes, 10) for _ in range(100)]
        grown = [pool.submit(model.add_items, FRESH, by="group") for _ in range(10)]
        for answer in asked:
            np.testing.assert_array_equal(answer.result()[0], expected)
        assert {len(one.result().vocabulary) for one in grown} == {33}
    assert len(model.vocabulary) == 30


@pytest.mark.parametrize("values", [["yes", "no"], [True, False]])
def test_metadata_may_be_called_cold(values: list[object], task: Task, tmp_path: Path) -> None:
    drinks = pl.Series("cold", values * 15)
    vocabulary = Vocabulary(task.train.vocabulary.table.with_columns(drinks))
    model = ALS(embedding_size=8).fit(replace(task.train, vocabulary=vocabulary))
    assert model.recommend([111, 112], k=30).cold == {}
    new = pl.DataFrame({"item": [501], "cold": [values[0]]})
    loaded = load(model.add_items(new, by="cold").save(tmp_path / "model"))
    assert loaded.recommend([111, 112], k=31).cold == {501: "similar items"}
    assert loaded.vocabulary.metadata == ("group", "cold")
    items = loaded.vocabulary.table
    assert Vocabulary.from_items(items["item"], items).cold(np.array([31])) == {}


def test_a_session_may_hold_cold_items(task: Task) -> None:
    model = ALS(embedding_size=8).fit(task.train).add_items(FRESH, by=["group"])
    of_its_group = set(range(111, 116)) | {501}
    assert len(of_its_group & set(model.recommend([501], k=6).items)) >= 5
    answer = model.recommend([502], k=33)
    assert (answer.source, answer.unknown) == ("popularity", [502])
    assert set(answer.cold.values()) == {"fallback"}
    assert model.recommend([111, 502], k=5).items == model.recommend([111], k=5).items


def test_what_cannot_be_compared_is_refused(task: Task) -> None:
    model = ALS(embedding_size=8).fit(task.train)
    with pytest.raises(
        ParameterError, match=r"by: must name metadata of the training items, got 'size'; there are: gr"
    ):
        model.add_items(FRESH, by="size")
    with pytest.raises(LogError, match=r"has no column for the item; it has 'thing', 'group'"):
        model.add_items(FRESH.rename({"item": "thing"}), by="group")
    with pytest.raises(ParameterError, match=r"items: must have ids of type Int64 as the training items, got text"):
        model.add_items(FRESH.with_columns(pl.lit("a1").alias("item")), by="group")
    with pytest.raises(ParameterError, match=r"items: must have the column 'group' to compare, got item"):
        model.add_items(FRESH.select("item"), by="group")
    with pytest.raises(ParameterError, match=r"markov: learns no embeddings of items"):
        Markov().fit(task.train).add_items(FRESH, by="group")
    with pytest.raises(ParameterError, match=r"markov: learns no embeddings of items"):
        Markov().fit(task.train).add_items({"item": [501]}, vectors={"item": [501], "vector": np.ones((1, 3))})


def test_counts_that_no_log_has_are_refused() -> None:
    for count in (-1, 2**60):
        items = NEW.with_columns(support=pl.Series([0, 0, 0, 9, count]))
        with pytest.raises(ParameterError, match=f"items, column 'support': must be from 0 to {2**53}, got {count}"):
            ColdItems.match(Vocabulary(TABLE), items, ["group"])


def test_items_that_are_all_known_change_nothing(task: Task) -> None:
    model = SASRec(embedding_size=8, training={"epochs": 1}).fit(task.train)
    before, table = model.arrays(), task.train.vocabulary.table
    column = next(name for name in table.columns if name not in ("item", "support"))
    model.add_items(table.select("item", column), by=column)
    for name, array in before.items():
        assert (model.arrays()[name] == array).all()
