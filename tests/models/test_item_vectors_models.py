"""What networks learn from vectors of items, and how cold items are scored by theirs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from chains import Task, blocks
from sklearn.decomposition import PCA
from stopped import assert_resumes

from interrupted import stop_at
from segue.data.cold_items import ColdItems
from segue.data.content_vectors import ContentVectors, LinearMap
from segue.data.sessions import Sessions
from segue.data.vocabulary import COLD, VECTOR, Vocabulary
from segue.errors import ParameterError, SegueError
from segue.models.als import ALS
from segue.models.attention_clustering import AttentionClustering
from segue.models.base import Model
from segue.models.bert4rec import BERT4Rec
from segue.models.blend import Blend
from segue.models.gru4rec import GRU4Rec
from segue.models.hstu import HSTU
from segue.models.markov import Markov
from segue.models.registry import load
from segue.models.sasrec import SASRec
from segue.models.sequence import SequenceModel
from segue.models.two_stage import TwoStage
from segue.training.runtime import Runtime

SIZE = 7
QUICK = {"embedding_size": 8, "max_length": 5, "training": {"epochs": 1}}
NEW = pl.DataFrame({"item": [501, 502]})


def content(blocks_of: list[int], seed: int = 5) -> np.ndarray:
    """Return vectors around one center per block."""
    centers = np.random.default_rng(0).normal(size=(6, SIZE))
    return (3 + centers[blocks_of] + 0.1 * np.random.default_rng(seed).normal(size=(len(blocks_of), SIZE))).astype(
        np.float32
    )


def with_vectors(train: Sessions, rows: np.ndarray) -> Sessions:
    return replace(train, vocabulary=Vocabulary(train.vocabulary.table.with_columns(pl.Series(VECTOR, rows))))


OLD = content([number // 5 for number in range(30)])
FRESH = {"item": [501, 502, 503], "vector": content([2, 0, 5], seed=6)}
EVERY = {"item": [*range(101, 131), *FRESH["item"]], "vector": np.concatenate([OLD, FRESH["vector"]])}


@pytest.fixture(scope="module")
def task() -> Task:
    plain = blocks()
    return replace(plain, train=with_vectors(plain.train, OLD))


@pytest.fixture(scope="module")
def plain() -> Task:
    return blocks()


def test_initial_embeddings_are_scaled_principal_components(task: Task) -> None:
    model = SASRec(**{**QUICK, "embedding_size": 4}, item_vectors="initial")
    model.fit_preprocessing(task.train)
    torch.manual_seed(0)
    usual = model.assemble().items.detach()
    torch.manual_seed(0)
    table = model.initialize().items.detach().numpy()
    components = PCA(4, svd_solver="full").fit_transform(OLD)
    spread = usual[1:].numpy().std()
    np.testing.assert_allclose(table[1:], components * spread / np.sqrt((components**2).mean()), atol=1e-5)
    assert table[1:].std() == pytest.approx(spread, rel=1e-3)
    assert not table[0].any()


def test_narrow_vectors_and_items_without_one_keep_their_usual_start(task: Task) -> None:
    table = task.train.vocabulary.table
    some = pl.select(pl.when(pl.Series([True] * 20 + [False] * 10)).then(table[VECTOR])).to_series()
    vocabulary = Vocabulary(table.with_columns(some.alias(VECTOR)))
    model = SASRec(**{**QUICK, "embedding_size": 10}, item_vectors="initial")
    model.fit_preprocessing(replace(task.train, vocabulary=vocabulary))
    torch.manual_seed(0)
    usual = model.assemble().items.detach()
    torch.manual_seed(0)
    items = model.initialize().items.detach()
    assert torch.equal(items[21:], usual[21:])
    assert torch.equal(items[:, SIZE:], usual[:, SIZE:])
    assert not torch.isclose(items[1:21, :SIZE], usual[1:21, :SIZE]).any()


@pytest.mark.parametrize("kind", [SASRec, BERT4Rec, HSTU, AttentionClustering])
def test_features_are_embeddings_plus_projected_vectors(kind: type[SequenceModel], task: Task) -> None:
    model = kind(**QUICK, item_vectors="features").fit(task.train)
    network, arrays = model.network, model.arrays()
    projected = ContentVectors.of(task.train.vocabulary).standardised() @ arrays["vectors.weight"]
    expected = arrays["items"] + projected
    np.testing.assert_allclose(network.item_table().detach().numpy(), expected, atol=1e-6)
    ids = torch.tensor([[0, 3, 7]])
    np.testing.assert_allclose(network.lookup(ids).detach().numpy()[0], expected[[0, 3, 7]], atol=1e-6)
    np.testing.assert_allclose(network.rows(ids[0]).detach(), network.table()[ids[0]].detach(), atol=1e-6)
    scored = expected / np.linalg.norm(expected, axis=1, keepdims=True).clip(1e-6) if kind is HSTU else expected
    np.testing.assert_allclose(model.item_vectors(), scored, atol=1e-5)
    assert not expected[0].any()
    states = network.encode(task.cases.prefixes[:4]).detach()
    np.testing.assert_allclose(
        model.score(task.cases.prefixes[:4])[:, 1:], network.logits(states).detach()[:, 1:], atol=1e-4
    )


@pytest.mark.parametrize("optimizer", ["adamw", "adagrad", "mixed"])
def test_every_optimizer_learns_the_projection(optimizer: str, task: Task) -> None:
    weights = []
    for epochs in (1, 2):
        training = {"epochs": epochs, "optimizer": optimizer, "loss": {"kind": "sampled-softmax", "n_samples": 5}}
        model = SASRec(**{**QUICK, "training": training}, item_vectors="features").fit(task.train)
        weights.append(model.arrays()["vectors.weight"])
    assert np.abs(weights[1] - weights[0]).mean() > 1e-4


@pytest.mark.parametrize("use", ["initial", "features"])
def test_a_model_keeps_its_vectors_and_needs_no_file(use: str, task: Task, tmp_path: Path) -> None:
    model = SASRec(**QUICK, item_vectors=use).fit(task.train)
    again = load(model.save(tmp_path / "model"))
    some = task.cases.prefixes[:20]
    assert torch.equal(again.score(some), model.score(some))
    assert again.vocabulary.table.equals(model.vocabulary.table)
    assert VECTOR in again.vocabulary.table.columns
    second = SASRec(**QUICK, item_vectors=use).fit(task.train)
    assert all(np.array_equal(array, second.arrays()[name]) for name, array in model.arrays().items())
    assert "vectors.vectors" not in model.arrays()


def test_a_restored_model_without_its_vectors_is_refused(task: Task) -> None:
    model = SASRec(**QUICK, item_vectors="features").fit(task.train)
    with pytest.raises(ParameterError, match=r"sasrec.item_vectors: 'features' needs vectors of the items"):
        SASRec(model.config).restore(model.arrays(), model.vocabulary.without_vectors())


@pytest.mark.parametrize("kind", [SASRec, GRU4Rec, Markov])
def test_models_that_do_not_use_vectors_are_as_without(
    kind: type[Model], task: Task, plain: Task, tmp_path: Path
) -> None:
    parameters = {} if kind is Markov else {"training": {"epochs": 1}}
    one, other = kind(**parameters).fit(task.train), kind(**parameters).fit(plain.train)
    assert not one.uses_item_vectors
    assert all(np.array_equal(array, other.arrays()[name]) for name, array in one.arrays().items())
    files = [model.save(tmp_path / name) for name, model in (("one", one), ("other", other))]
    pairs = [[path.read_bytes() for path in sorted(folder.iterdir())] for folder in files]
    assert pairs[0] == pairs[1]


def test_vectors_are_asked_for(plain: Task) -> None:
    with pytest.raises(ParameterError, match=r"sasrec.item_vectors: 'initial' needs vectors .* --item-vectors"):
        SASRec(item_vectors="initial").fit(plain.train)
    with pytest.raises(ParameterError, match=r"two-stage.ranker_parameters.item_vectors: 'features' needs vectors"):
        TwoStage(retriever="markov", ranker_parameters={"item_vectors": "features"}).fit(plain.train)


def test_a_training_is_resumed_with_the_same_vectors_only(task: Task, tmp_path: Path) -> None:
    parameters = {**QUICK, "item_vectors": "features", "training": {"epochs": 3}}
    assert_resumes(lambda run: SASRec(**parameters).fit(task.train, runtime=run), 2, tmp_path)
    with stop_at(2):
        SASRec(**parameters).fit(task.train, runtime=Runtime("cpu", checkpoint=tmp_path / "other"))
    changed = OLD.copy()
    changed[3, 0] += 1e-4
    with pytest.raises(SegueError, match="training sessions"):
        SASRec(**parameters).fit(
            with_vectors(task.train, changed), runtime=Runtime("cpu", checkpoint=tmp_path / "other", resume=True)
        )


def test_a_pair_keeps_the_vectors_of_either_model(task: Task, tmp_path: Path) -> None:
    pair = TwoStage(retriever="als", ranker_parameters={**QUICK, "item_vectors": "features"}).fit(task.train)
    assert VECTOR not in pair.retriever.vocabulary.table.columns
    again = load(pair.save(tmp_path / "pair"))
    some = task.cases.prefixes[:9]
    assert torch.equal(again.score(some), pair.score(some))
    assert len(again.add_items(FRESH, vectors=FRESH).vocabulary) == 33
    reverse = TwoStage.of(SASRec(**QUICK, item_vectors="features").fit(task.train), ALS().fit(task.train))
    assert VECTOR in reverse.vocabulary.table.columns
    other = SASRec(**QUICK, item_vectors="initial").fit(with_vectors(task.train, OLD + 1))
    with pytest.raises(ParameterError, match="retriever: must use the same vectors of items"):
        TwoStage.of(reverse.retriever, other)
    assert VECTOR in Blend.of([ALS().fit(task.train), reverse.retriever]).vocabulary.table.columns
    third = BERT4Rec(**QUICK, item_vectors="initial").fit(with_vectors(task.train, OLD + 1))
    with pytest.raises(ParameterError, match="models: must use the same vectors of items"):
        Blend.of([reverse.retriever, third])


COLD_MODELS = {
    ALS: {"embedding_size": 8},
    GRU4Rec: {"hidden_size": 24, "training": {"batch_size": 32, "epochs": 4, "learning_rate": 0.15}},
    SASRec: {"embedding_size": 16, "training": {"batch_size": 32, "epochs": 6}, "item_vectors": "features"},
}


@pytest.mark.parametrize("kind", COLD_MODELS)
def test_a_cold_item_is_recommended_where_its_vector_says(kind: type[Model], task: Task, tmp_path: Path) -> None:
    model = kind(**COLD_MODELS[kind]).fit(task.train)
    grown = load(model.save(tmp_path / "model")).add_items(FRESH, vectors=EVERY)
    for block, cold in ((2, 501), (0, 502), (5, 503)):
        first = 101 + 5 * block
        answer = grown.recommend([first, first + 1, first + 2], k=33)
        assert cold in answer.items[:8]
        assert all(answer.items.index(other) > answer.items.index(cold) for other in {501, 502, 503} - {cold})
        assert answer.cold == dict.fromkeys((501, 502, 503), "similar items")
    before = model.score(task.cases.prefixes[:20])
    after = grown.score(replace(task.cases.prefixes[:20], vocabulary=None))
    np.testing.assert_allclose(after[:, 1:31], before[:, 1:], rtol=1e-5, atol=1e-5)
    assert load(grown.save(tmp_path / "grown")).recommend([111, 112], k=33) == grown.recommend([111, 112], k=33)


def test_cold_rows_are_those_of_the_linear_map(task: Task) -> None:
    als = ALS(embedding_size=3).fit(task.train)
    found = als.add_items(FRESH, vectors=EVERY).item_factors
    np.testing.assert_array_equal(found[:31], als.item_factors)
    linear = LinearMap(OLD, task.train.vocabulary.support[1:])
    expected = linear.predict(als.item_factors[1:], FRESH["vector"])
    np.testing.assert_allclose(found[31:], expected, rtol=1e-5)
    sasrec = SASRec(**QUICK, item_vectors="features").fit(task.train)
    grown = sasrec.add_items(FRESH, vectors=FRESH)  # It keeps the vectors of the training items.
    rows = linear.predict(sasrec.arrays()["items"][1:], FRESH["vector"])
    content = ContentVectors.of(grown.vocabulary).standardised()[31:]
    np.testing.assert_allclose(grown.item_vectors()[31:], rows + content @ sasrec.arrays()["vectors.weight"], atol=1e-5)


def test_items_without_a_vector_fall_back_on_metadata() -> None:
    table = pl.DataFrame({"item": [1, 2, 3], "support": [3, 2, 1], "group": ["a", "a", "b"]})
    new = pl.DataFrame({"item": [4, 5, 6], "group": ["b", "a", "c"]})
    vectors = pl.DataFrame({"item": [1, 2, 3, 4, 9]}).with_columns(
        pl.Series(VECTOR, np.array([[0.0], [1.0], [2.0], [1.0], [1.0]], dtype=np.float32))
    )
    cold = ColdItems.match(Vocabulary(table), new, ["group"], vectors)
    assert cold.vocabulary.table[COLD].to_list() == [None] * 3 + ["similar items", "similar items", "fallback"]
    assert VECTOR not in cold.vocabulary.table.columns
    rows = cold.extend(np.array([0.0, 10.0, 20.0, 30.0]))
    assert rows[4:].tolist() == [pytest.approx(20, abs=0.1), 15, 0]  # Row and vector are proportional.


def test_items_can_be_added_by_vectors_twice(task: Task) -> None:
    model = SASRec(**QUICK, item_vectors="features").fit(task.train)
    once = model.add_items({"item": [501, 502]}, vectors=FRESH)
    twice = once.add_items({"item": [503]}, vectors=FRESH)
    together = model.add_items({"item": [501, 502, 503]}, vectors=FRESH)
    np.testing.assert_allclose(twice.item_vectors(), together.item_vectors(), atol=1e-6)


def test_vectors_that_do_not_fit_are_refused(task: Task) -> None:
    als, sasrec = ALS(embedding_size=3).fit(task.train), SASRec(**QUICK, item_vectors="features").fit(task.train)
    with pytest.raises(ParameterError, match="vectors: must have vectors of the training items, too"):
        als.add_items(FRESH, vectors=FRESH)
    with pytest.raises(ParameterError, match="vectors: must have 7 numbers as those of the training, got 2"):
        sasrec.add_items(FRESH, vectors={"item": [501], "vector": np.ones((1, 2))})
    with pytest.raises(ParameterError, match=r"vectors: must be of the same model .* of 30 of 30 training items"):
        sasrec.add_items(FRESH, vectors={**EVERY, "vector": EVERY["vector"] + 1})
    with pytest.raises(ParameterError, match=r"by: must name at least one metadata column .* or give vectors"):
        als.add_items(FRESH)
    with pytest.raises(ParameterError, match="learns no embeddings"):
        Markov().fit(task.train).add_items(FRESH, vectors=EVERY)
