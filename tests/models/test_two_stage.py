"""Two stages: the contract, the order of the lists, what a list teaches, and what is refused where."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from chains import Task, blocks, browsing, markov_chain, prefixes, sessions
from contract import ModelContract
from stopped import assert_resumes

from segue.data.sessions import Prefixes
from segue.errors import ParameterError
from segue.evaluation.ranking import top_k
from segue.experiment.config import parse_settings
from segue.models.als import ALS
from segue.models.item_knn import ItemKNN
from segue.models.markov import Markov
from segue.models.popularity import Popularity
from segue.models.registry import load
from segue.models.reranking import listwise_loss
from segue.models.sasrec import SASRec
from segue.models.two_stage import TwoStage
from segue.parameters import merge
from segue.progress import Progress
from segue.training.objectives import ListwiseLoss

SMALL_SASREC: dict = {
    "embedding_size": 16,
    "max_length": 8,
    "dropout": 0.0,
    "training": {"batch_size": 32, "epochs": 6, "learning_rate": 0.01},
}


class TestTwoStage(ModelContract):
    model = TwoStage
    parameters: ClassVar = {
        "retriever": "item-knn",
        "ranker": "sasrec",
        "candidates": 12,
        "ranker_parameters": SMALL_SASREC,
    }
    make_task = staticmethod(markov_chain)

    @classmethod
    def brief(cls) -> TwoStage:
        return TwoStage(**merge(cls.parameters, {"ranker_parameters": {"training": {"epochs": 1}}}))


@pytest.fixture(scope="module")
def log() -> tuple:
    return browsing()


@pytest.mark.parametrize("candidates", [1, 7, 59, 60, 200])
def test_candidates_come_first_in_the_order_of_the_ranker_then_all_others_in_that_of_the_retriever(
    candidates: int, log: tuple
) -> None:
    train, running = log
    some = prefixes(*running[:30])
    retriever, ranker = ItemKNN().fit(train), Markov().fit(train)
    pair = TwoStage.of(retriever, ranker, candidates=candidates)
    of_retriever, of_ranker = retriever.score(some).numpy(), ranker.score(some).numpy()
    scores = pair.score(some).numpy()
    support = train.vocabulary.support
    for row in range(len(some)):
        # The items of the session are candidates and take no place from others.
        by_retriever = sorted(range(1, 61), key=lambda item: (-of_retriever[row, item], -support[item], item))
        seen = set(some.items[some.starts[row] : some.ends[row]].tolist())
        found = [item for item in by_retriever if item not in seen][:candidates]
        chosen = [*seen, *found]
        others = [item for item in by_retriever if item not in chosen]
        np.testing.assert_array_equal(scores[row, chosen], of_ranker[row, chosen])
        assert max((scores[row, item] for item in others), default=-np.inf) < min(scores[row, item] for item in chosen)
        assert (np.diff(scores[row, others]) <= 0).all()
        # What the retriever tells apart by more than rounding stays apart.
        apart = np.diff(of_retriever[row, others]) < -1e-4
        assert (np.diff(scores[row, others])[apart] < 0).all()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_scores_of_any_size_keep_both_orders(scale: float, log: tuple) -> None:
    train, running = log
    some = prefixes(*running[:30])
    retriever, ranker = Popularity().fit(train), Popularity().fit(train)
    retriever.counts = np.arange(61, dtype=np.float32) * np.float32(1e-9 / scale)
    ranker.counts = np.arange(61, 0, -1).astype(np.float32) * np.float32(scale)
    scores = TwoStage.of(retriever, ranker, candidates=5).score(some).numpy()
    for row in range(len(some)):
        seen = set(some.items[some.starts[row] : some.ends[row]].tolist())
        chosen = {*seen, *[item for item in range(60, 0, -1) if item not in seen][:5]}
        others = [item for item in range(60, 0, -1) if item not in chosen]
        assert np.isfinite(scores[row, 1:]).all()
        assert (np.diff(scores[row, sorted(chosen)]) < 0).all()
        assert (np.diff(scores[row, others]) < 0).all()
        assert max(scores[row, others]) < min(scores[row, sorted(chosen)])


def hit_rate(scores: torch.Tensor, task: Task) -> float:
    target = scores[np.arange(len(task.cases)), task.cases.targets][:, None]
    return ((scores[:, 1:] >= target).sum(1) <= task.k).double().mean().item()


@pytest.mark.parametrize(("loss", "ranker", "epochs"), [("listnet", "bert4rec", 5), ("lambdarank", "sasrec", 12)])
def test_a_listwise_loss_teaches_the_ranker_the_order_of_the_candidates(loss: str, ranker: str, epochs: int) -> None:
    task = markov_chain(n_items=20, n_sessions=300)
    own = {"training": {"batch_size": 32, "epochs": 1, "learning_rate": 1e-5}}
    plan = {
        "retriever": "popularity",
        "ranker": ranker,
        "ranker_parameters": {"embedding_size": 16, "max_length": 8, "dropout": 0.0, **own},
        "candidates": 20,
    }
    before = hit_rate(TwoStage(**plan).fit(task.train).score(task.cases.prefixes), task)
    pair = TwoStage(**plan, listwise={"loss": loss, "epochs": epochs, "learning_rate": 0.02}).fit(task.train)
    assert before < 0.3 * task.optimum
    assert hit_rate(pair.score(task.cases.prefixes), task) > 0.9 * task.optimum


def test_lists_that_make_it_worse_are_taken_back() -> None:
    task = markov_chain(n_items=20, n_sessions=300)
    plan = {"retriever": "item-knn", "candidates": 5, "ranker_parameters": SMALL_SASREC}
    valid = task.cases[:200]
    plain = TwoStage(**plan).fit(task.train, valid=valid)
    spoilt = TwoStage(**plan, listwise={"loss": "listnet", "epochs": 1, "learning_rate": 5.0})
    spoilt.fit(task.train, valid=valid)
    for name, array in plain.arrays().items():
        np.testing.assert_array_equal(array, spoilt.arrays()[name], err_msg=name)


def test_two_fitted_models_make_one_that_is_saved_whole(tmp_path: Path) -> None:
    task = blocks()
    retriever, ranker = ItemKNN().fit(task.train), SASRec(**SMALL_SASREC).fit(task.train)
    pair = TwoStage.of(retriever, ranker, candidates=8)
    loaded = load(pair.save(tmp_path / "pair"))
    assert isinstance(loaded, TwoStage)
    assert loaded.ranker.config == ranker.config
    assert torch.equal(loaded.score(task.cases.prefixes[:50]), pair.score(task.cases.prefixes[:50]))
    assert {name.split("/")[0] for name in pair.arrays()} == {"retriever", "ranker"}
    other = Popularity().fit(sessions([[1, 2], [2, 1]], 2))
    with pytest.raises(ParameterError, match="retriever: must be encoded with the catalogue of the model, 2 items"):
        TwoStage.of(retriever, other)


@pytest.mark.parametrize("epoch", [2, 4, 5])
def test_an_interrupted_training_goes_on(epoch: int, tmp_path: Path) -> None:
    """Three epochs of the ranker alone, and two on the lists."""
    task = markov_chain(n_items=20, n_sessions=200)
    own = {**SMALL_SASREC, "training": {**SMALL_SASREC["training"], "epochs": 3}}
    plan = {"retriever": "markov", "ranker_parameters": own, "listwise": {"loss": "listnet", "epochs": 2}}
    assert_resumes(lambda runtime: TwoStage(**plan).fit(task.train, runtime=runtime), epoch, tmp_path)


def test_the_ranker_learns_from_lists_of_candidates() -> None:
    task = blocks()
    pair = TwoStage(retriever="item-knn", candidates=5, ranker_parameters=SMALL_SASREC).fit(task.train)
    auxiliary = listwise_loss(pair.retriever, task.train, "listnet", pair.config.candidates, Progress())
    events, starts = task.train.targets()
    prefixes = task.train.prefixes(starts, events)
    candidates = pair._candidates(prefixes)
    retrieved = auxiliary._retrieved[auxiliary._rows[events]]
    assert (retrieved > 0).all()
    assert (retrieved[:, :, None] == candidates[:, None, :]).any(axis=2).all()


def test_a_list_that_has_ended_is_no_negative() -> None:
    items = np.array([1, 2], dtype=np.int32)
    states, table = torch.randn(1, 4), torch.randn(6, 4)
    event = torch.tensor([1])
    losses = [
        ListwiseLoss(np.array([-1, 0]), np.array([row], dtype=np.int32), items, "listnet").loss(states, event, table)
        for row in ([4, 5], [4, 5, 0, 0])
    ]
    assert torch.equal(*losses)


def test_a_fine_tuning_without_times_is_refused_before_the_retriever_is_trained() -> None:
    task = blocks()
    own = {"training": {"fine_tuning": {"epochs": 1, "last_days": 2.0}}}
    pair = TwoStage(retriever="als", ranker_parameters=own)
    place = r"two-stage\.ranker_parameters\.training\.fine_tuning\.last_days: needs a log with times"
    with pytest.raises(ParameterError, match=place):
        pair.fit(replace(task.train, times=None))
    assert not hasattr(pair.retriever, "vocabulary")


def test_new_items_need_two_models_that_can_take_them() -> None:
    task = blocks()
    table = task.train.vocabulary.table
    table.insert_column(2, pl.Series("group", (table["item"] - 101) // 5))
    new = pl.DataFrame({"item": [900], "group": [0]})
    pair = TwoStage(retriever="bpr", ranker="fpmc", candidates=8).fit(task.train)
    answer = pair.add_items(new, by="group").recommend([101, 102], k=8)
    assert answer.cold == {900: "similar items"}
    with pytest.raises(
        ParameterError, match=r"two-stage: cannot score items that .* because markov learns no embeddings"
    ):
        TwoStage(retriever="markov", ranker="fpmc").fit(task.train).add_items(new, by="group")


def test_settings_reach_both_models() -> None:
    typed = [
        "two-stage.retriever=v-sknn",
        "two-stage.ranker=narm",
        "two-stage.retriever_parameters.k=50",
        "two-stage.ranker_parameters.training.epochs=5",
    ]
    pair = TwoStage(**parse_settings(typed)["two-stage"])
    assert (pair.retriever.name, pair.retriever.config.k) == ("v-sknn", 50)
    assert (pair.ranker.name, pair.ranker.config.training.epochs) == ("narm", 5)


@pytest.mark.parametrize(
    ("parameters", "messages"),
    [
        (
            {"retriever": "als2", "ranker": "two-stage"},
            ["two-stage.retriever: unknown model 'als2'", "two-stage.ranker: unknown model 'two-stage'"],
        ),
        (
            {
                "retriever_parameters": {"embedding_size": 0},
                "ranker_parameters": {"training": {"epoch": 1, "epochs": -1}},
            },
            [
                "two-stage.retriever_parameters.embedding_size: must be greater than or equal to 1, got 0",
                "two-stage.ranker_parameters.training.epochs: must be greater than or equal to 1, got -1",
                "unknown parameter of two-stage.ranker_parameters 'training.epoch': did you mean 'training.epochs'",
            ],
        ),
        (
            {"ranker": "bert4rec", "ranker_parameters": {"training": {"positions": "all"}}},
            ["two-stage.ranker_parameters.training.positions: must be 'last' (or 'auto'), got 'all'"],
        ),
        (
            {"ranker": "v-sknn", "listwise": {"loss": "listnet"}},
            ["two-stage.listwise.loss: must be none with the ranker 'v-sknn', got 'listnet'"],
        ),
    ],
)
def test_mistakes_name_the_place(parameters: dict, messages: list[str]) -> None:
    with pytest.raises(ParameterError) as caught:
        TwoStage(**parameters)
    lines = sorted(str(caught.value).splitlines())
    assert len(lines) == len(messages)
    for line, message in zip(lines, sorted(messages), strict=True):
        assert line.startswith(message)


def test_what_one_of_the_models_refuses_names_the_place() -> None:
    train = sessions([[1, 2], [2, 1]], 2)
    pair = TwoStage(retriever="fpmc", retriever_parameters={"user": True}, ranker_parameters={"features": ["shop"]})
    with pytest.raises(ParameterError) as caught:
        pair.fit(train)
    places = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert places == ["two-stage.retriever_parameters.user", "two-stage.ranker_parameters.features"]


class Broken(SASRec):
    """Scores item 7 as no number."""

    name = "broken"

    def _score(self, prefixes: Prefixes) -> torch.Tensor:
        scores = super()._score(prefixes)
        scores[:, 7] = torch.nan
        return scores

    def _score_items(self, prefixes: Prefixes, items: np.ndarray) -> torch.Tensor:
        scores = super()._score_items(prefixes, items)
        return scores.masked_fill(torch.from_numpy(items == 7), torch.nan)


def test_a_score_that_is_no_number_is_never_listed() -> None:
    task = blocks()
    pair = TwoStage.of(ItemKNN().fit(task.train), SASRec(**SMALL_SASREC).fit(task.train), candidates=10)
    pair.parts["ranker"] = Broken(**SMALL_SASREC).restore(pair.ranker.arrays(), task.train.vocabulary)
    some = task.cases.prefixes[:60]
    expected, _ = top_k(pair.score(some), 30, order=task.train.vocabulary.order)
    items, scores = pair.top_k(some, 30)
    np.testing.assert_array_equal(items, expected)
    assert not np.isnan(scores).any()


def test_the_models_of_a_pair_are_not_changed_by_another_fit() -> None:
    task = blocks()
    retriever = ALS(embedding_size=4).fit(task.train)
    pair = TwoStage.of(retriever, SASRec(**SMALL_SASREC).fit(task.train), candidates=10)
    before = retriever.item_factors.copy()
    other = pair.fit(task.train, seed=7)
    assert other is not pair
    np.testing.assert_array_equal(retriever.item_factors, before)
    assert pair.retriever is retriever
    assert other.retriever is not retriever
