"""CORE: the contract, RecBole's numbers, and what its state is made of.

``benchmarks/core_fixture.py`` recorded fixtures/core.json: the scores of items 1 to 12 that RecBole's module gives in
evaluation mode, with the weights given there (under its names).
"""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from chains import Task, blocks, every_next, prefixes
from neural_contract import NeuralModelContract
from recorded import load_recorded, padded, rename

from segue.errors import ParameterError
from segue.models.core import CORE, ConsistentEncoder

RECORDED, WEIGHTS = load_recorded("core")
SESSIONS = RECORDED["sessions"]
LENGTH = 6


class TestCORE(NeuralModelContract):
    model = CORE
    parameters: ClassVar = {
        "embedding_size": 16,
        "max_length": 8,
        "dropout": 0.0,
        "training": {"batch_size": 64, "epochs": 8, "learning_rate": 0.02},
    }
    make_task = staticmethod(blocks)
    long: ClassVar = {
        "embedding_size": 16,
        "max_length": 8,
        "training": {"batch_size": 8, "epochs": 5, "patience": None, "optimizer": "mixed"},
    }


def recorded_network(variant: str, *, reverse: int = 0) -> ConsistentEncoder:
    """The recorded weights; ``reverse`` positions in the order of a session of so many events."""
    model = CORE(embedding_size=8, inner_size=16, max_length=LENGTH, variant=variant)
    weights = {"items": WEIGHTS["item_embedding.weight"]}
    if variant == "trm":
        positions = WEIGHTS["net.position_embedding.weight"].clone()
        positions[: reverse or LENGTH] = positions[: reverse or LENGTH].flip(0)
        weights |= {"weights.stack.positions.weight": positions, "weights.output.weight": WEIGHTS["net.fn.weight"]}
        weights |= rename(WEIGHTS, {"weights.stack.initial": "net.LayerNorm"})
        for layer in range(2):
            block, theirs = f"weights.stack.blocks.{layer}", f"net.trm_encoder.layer.{layer}"
            attention, feed_forward = f"{theirs}.multi_head_attention", f"{theirs}.feed_forward"
            names = {
                f"{block}.attention.query": f"{attention}.query",
                f"{block}.attention.output": f"{attention}.dense",
                f"{block}.norms.0": f"{attention}.LayerNorm",
                f"{block}.feed_forward.inner": f"{feed_forward}.dense_1",
                f"{block}.feed_forward.outer": f"{feed_forward}.dense_2",
                f"{block}.norms.1": f"{feed_forward}.LayerNorm",
            }
            weights |= rename(WEIGHTS, names)
            for part in ("weight", "bias"):
                both = [WEIGHTS[f"{attention}.{name}.{part}"] for name in ("key", "value")]
                weights[f"{block}.attention.key_value.{part}"] = torch.cat(both)
    network = model.build(12).eval()
    network.load_state_dict(weights)
    network.normalised, network.temperature = True, 0.07
    return network


