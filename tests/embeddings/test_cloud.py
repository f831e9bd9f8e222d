"""Which vectors are drawn: those that score, without padding and without items that came later."""

import numpy as np
import polars as pl
import pytest
from clouds import groups, model_of

from segue import prepare
from segue.data.readers.read import read
from segue.data.synthetic import shop
from segue.embeddings.cloud import Cloud, cloud_of
from segue.errors import ParameterError
from segue.models.gru4rec import GRU4Rec
from segue.models.popularity import Popularity
from segue.models.sasrec import SASRec
from segue.models.two_stage import TwoStage


@pytest.fixture(scope="module")
def data():
    return prepare(shop(1000), split="ratio")


def test_padding_is_left_out() -> None:
    points = groups()
    found = cloud_of(model_of(points))
    np.testing.assert_array_equal(found.vectors, points.vectors)
    assert found.items.equals(points.items)


def test_items_that_came_later_are_left_out() -> None:
    points = groups()
    model = model_of(points).add_items(pl.DataFrame({"item": [7, 8], "kind": ["kind 1", "new"]}), by="kind")
    assert len(model.vocabulary) == len(points) + 2
    found = cloud_of(model)
    np.testing.assert_array_equal(found.vectors, points.vectors)
    assert found.items.equals(points.items)


@pytest.mark.parametrize("embedding", ["shared", "separate", "one-hot"])
def test_those_of_gru4rec_are_of_its_output_without_biases(data, embedding: str) -> None:
    parameters = {"hidden_size": 6, "embedding_size": 5, "embedding": embedding, "training": {"epochs": 1}}
    model = GRU4Rec(**parameters).fit(data.train)
    np.testing.assert_array_equal(cloud_of(model).vectors, model.network.output.detach().numpy()[1:, :6])


def test_one_of_two_stages_is_named(data) -> None:
    parameters = {"embedding_size": 4, "training": {"epochs": 1}}
    pair = TwoStage(retriever="als", ranker="sasrec", ranker_parameters=parameters).fit(data.train)
    with pytest.raises(ParameterError, match=r"two-stage: is two models.* retriever \(als\) or ranker \(sasrec\)"):
        cloud_of(pair)
    assert cloud_of(pair, stage="ranker").vectors.shape[1] == 4
    np.testing.assert_array_equal(cloud_of(pair, stage="retriever").vectors, pair.retriever.item_factors[1:])
    with pytest.raises(ParameterError, match="stage: must be left out for sasrec, which is one model, got 'ranker'"):
        cloud_of(SASRec(**parameters).fit(data.train), stage="ranker")


def test_a_model_without_vectors_is_refused(data) -> None:
    with pytest.raises(ParameterError, match="popularity: learns no vector per item"):
        cloud_of(Popularity().fit(data.train))


def test_two_items_are_no_picture() -> None:
    log = pl.DataFrame({"session": [0, 0, 1, 1, 2, 2] * 9, "item": [1, 2] * 27})
    train = prepare(read(log), split="ratio").train
    with pytest.raises(ParameterError, match="sasrec: must know at least 3 items for a picture, got 2"):
        cloud_of(SASRec(embedding_size=2, training={"epochs": 1}).fit(train))


def test_metadata_can_come_later() -> None:
    model = model_of(groups())
    table = pl.DataFrame({"item": ["101", "100", "999"], "kind": ["new", "own", "x"], "support": [7, 7, 7]})
    found = cloud_of(model, table)
    assert found.items["kind"].to_list()[:3] == ["own", "new", None]
    assert found.items["support"].to_list()[:3] == [1, 2, 3]
    with pytest.raises(ParameterError, match="items: must hold ids that the model was trained on"):
        cloud_of(model, pl.DataFrame({"item": ["x"], "kind": ["y"]}))


def test_items_are_called_by_their_names() -> None:
    items = pl.DataFrame({"item": [1, 2], "support": [1, 1], "movie_title": ["Up", None]})
    assert Cloud(np.eye(2, dtype=np.float32), items).names == ["Up", "2"]
    assert Cloud(np.eye(2, dtype=np.float32), items.drop("movie_title")).names == ["1", "2"]


def test_a_sample_is_repeatable_and_in_order() -> None:
    points = groups()
    rows = points.sample(30, seed=1)
    assert len(set(rows.tolist())) == 30
    assert rows.tolist() == sorted(rows.tolist()) == points.sample(30, seed=1).tolist()
    assert rows.tolist() != points.sample(30, seed=2).tolist()
    assert points.part(rows).items["item"].to_list() == [100 + row for row in rows]
    assert points.sample(len(points), seed=0).tolist() == list(range(len(points)))
