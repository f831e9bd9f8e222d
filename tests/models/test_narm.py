"""NARM: the contract, RecBole's numbers, and the paper's equations by hand.

The numbers in fixtures/narm.json were recorded from RecBole's module, in evaluation mode, with the weights given
there (under its names): the vector of each session and the scores of items 1 to 12.
"""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from chains import blocks, hit_rate, markov_chain, prefixes
from neural_contract import NeuralModelContract
from torch import Tensor
from torch.nn import functional

from segue.data.batches.windows import Window
from segue.models.narm import NARM, AttentiveGRU

RECORDED = json.loads((Path(__file__).parent.parent / "fixtures" / "narm.json").read_text(encoding="utf-8"))
WEIGHTS = {name: torch.tensor(values) for name, values in RECORDED["weights"].items()}
SESSIONS = RECORDED["sessions"]
FULL = {"loss": "cross-entropy", "schedule": "constant"}


class TestNARM(NeuralModelContract):
    model = NARM
    parameters: ClassVar = {
        "embedding_size": 16,
        "hidden_size": 24,
        "training": {**FULL, "batch_size": 64, "epochs": 6, "learning_rate": 0.03},
    }
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 16,
        "hidden_size": 24,
        "layers": 2,
        "training": {**FULL, "batch_size": 4, "epochs": 5, "patience": None},
    }


def recorded_network(attention: str = "paper") -> AttentiveGRU:
    network = NARM(embedding_size=8, hidden_size=10, attention=attention).build(12).eval()
    of_attention, of_last = WEIGHTS["b.weight"].chunk(2, dim=1)
    network.load_state_dict(
        {
            "items": WEIGHTS["item_embedding.weight"],
            "gru.weight_ih_l0": WEIGHTS["gru.weight_ih_l0"],
            "gru.weight_hh_l0": WEIGHTS["gru.weight_hh_l0"],
            "attention.key.weight": WEIGHTS["a_1.weight"],
            "attention.query.weight": WEIGHTS["a_2.weight"],
            "attention.weights.weight": WEIGHTS["v_t.weight"],
            "decoder.weight": torch.cat((of_last, of_attention), dim=1),
        }
    )
    return network


@torch.no_grad()
def test_outputs_equal_those_of_recbole() -> None:
    network = recorded_network()
    states = network.encode(prefixes(*SESSIONS))
    np.testing.assert_allclose(states, RECORDED["states"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(network.logits(states)[:, 1:], RECORDED["scores"], rtol=0, atol=1e-6)


def by_hand(session: list[int], attention: str) -> Tensor:
    """The paper's equations, one event at a time."""
    hidden, states = torch.zeros(10), []
    for item in session:
        x, h = WEIGHTS["gru.weight_ih_l0"] @ WEIGHTS["item_embedding.weight"][item], hidden
        of_reset, of_update, of_candidate = (WEIGHTS["gru.weight_hh_l0"] @ h).chunk(3)
        reset, update = torch.sigmoid(x[:10] + of_reset), torch.sigmoid(x[10:20] + of_update)
        hidden = (1 - update) * torch.tanh(x[20:] + reset * of_candidate) + update * h
        states.append(hidden)
    compared = [WEIGHTS["a_2.weight"] @ hidden + WEIGHTS["a_1.weight"] @ state for state in states]
    if attention == "paper":
        weights = torch.stack([WEIGHTS["v_t.weight"][0] @ torch.sigmoid(one) for one in compared])
    else:
        straight = [torch.clamp(one / 5 + 0.5, min=0, max=1) for one in compared]
        weights = functional.softmax(torch.stack([WEIGHTS["v_t.weight"][0] @ one for one in straight]), dim=0)
    local = sum(weight * state for weight, state in zip(weights, states, strict=True))
    return WEIGHTS["b.weight"] @ torch.cat((local, hidden))


@torch.no_grad()
@pytest.mark.parametrize("attention", ["paper", "authors"])
def test_the_state_after_each_event_is_that_of_the_session_so_far_whatever_the_padding(attention: str) -> None:
    network, width = recorded_network(attention), 9
    padded = torch.tensor([[0] * (width - len(session)) + session for session in SESSIONS])
    states = network.states(Window(padded))
    for row, session in enumerate(SESSIONS):
        expected = torch.stack([by_hand(session[: n + 1], attention) for n in range(len(session))])
        np.testing.assert_allclose(states[row, width - len(session) :], expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(network.last(Window(padded))[row], expected[-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("attention", ["paper", "authors"])
def test_it_learns_from_the_whole_session_not_from_its_last_item(attention: str) -> None:
    task = blocks()
    model = NARM(**{**TestNARM.parameters, "attention": attention}).fit(task.train)
    assert hit_rate(model, task) >= 0.95 * task.optimum


def test_the_preset_of_recbole() -> None:
    config = NARM(preset="recbole").config
    assert (config.embedding_size, config.hidden_size, config.layers) == (64, 128, 1)
    assert (config.dropout_embedding, config.dropout_context, config.attention) == (0.25, 0.5, "paper")
    assert (config.training.loss.kind, config.training.positions) == ("cross-entropy", "last")