@torch.no_grad()
@pytest.mark.parametrize(("variant", "recorded"), [("ave", "ave"), ("trm", "trm, left-padded")])
def test_scores_equal_those_of_recbole(variant: str, recorded: str) -> None:
    network = recorded_network(variant)
    logits = network.logits(network.encode(prefixes(*SESSIONS)))
    np.testing.assert_allclose(logits[:, 1:], RECORDED["scores"][recorded], rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("row", range(len(SESSIONS)))
def test_positions_from_the_first_event_are_those_from_the_last_in_reverse(row: int) -> None:
    """This is how RecBole is run; for sessions of one length, only the names of the positions differ."""
    session = SESSIONS[row]
    network = recorded_network("trm", reverse=len(session))
    logits = network.logits(network.encode(prefixes(session)))
    np.testing.assert_allclose(logits[0, 1:], RECORDED["scores"]["trm"][row], rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("variant", ["trm", "ave"])
def test_the_last_state_is_one_of_all_states_whatever_the_padding(variant: str) -> None:
    network = recorded_network(variant)
    narrow = padded(SESSIONS, LENGTH)
    states, last = network.scaled(network.states(narrow)), network.scaled(network.last(narrow))
    torch.testing.assert_close(states[:, -1], last)
    for row, session in enumerate(SESSIONS):
        alone = network.scaled(network.states(padded([session], len(session))))
        torch.testing.assert_close(alone[0], states[row, -len(session) :])


@torch.no_grad()
def test_equal_weights_give_the_direction_of_the_mean_after_each_event() -> None:
    network = recorded_network("ave")
    states = network.scaled(network.states(padded(SESSIONS, LENGTH)))
    for row, session in enumerate(SESSIONS):
        for n in range(1, len(session) + 1):
            mean = WEIGHTS["item_embedding.weight"][session[:n]].mean(dim=0)
            torch.testing.assert_close(states[row, LENGTH - len(session) + n - 1], mean / mean.norm() / 0.07)


@torch.no_grad()
def test_dropout_of_items_acts_in_training_and_before_the_normalisation() -> None:
    model = CORE(embedding_size=50, item_dropout=0.3, session_dropout=0.0, dropout=0.0)
    network = model.build(400)
    network.normalised = True
    window, ids = padded([[5, 1, 9]], 3), torch.tensor([7, 8])
    training, states = network.table()[1:], network.last(window)
    assert (training == 0).double().mean() == pytest.approx(0.3, abs=0.02)
    torch.testing.assert_close(training.norm(dim=1), torch.ones(400))
    torch.testing.assert_close(network.rows(ids).norm(dim=1), torch.ones(2))
    assert (network.rows(ids) == 0).any()
    network.eval()
    assert not (network.table()[1:] == 0).any()
    torch.testing.assert_close(network.rows(ids), network.table()[ids])
    torch.testing.assert_close(network.last(window), states)


@torch.no_grad()
def test_dropout_of_the_session_acts_on_what_is_summed() -> None:
    network = CORE(embedding_size=400, variant="ave", session_dropout=0.5, item_dropout=0.0).build(9)
    window = padded([[3]], 1)
    assert (network.last(window) == 0).double().mean() == pytest.approx(0.5, abs=0.08)
    assert not (network.eval().last(window) == 0).any()


def test_items_are_drawn_uniformly_and_the_transformer_from_a_normal_distribution() -> None:
    model = CORE(embedding_size=64)
    model.fit_preprocessing(blocks(n_sessions=20).train)
    for network in (model.assemble(), model.build(30)):
        bound = network.items[1:].abs().max().item()
        assert 0.12 < bound <= 0.125
        assert network.items[1:].std().item() == pytest.approx(0.125 / 3**0.5, rel=0.05)
        assert not network.items[0].any()
    inner = model.assemble().weights.stack.blocks[0].feed_forward.inner
    assert inner.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not inner.bias.any()


def test_defaults_are_those_of_the_authors() -> None:
    config, sessions = CORE().config, CORE(preset="sessions").config
    assert (config.embedding_size, config.inner_size, config.layers, config.heads) == (100, 256, 2, 2)
    assert (config.dropout, config.session_dropout, config.item_dropout) == (0.5, 0.2, 0.2)
    assert (config.temperature, config.activation, config.layer_norm_eps) == (0.07, "gelu", 1e-12)
    training = config.training
    assert (training.positions, training.batch_size, training.loss.kind) == ("last", 2048, "cross-entropy")
    assert (sessions.training.positions, sessions.training.loss.kind) == ("last", "sampled-softmax")


def with_prices(task: Task) -> Task:
    columns = pl.DataFrame({"price": np.arange(len(task.train.items), dtype=float) % 7})
    return replace(task, train=replace(task.train, columns=columns))


def test_features_change_the_weights_and_nothing_else() -> None:
    """The state of a single event is its item, whatever else is known; of several, another sum."""
    train = with_prices(blocks(n_sessions=60)).train
    model = CORE(**TestCORE.parameters | {"training": {"epochs": 3, "batch_size": 32}}, features=["price"]).fit(train)
    both = every_next(train).prefixes
    scores, without = model.score(both), model.score(replace(both, columns=None))
    single = torch.from_numpy(both.lengths == 1)
    torch.testing.assert_close(scores[single], without[single])
    assert (scores[~single] - without[~single]).abs().amax(dim=1).min() > 1e-4


def test_equal_weights_learn_and_read_no_features() -> None:
    task = blocks()
    TestCORE().test_learns_the_task(CORE(**TestCORE.parameters, variant="ave").fit(task.train), task)
    with pytest.raises(ParameterError, match=r"core\.variant: must be 'trm' with features \(.*\), got 'ave'"):
        CORE(variant="ave", features=["hour"])


def test_the_best_possible_score_is_the_inverse_temperature() -> None:
    model = CORE(**TestCORE.parameters, temperature=0.5).fit(blocks(n_sessions=60).train)
    scores = model.score(prefixes([3], [4, 4]))
    assert scores[0, 3].item() == pytest.approx(2, abs=1e-5)
    assert scores[1, 4].item() == pytest.approx(2, abs=1e-5)
    assert scores[:, 1:].abs().max().item() <= 2 + 1e-5
