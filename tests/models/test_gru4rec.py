from typing import ClassVar

import numpy as np
import pytest
import torch
from chains import Task, blocks, hit_rate, markov_chain, prefixes
from neural_contract import NeuralModelContract

from segue.data.sessions import Sessions
from segue.errors import EmptyDataError, ParameterError
from segue.evaluation.measure import measure
from segue.models.gru4rec import GRU4Rec, GRU4RecTraining
from segue.parameters import kinds_of, merge
from segue.training.runtime import Runtime

SMALL: dict = {
    "hidden_size": 24,
    "training": {"batch_size": 32, "loss": {"n_samples": 64}, "epochs": 4, "learning_rate": 0.15},
}


def small(**parameters: object) -> GRU4Rec:
    training = merge(SMALL["training"], parameters.pop("training", {}))
    return GRU4Rec(**{**SMALL, **parameters, "training": training})


class TestGRU4Rec(NeuralModelContract):
    model = GRU4Rec
    parameters: ClassVar = SMALL
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "hidden_size": 24,
        "layers": 2,
        "dropout_embedding": 0.1,
        "dropout_hidden": 0.1,
        "training": {"batch_size": 32, "loss": {"n_samples": 64}, "epochs": 6, "patience": None, "clip_norm": 5.0},
    }


@pytest.fixture(scope="module")
def chain() -> Task:
    return markov_chain(n_items=20, n_sessions=500)


@pytest.mark.parametrize("loss", kinds_of(GRU4RecTraining.model_fields["loss"]))
def test_every_loss_learns(loss: str, chain: Task) -> None:
    options = {"kind": loss, "activation": "elu"} if loss == "bpr-max" else loss
    model = small(training={"loss": options, "epochs": 8})
    assert hit_rate(model.fit(chain.train), chain) >= 0.8 * chain.optimum


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("embedding", ["shared", "separate", "one-hot"])
def test_every_cell_and_input_learns(cell: str, embedding: str, chain: Task) -> None:
    model = small(cell=cell, embedding=embedding, embedding_size=16, training={"epochs": 5})
    assert hit_rate(model.fit(chain.train), chain) >= 0.9 * chain.optimum


@pytest.mark.parametrize(
    "training",
    [
        {"loss": {"n_samples": 0}},
        {"momentum": 0.2},
        {"loss": {"logq": 0.0, "accidental_hits": "keep"}},
        {"schedule": "cosine", "warmup": 0.1, "clip_norm": 1.0},
        {"loss": {"kind": "top1", "activation": "tanh"}},
    ],
    ids=str,
)
def test_every_way_of_training_learns(training: dict, chain: Task) -> None:
    model = small(training={"epochs": 6, **training}).fit(chain.train)
    assert hit_rate(model, chain) >= 0.85 * chain.optimum


def test_it_learns_from_the_whole_session_not_from_its_last_item() -> None:
    task = blocks()
    assert hit_rate(small(layers=2, training={"epochs": 8}).fit(task.train), task) >= 0.95 * task.optimum


def test_the_best_validated_epoch_is_kept(chain: Task) -> None:
    model = small(training={"epochs": 5, "metric": "mrr@5"}).fit(chain.train, valid=chain.cases[:300])
    values = [record.validation for record in model.curve]
    assert len(values) == 5
    assert measure(model, chain.cases[:300], {"metrics": ["mrr@5"]}).metrics["mrr@5"] == max(values)


def test_a_training_that_was_still_getting_better_says_so(chain: Task) -> None:
    model = small(training={"epochs": 2, "learning_rate": 0.02}).fit(chain.train, valid=chain.cases[:300])
    assert model.notes == ("the last of 2 epochs was the best one: a higher training.epochs may give more",)
    assert model.fit(chain.train).notes == ()


def test_an_encoder_under_autocast_learns_too(chain: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runtime, "autocast", lambda self: torch.autocast("cpu", dtype=torch.bfloat16))
    model = small().fit(chain.train, runtime=Runtime(device="cpu"))
    assert model.score(prefixes([1, 2])).dtype == torch.float32
    assert hit_rate(model, chain) >= 0.9 * chain.optimum


def test_a_log_without_pairs_is_refused(chain: Task) -> None:
    single = Sessions(chain.train.items[:3], np.arange(4), None, chain.train.vocabulary)
    with pytest.raises(EmptyDataError, match="at least 1 must have two events or more, got 0"):
        small().fit(single)


def test_presets() -> None:
    usual = GRU4Rec().config.training
    kept = usual.loss.model_copy(update={"accidental_hits": "keep"})
    assert GRU4Rec(preset="authors").config.training == usual.model_copy(update={"loss": kept})
    recbole = GRU4Rec(preset="recbole").config
    assert (recbole.embedding, recbole.embedding_size, recbole.hidden_size, recbole.layers) == ("separate", 64, 128, 1)
    assert (recbole.dropout_embedding, recbole.training.loss.kind) == (0.3, "cross-entropy")


def test_all_mistakes_come_together() -> None:
    with pytest.raises(ParameterError) as caught:
        GRU4Rec(hidden_size=0, training={"epochs": 0, "loss": {"alpha": 2, "logq": -1}})
    assert sorted(line.split(":")[0] for line in str(caught.value).splitlines()) == [
        "gru4rec.hidden_size",
        "gru4rec.training.epochs",
        "gru4rec.training.loss.alpha",
        "gru4rec.training.loss.logq",
    ]
    with pytest.raises(ParameterError, match=r"gru4rec\.training\.loss: must be one of .*'bpr-max', got 'hinge'"):
        GRU4Rec(training={"loss": "hinge"})


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"batch_size": 1, "loss": {"n_samples": 0}}, r"batch_size: must be at least 2 with loss\.n_samples 0, got 1"),
        (
            {"loss": {"activation": "tanh"}},
            r"loss\.activation: belongs to training\.loss 'bpr', .*'bpr-max', got training\.loss 'cross-entropy'",
        ),
        (
            {"loss": {"kind": "bpr", "logq": 0.5}},
            r"loss\.logq: belongs to training\.loss 'cross-entropy', got training\.loss 'bpr'",
        ),
    ],
)
def test_parameters_that_make_no_sense_together_are_refused(training: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=rf"gru4rec\.training\.{message}"):
        GRU4Rec(training=training)
