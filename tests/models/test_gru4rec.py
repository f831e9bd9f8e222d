from typing import ClassVar

import numpy as np
import pytest
import torch
from chains import Task, blocks, hit_rate, markov_chain, prefixes
from neural_contract import NeuralModelContract
from torch import nn
from torch.nn import functional

from largest_tensor import LargestTensor
from segue.data.batches.session_parallel import SessionParallel
from segue.data.sessions import Sessions
from segue.errors import EmptyDataError, ParameterError
from segue.evaluation.measure import measure
from segue.models.gru4rec import GRU4Rec, GRU4RecTraining
from segue.nn.losses.wide_softmax import _BUDGETS
from segue.parameters import kinds_of, merge
from segue.training.optimizers import AdamW
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


class TestFullSoftmax(NeuralModelContract):
    """One-hot items, the softmax over all items and Adam: what the preset ``movielens`` sets."""

    model = GRU4Rec
    parameters: ClassVar = {
        "preset": "movielens",
        "hidden_size": 24,
        "dropout_embedding": 0.0,
        "training": {"batch_size": 32, "learning_rate": 0.01, "epochs": 5},
    }
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "preset": "movielens",
        "hidden_size": 24,
        "training": {"batch_size": 32, "epochs": 6, "patience": None},
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
        {"optimizer": "adamw", "learning_rate": 0.01},
        {"optimizer": "mixed", "learning_rate": 0.01, "table_learning_rate": 0.15, "momentum": 0.2},
        {"optimizer": "adamw", "learning_rate": 0.01, "loss": "full-cross-entropy"},
        {"optimizer": "mixed", "learning_rate": 0.01, "loss": "full-cross-entropy", "clip_norm": 1.0},
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


def test_states_are_carried_in_fp32_under_autocast(chain: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    model.vocabulary = chain.train.vocabulary
    model.network = model.assemble()
    plain = small().fit(chain.train, runtime=Runtime(device="cpu"))
    monkeypatch.setattr(Runtime, "autocast", lambda self: torch.autocast("cpu", dtype=torch.bfloat16))
    objective = model.objective(chain.train, 0, Runtime(device="cpu"))
    objective.begin_epoch(0)
    objective.loss(0)
    assert all(one.dtype == torch.float32 for one in objective.carried().values())
    under = small().fit(chain.train, runtime=Runtime(device="cpu"))
    assert torch.equal(under.score(prefixes([1, 2])), plain.score(prefixes([1, 2])))


def test_a_log_without_pairs_is_refused(chain: Task) -> None:
    single = Sessions(chain.train.items[:3], np.arange(4), None, chain.train.vocabulary)
    with pytest.raises(EmptyDataError, match="at least 1 must have two events or more, got 0"):
        small().fit(single)


@pytest.mark.parametrize("embedding", ["shared", "separate", "one-hot"])
def test_the_softmax_over_all_items_equals_the_naive_one(embedding: str, chain: Task) -> None:
    """The loss of some steps and the gradient of every parameter, where each lane is one row of all scores."""
    model = small(embedding=embedding, training={"batch_size": 7, "loss": "full-cross-entropy"})
    model.vocabulary = chain.train.vocabulary
    model.network = network = model.assemble()
    objective = model.objective(chain.train, 0, Runtime(device="cpu"))
    lanes = SessionParallel(chain.train, 7)
    objective.begin_epoch(0)
    state = network.initial_state(7)
    for step in range(9):
        batch = lanes.batch(step)
        state = [part * torch.from_numpy(~batch.starts).unsqueeze(1) for part in state]
        items = torch.from_numpy(batch.inputs)
        inputs = {"shared": network.output[items, :-1], "one-hot": items}.get(embedding)
        output, state = network.step(network.input[items] if inputs is None else inputs, state)
        state = [part.detach() for part in state]
        naive = functional.cross_entropy(network.logits(output)[:, 1:], torch.from_numpy(batch.targets) - 1)
        loss = objective.loss(step)
        torch.testing.assert_close(loss, naive)
        network.zero_grad()
        loss.backward()
        ours = {name: one.grad.to_dense().clone() for name, one in network.named_parameters()}
        network.zero_grad()
        naive.backward()
        for name, one in network.named_parameters():
            torch.testing.assert_close(ours[name], one.grad.to_dense(), rtol=1e-4, atol=1e-7)


def test_a_step_never_holds_the_scores_of_all_lanes_and_items(monkeypatch: pytest.MonkeyPatch) -> None:
    n_items, budget = 3_000, 32 * 500
    monkeypatch.setitem(_BUDGETS, "cpu", budget)
    task = markov_chain(n_items=n_items, n_sessions=64)
    model = small(hidden_size=4, training={"batch_size": 32, "loss": "full-cross-entropy"})
    model.vocabulary = task.train.vocabulary
    model.network = model.assemble()
    objective = model.objective(task.train, 0, Runtime(device="cpu"))
    objective.begin_epoch(0)
    with LargestTensor() as largest:
        objective.loss(0).backward()
    n_items = len(task.train.vocabulary)
    assert largest.numel == max(budget, 5 * (n_items + 1))
    assert 32 * n_items > 2 * budget


def test_adam_takes_the_steps_of_torch_on_dense_gradients() -> None:
    def trained(sparse: bool) -> torch.Tensor:
        table = nn.Parameter(torch.arange(12.0).view(4, 3))
        optimizer = AdamW([table], 0.1)
        for ids in ([1, 2, 1], [3, 1, 3]):
            optimizer.zero_grad()
            (functional.embedding(torch.tensor(ids), table, sparse=sparse).square().sum()).backward()
            optimizer.step()
        return table.detach()

    assert torch.equal(trained(sparse=True), trained(sparse=False))


def test_presets() -> None:
    movielens = GRU4Rec(preset="movielens").config
    assert (movielens.embedding, movielens.hidden_size, movielens.layers) == ("one-hot", 100, 1)
    assert (movielens.training.loss.kind, movielens.training.optimizer) == ("full-cross-entropy", "adamw")
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
            {"loss": {"kind": "full-cross-entropy", "n_samples": 9}},
            r"loss\.n_samples: belongs to training\.loss .*, got training\.loss 'full-cross-entropy'",
        ),
        ({"optimizer": "adamw", "momentum": 0.1}, r"momentum: must be 0 with the optimizer 'adamw', got 0\.1"),
        ({"weight_decay": 0.1}, r"weight_decay: must be 0 with the optimizer 'adagrad', got 0\.1"),
        ({"table_learning_rate": 0.1}, r"table_learning_rate: must be 0\.07 with the optimizer 'adagrad', got 0\.1"),
        (
            {"loss": {"kind": "bpr", "logq": 0.5}},
            r"loss\.logq: belongs to training\.loss 'cross-entropy', got training\.loss 'bpr'",
        ),
    ],
)
def test_parameters_that_make_no_sense_together_are_refused(training: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=rf"gru4rec\.training\.{message}"):
        GRU4Rec(training=training)
