"""Which vectors are drawn: those that score, without padding and without items that came later.

Neighbours are compared with a naive search, purity with cases worked by hand.
"""

import numpy as np
import polars as pl
import pytest
from clouds import cloud, groups, model_of

from segue import prepare
from segue.data.readers.read import read
from segue.data.synthetic import shop
from segue.embeddings import vectors as module
from segue.embeddings.vectors import ItemVectors, category_purity, item_vectors, nearest_neighbours
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
    found = item_vectors(model_of(points))
    np.testing.assert_array_equal(found.vectors, points.vectors)
    assert found.items.equals(points.items)


def test_items_that_came_later_are_left_out() -> None:
    points = groups()
    model = model_of(points).add_items(pl.DataFrame({"item": [7, 8], "kind": ["kind 1", "new"]}), by="kind")
    assert len(model.vocabulary) == len(points) + 2
    found = item_vectors(model)
    np.testing.assert_array_equal(found.vectors, points.vectors)
    assert found.items.equals(points.items)


@pytest.mark.parametrize("embedding", ["shared", "separate", "one-hot"])
def test_those_of_gru4rec_are_of_its_output_without_biases(data, embedding: str) -> None:
    parameters = {"hidden_size": 6, "embedding_size": 5, "embedding": embedding, "training": {"epochs": 1}}
    model = GRU4Rec(**parameters).fit(data.train)
    np.testing.assert_array_equal(item_vectors(model).vectors, model.network.output.detach().numpy()[1:, :6])


def test_one_of_two_stages_is_named(data) -> None:
    parameters = {"embedding_size": 4, "training": {"epochs": 1}}
    pair = TwoStage(retriever="als", ranker="sasrec", ranker_parameters=parameters).fit(data.train)
    with pytest.raises(ParameterError, match=r"two-stage: is made of models.* retriever \(als\) or ranker \(sasrec\)"):
        item_vectors(pair)
    assert item_vectors(pair, stage="ranker").vectors.shape[1] == 4
    np.testing.assert_array_equal(item_vectors(pair, stage="retriever").vectors, pair.retriever.item_factors[1:])
    with pytest.raises(ParameterError, match="stage: must be left out for sasrec, which is one model, got 'ranker'"):
        item_vectors(SASRec(**parameters).fit(data.train), stage="ranker")


def test_a_model_without_vectors_is_refused(data) -> None:
    with pytest.raises(ParameterError, match="popularity: has no item vectors"):
        item_vectors(Popularity().fit(data.train))


def test_two_items_are_no_picture() -> None:
    log = pl.DataFrame({"session": [0, 0, 1, 1, 2, 2] * 9, "item": [1, 2] * 27})
    train = prepare(read(log), split="ratio").train
    with pytest.raises(ParameterError, match="sasrec: must know at least 3 items for a picture, got 2"):
        item_vectors(SASRec(embedding_size=2, training={"epochs": 1}).fit(train))


def test_metadata_can_come_later() -> None:
    model = model_of(groups())
    table = pl.DataFrame({"item": ["101", "100", "999"], "kind": ["new", "own", "x"], "support": [7, 7, 7]})
    found = item_vectors(model, table)
    assert found.items["kind"].to_list()[:3] == ["own", "new", None]
    assert found.items["support"].to_list()[:3] == [1, 2, 3]
    with pytest.raises(ParameterError, match="items: must contain ids that the model was trained on"):
        item_vectors(model, pl.DataFrame({"item": ["x"], "kind": ["y"]}))


def test_items_are_called_by_their_names() -> None:
    items = pl.DataFrame({"item": [1, 2], "support": [1, 1], "movie_title": ["Up", None]})
    assert ItemVectors(np.eye(2, dtype=np.float32), items).names == ["Up", "2"]
    assert ItemVectors(np.eye(2, dtype=np.float32), items.drop("movie_title")).names == ["1", "2"]


