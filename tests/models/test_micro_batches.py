"""A step in parts: the same loss and gradients as the whole step, for every loss and every way of batching."""

from typing import Any

import numpy as np
import pytest
import torch
from chains import Task, markov_chain
from torch import Tensor, nn

from segue.models.neural import NeuralModel
from segue.models.registry import model_class
from segue.models.sequence import SequenceModel
from segue.rng import derive
from segue.training.config import Distillation
from segue.training.objectives import DistillationLoss, ListwiseLoss, Objective
from segue.training.parallel import WHOLE, Part
from segue.training.runtime import Runtime
from segue.training.soft_labels import SoftLabels

CPU = Runtime(device="cpu")
WINDOWS = {"embedding_size": 8, "max_length": 6}


def losses(kind: str, **more: Any) -> dict[str, Any]:
    return {**WINDOWS, "training": {"batch_size": 10, "loss": {"kind": kind, **more}}}


def sasrec(**more: Any) -> tuple[str, dict[str, Any]]:
    return "sasrec", {"dropout": 0.0, **more}


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "full softmax": sasrec(**losses("cross-entropy")),
    "cosine": sasrec(**losses("cosine")),
    "sampled softmax": sasrec(**losses("sampled-softmax", n_samples=7)),
    "in-batch softmax": sasrec(**losses("sampled-softmax", n_samples=7, in_batch=True)),
    "smoothed labels": sasrec(**losses("cross-entropy", label_smoothing=0.3)),
    "smoothed, in-batch": sasrec(**losses("sampled-softmax", n_samples=7, in_batch=True, label_smoothing=0.3)),
    "only in-batch": sasrec(**losses("sampled-softmax", n_samples=0, in_batch=True, accidental_hits="keep")),
    "in-batch bpr": sasrec(**losses("bpr", n_samples=5, in_batch=True)),
    "grouped gbce": sasrec(**losses("gbce", n_samples=5, targets_per_draw=3)),
    "grouped candidates": sasrec(**losses("bpr-max", n_samples=4, targets_per_draw=4, candidate_num=2)),
    "nce": sasrec(**losses("nce", n_samples=6)),
    "sparse": sasrec(**WINDOWS, training={"batch_size": 10, "optimizer": "mixed", "loss": "sampled-softmax"}),
    "biases": ("attention-clustering", {"dropout": 0.0, **losses("nce", n_samples=6)}),
    "masked": ("bert4rec", {"dropout": 0.0, **losses("cross-entropy")}),
    "masked, in-batch": ("bert4rec", {"dropout": 0.0, **losses("sampled-softmax", n_samples=3, in_batch=True)}),
    "prefixes": (
        "narm",
        {"dropout_embedding": 0.0, "dropout_context": 0.0, **losses("top1-max", n_samples=6, in_batch=True)},
    ),
    "normalised": (
        "core",
        {
            **{"embedding_size": 8, "dropout": 0.0, "session_dropout": 0.0, "item_dropout": 0.0},
            "training": {"batch_size": 10},
        },
    ),
    "graphs": ("sr-gnn", {"dropout": 0.0, **losses("cross-entropy")}),
    "global graph": ("gce-gnn", {"dropout_global": 0.0, "dropout_neighbours": 0.0, **losses("cross-entropy")}),
    "lanes": (
        "gru4rec",
        {"hidden_size": 8, "training": {"batch_size": 10, "loss": {"kind": "bpr-max", "n_samples": 9}}},
    ),
    "lanes, their targets": (
        "gru4rec",
        {
            "hidden_size": 8,
            "layers": 2,
            "training": {"batch_size": 10, "loss": {"kind": "cross-entropy", "n_samples": 0}},
        },
    ),
    "lanes, smoothed": (
        "gru4rec",
        {
            "hidden_size": 8,
            "training": {"batch_size": 10, "loss": {"kind": "cross-entropy", "n_samples": 9, "label_smoothing": 0.3}},
        },
    ),
    "lanes, one-hot": (
        "gru4rec",
        {"hidden_size": 8, "embedding": "one-hot", "training": {"batch_size": 10, "loss": "full-cross-entropy"}},
    ),
    "lanes, lstm": (
        "gru4rec",
        {
            **{"hidden_size": 8, "cell": "lstm", "embedding": "separate"},
            "training": {"batch_size": 10, "loss": {"kind": "top1", "n_samples": 5, "accidental_hits": "keep"}},
        },
    ),
}


@pytest.fixture(scope="module")
def small() -> Task:
    return markov_chain(n_items=12, n_sessions=24)


