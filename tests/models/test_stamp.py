"""STAMP: the contract, RecBole's numbers, and the paper's equations by hand.

The numbers in fixtures/stamp.json were recorded from RecBole's module, in evaluation mode, with the weights given
there (under its names): the vector of each session and the scores of items 1 to 12. Like the authors' code, it adds the
mean of the events to what the attention gives.
"""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from chains import markov_chain, prefixes
from neural_contract import NeuralModelContract
from torch import Tensor

from segue.data.batches.windows import Window
from segue.models.stamp import STAMP, AttentionMemory

RECORDED = json.loads((Path(__file__).parent.parent / "fixtures" / "stamp.json").read_text(encoding="utf-8"))
WEIGHTS = {name: torch.tensor(values) for name, values in RECORDED["weights"].items()}
SESSIONS = RECORDED["sessions"]
FULL = {"optimizer": "adamw", "loss": "cross-entropy", "schedule": "constant"}


class TestSTAMP(NeuralModelContract):
    model = STAMP
    parameters: ClassVar = {
        "embedding_size": 24,
        "dropout": 0.0,
        "training": {**FULL, "batch_size": 64, "epochs": 5, "learning_rate": 0.03},
    }
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 24,
        "dropout": 0.1,
        "training": {**FULL, "batch_size": 4, "epochs": 5, "patience": None},
    }


def recorded_network(attention: str) -> AttentionMemory:
    network = STAMP(embedding_size=8, attention=attention).build(12).eval()
    network.load_state_dict(
        {
            "items": WEIGHTS["item_embedding.weight"],
            "attention.query.weight": torch.cat((WEIGHTS["w2.weight"], WEIGHTS["w3.weight"]), dim=1),
            "attention.key.weight": WEIGHTS["w1.weight"],
            "attention.key.bias": WEIGHTS["b_a"],
            "attention.weights.weight": WEIGHTS["w0.weight"],
            "session.weight": WEIGHTS["mlp_a.weight"],
            "session.bias": WEIGHTS["mlp_a.bias"],
            "newest.weight": WEIGHTS["mlp_b.weight"],
            "newest.bias": WEIGHTS["mlp_b.bias"],
        }
    )
    return network


@torch.no_grad()
def test_outputs_equal_those_of_recbole() -> None:
    network = recorded_network("authors")
    states = network.encode(prefixes(*SESSIONS))
    np.testing.assert_allclose(states, RECORDED["states"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(network.logits(states)[:, 1:], RECORDED["scores"], rtol=0, atol=1e-6)


def by_hand(session: list[int], attention: str) -> Tensor:
    """The paper's equations for one session."""
    events = [WEIGHTS["item_embedding.weight"][item] for item in session]
    newest, mean = events[-1], sum(events) / len(events)
    memory = mean if attention == "authors" else torch.zeros(8)
    for event in events:
        compared = WEIGHTS["w1.weight"] @ event + WEIGHTS["w2.weight"] @ newest + WEIGHTS["w3.weight"] @ mean
        memory = memory + (WEIGHTS["w0.weight"][0] @ torch.sigmoid(compared + WEIGHTS["b_a"])) * event
    of_session = torch.tanh(WEIGHTS["mlp_a.weight"] @ memory + WEIGHTS["mlp_a.bias"])
    return of_session * torch.tanh(WEIGHTS["mlp_b.weight"] @ newest + WEIGHTS["mlp_b.bias"])


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