def test_a_sample_is_repeatable_and_in_order() -> None:
    points = groups()
    rows = points.sample(30, seed=1)
    assert len(set(rows.tolist())) == 30
    assert rows.tolist() == sorted(rows.tolist()) == points.sample(30, seed=1).tolist()
    assert rows.tolist() != points.sample(30, seed=2).tolist()
    assert points.select(rows).items["item"].to_list() == [100 + row for row in rows]
    assert points.sample(len(points), seed=0).tolist() == list(range(len(points)))


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_neighbours_are_those_of_a_naive_search(similarity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = cloud(np.random.default_rng(0).standard_normal((50, 6)))
    monkeypatch.setattr(module, "_CELLS", 350)  # Seven items at once.
    found = nearest_neighbours(points, 5, similarity)
    vectors = points.unit_vectors if similarity == "cosine" else points.vectors
    for row in range(50):
        scores = [(-np.inf if other == row else float(vectors[row] @ vectors[other])) for other in range(50)]
        assert found.rows[row].tolist() == np.argsort(scores)[::-1][:5].tolist()
        np.testing.assert_allclose(found.similarities[row], sorted(scores)[::-1][:5], atol=1e-5)
    some = nearest_neighbours(points, 5, similarity, of=np.array([7, 3]))
    np.testing.assert_array_equal(some.rows, found.rows[[7, 3]])


def test_there_are_no_more_neighbours_than_other_items() -> None:
    found = nearest_neighbours(cloud(np.eye(4)), 10)
    assert found.rows.shape == (4, 3)
    assert all(row not in found.rows[row] for row in range(4))


def test_a_vector_of_zeros_is_like_nothing() -> None:
    assert nearest_neighbours(cloud([[0, 0], [1, 0], [0, 1]]), 2).similarities[0].tolist() == [0, 0]


def test_purity_by_hand() -> None:
    # On a line of directions: a a b | b b a, the two nearest of each are the two others of its half.
    angles = np.array([0, 1, 2, 90, 91, 92]) * np.pi / 180
    points = cloud(np.column_stack([np.cos(angles), np.sin(angles)]))
    found = category_purity(points, pl.Series(list("aabbba")), k=2)
    assert found is not None
    # a: 1/2, a: 1/2, b: 0, b: 1/2, b: 1/2, a: 0; by chance a pair is alike in 2 x 3 x 2 of 6 x 5 cases.
    assert (found.value, found.chance) == (pytest.approx(2 / 6), pytest.approx(12 / 30))
    assert (found.k, found.items, found.categories) == (2, 6, 2)


def test_items_without_a_category_take_no_part() -> None:
    points = groups(per_group=12, count=2)
    kinds = points.items["kind"].to_list()
    with_gaps = pl.Series([None if row % 12 == 0 else kind for row, kind in enumerate(kinds)])
    found = category_purity(points, with_gaps)
    assert found is not None
    assert (found.value, found.items) == (1.0, 22)
    assert category_purity(points, pl.Series([None] * 24, dtype=pl.String)) is None


def test_pure_groups_and_mixed_ones() -> None:
    points = groups()
    pure = category_purity(points, points.items["kind"])
    mixed = category_purity(points, points.items["kind"].shuffle(seed=0))
    assert pure is not None
    assert mixed is not None
    assert pure.value > 0.95
    assert abs(mixed.value - mixed.chance) < 0.05


def test_an_item_is_found_by_id_and_by_name() -> None:
    points = groups()
    assert points.find("103") == points.find("Product 3") == 3
    with pytest.raises(ParameterError, match=r"got 'Product 33x'; did you mean 'Product 33' \(133\)[,?]"):
        points.find("Product 33x")
    twins = cloud(np.eye(3), name=["pan", "pan", "105"])
    assert twins.find("102") == 2
    with pytest.raises(ParameterError, match=r"'pan' is the name of 2; give an id \(100, 101\)"):
        twins.find("pan")