def prepared(name: str, parameters: dict[str, Any], task: Task) -> NeuralModel:
    """Return a model with the first weights of a training."""
    model = model_class(name)(**parameters)
    assert isinstance(model, NeuralModel)
    model.fit_preprocessing(task.train)
    torch.manual_seed(3)
    model.network = model.initialize().train()
    return model


def gradients(network: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    loss.backward()
    return {name: one.grad.to_dense().clone() for name, one in network.named_parameters() if one.grad is not None}


def require_equal_parts(whole: Objective, divided: Objective, count: int) -> None:
    """Compare the steps of an epoch of two objectives of one network, the second in parts."""
    network = whole.module
    steps = whole.begin_epoch(1)
    assert divided.begin_epoch(1) == steps
    for step in range(steps):
        loss = whole.loss(step, WHOLE)
        assert loss is not None
        expected = gradients(network, loss)
        parts = [divided.loss(step, Part(index, count)) for index in range(count)]
        sums = {name: torch.zeros_like(one) for name, one in expected.items()}
        for part in parts:
            for name, one in gradients(network, part).items() if part is not None else ():
                sums[name] += one
        total = sum(part.detach() for part in parts if part is not None)
        torch.testing.assert_close(total, loss.detach(), rtol=1e-5, atol=1e-6)
        for name, one in expected.items():
            torch.testing.assert_close(
                sums[name], one, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name} {text}"
            )


@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize("case", CASES)
def test_the_parts_of_a_step_add_up_to_it(case: str, count: int, small: Task) -> None:
    """Also at the end of an epoch, where there are fewer examples than parts."""
    name, parameters = CASES[case]
    model = prepared(name, parameters, small)
    whole, divided = (model.objective(small.train, 4, CPU) for _ in range(2))
    require_equal_parts(whole, divided, count)


@pytest.mark.parametrize("kind", ["soft labels", "listnet", "lambdarank"])
def test_so_do_those_of_another_loss(kind: str, small: Task) -> None:
    model = prepared(*sasrec(**losses("sampled-softmax", n_samples=6)), small)
    assert isinstance(model, SequenceModel)
    train, rng = small.train, np.random.default_rng(0)
    n_events = len(train.items)
    if kind == "soft labels":
        rows = np.where(rng.random(n_events) < 0.4, np.arange(n_events) % 5, -1)
        items = rng.integers(1, 13, (5, 3)).astype(np.int32)
        labels = SoftLabels(rows, items, np.full((5, 3), 1 / 3, dtype=np.float32))
        auxiliary: Any = DistillationLoss(labels, Distillation(weight=0.7, temperature=2.0), "fp32")
    else:
        retrieved = rng.integers(0, 13, (n_events, 4)).astype(np.int32)
        auxiliary = ListwiseLoss(np.arange(n_events), retrieved, train.items, kind)
    whole, divided = (model.objective_of(auxiliary, train, 4, CPU) for _ in range(2))
    require_equal_parts(whole, divided, 4)


@pytest.mark.parametrize(("name", "parameters"), [CASES["in-batch softmax"], CASES["sparse"], CASES["lanes"]])
def test_one_micro_batch_is_the_plain_loop(name: str, parameters: dict[str, Any], small: Task) -> None:
    """Bit for bit: one backward pass per step, and dropout seeded by epoch and step."""
    dropout = {"dropout_embedding": 0.2} if name == "gru4rec" else {"dropout": 0.2}
    training = {**parameters["training"], "epochs": 2}
    parameters = {**parameters, **dropout, "training": training}
    fitted = model_class(name)(**parameters).fit(small.train, seed=6, runtime=CPU)
    model = model_class(name)(**parameters)
    model.fit_preprocessing(small.train)
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(derive(6, "weights"))
        model.network = model.initialize().train()
        objective, optimizer = model.objective(small.train, 6, CPU), model.optimizer()
        for epoch in range(2):
            for step in range(objective.begin_epoch(epoch)):
                torch.default_generator.manual_seed(derive(6, "dropout", epoch, step))
                model.network.zero_grad()
                objective.loss(step).backward()
                optimizer.step()
    for key, array in model.arrays().items():
        np.testing.assert_array_equal(array, fitted.arrays()[key], err_msg=key)


def test_without_dropout_training_in_parts_hardly_differs(small: Task) -> None:
    name, parameters = CASES["full softmax"]
    one, four = (
        model_class(name)(**{**parameters, "training": {"batch_size": 10, "epochs": 2, "micro_batches": count}})
        .fit(small.train, seed=2, runtime=CPU)
        .arrays()
        for count in (1, 4)
    )
    for key, array in one.items():
        np.testing.assert_allclose(four[key], array, atol=1e-4, err_msg=key)
