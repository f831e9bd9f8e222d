"""SR-GNN: the contract, RecBole's numbers, and the graph of a session against a naive loop.

The numbers in fixtures/sr_gnn.json were recorded from RecBole's module, in evaluation mode, with the weights given
there (under its names): the vector of each session and the scores of items 1 to 12, after one and two graph steps.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from chains import markov_chain, prefixes
from neural_contract import NeuralModelContract

from segue.data.batches.windows import Window
from segue.errors import ParameterError
from segue.models.sr_gnn import SRGNN, SessionGraphNetwork, session_graph

RECORDED = json.loads((Path(__file__).parent.parent / "fixtures" / "sr_gnn.json").read_text(encoding="utf-8"))
WEIGHTS = {name: torch.tensor(values) for name, values in RECORDED["weights"].items()}
SESSIONS = RECORDED["sessions"]
FULL = {"loss": "cross-entropy"}
SIGN = torch.tensor([1.0, -1.0, 1.0]).repeat_interleave(8)
"""In RecBole's step an update gate of 1 takes the new state, in ours it keeps the old one."""


class TestSRGNN(NeuralModelContract):
    model = SRGNN
    parameters: ClassVar = {
        "embedding_size": 24,
        "dropout": 0.0,
        "training": {**FULL, "batch_size": 256, "epochs": 3, "learning_rate": 0.03},
    }
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 24,
        "steps": 2,
        "dropout": 0.1,
        "training": {**FULL, "batch_size": 32, "epochs": 5, "patience": None},
    }


def recorded_network(steps: int) -> SessionGraphNetwork:
    network = SRGNN(embedding_size=8, steps=steps).build(12).eval()
    beside_input = WEIGHTS["gnn.w_ih"] @ torch.cat((WEIGHTS["gnn.b_iah"], WEIGHTS["gnn.b_ioh"]))
    of_attention, of_last = WEIGHTS["linear_transform.weight"].chunk(2, dim=1)
    edges = ("gnn.linear_edge_in", "gnn.linear_edge_out")
    network.load_state_dict(
        {
            "items": WEIGHTS["item_embedding.weight"],
            "step.messages.weight": torch.cat([WEIGHTS[f"{edge}.weight"] for edge in edges]),
            "step.messages.bias": torch.cat([WEIGHTS[f"{edge}.bias"] for edge in edges]),
            "step.cell.weight_ih": WEIGHTS["gnn.w_ih"] * SIGN[:, None],
            "step.cell.weight_hh": WEIGHTS["gnn.w_hh"] * SIGN[:, None],
            "step.cell.bias_ih": (WEIGHTS["gnn.b_ih"] + beside_input) * SIGN,
            "step.cell.bias_hh": WEIGHTS["gnn.b_hh"] * SIGN,
            "attention.query.weight": WEIGHTS["linear_one.weight"],
            "attention.key.weight": WEIGHTS["linear_two.weight"],
            "attention.key.bias": WEIGHTS["linear_one.bias"] + WEIGHTS["linear_two.bias"],
            "attention.weights.weight": WEIGHTS["linear_three.weight"],
            "output.weight": torch.cat((of_last, of_attention), dim=1),
            "output.bias": WEIGHTS["linear_transform.bias"],
        }
    )
    return network


@torch.no_grad()
@pytest.mark.parametrize("steps", [1, 2])
def test_outputs_equal_those_of_recbole(steps: int) -> None:
    network = recorded_network(steps)
    states = network.encode(prefixes(*SESSIONS))
    np.testing.assert_allclose(states, RECORDED["states"][str(steps)], rtol=0, atol=1e-6)
    np.testing.assert_allclose(network.logits(states)[:, 1:], RECORDED["scores"][str(steps)], rtol=0, atol=1e-6)
    padded = torch.tensor([[0] * (9 - len(session)) + session for session in SESSIONS])
    np.testing.assert_allclose(network.last(Window(padded)), states, rtol=0, atol=1e-6)


def test_the_graph_equals_that_of_a_naive_loop() -> None:
    padded = torch.tensor([[0] * (8 - len(session)) + session for session in SESSIONS])
    graph = session_graph(padded)
    for row, items in enumerate(padded.tolist()):
        steps = {(one, other) for one, other in pairwise(items) if one and other}
        for event, item in enumerate(items):
            before = {one for one, other in steps if other == item}
            after = {other for one, other in steps if one == item}
            for shares, neighbours in ((graph.before, before), (graph.after, after)):
                expected = np.zeros(8)
                expected[[items.index(neighbour) for neighbour in neighbours]] = 1 / max(len(neighbours), 1)
                np.testing.assert_allclose(shares[row, event], expected, err_msg=f"{items}, event {event}")


def test_it_is_not_trained_at_all_positions() -> None:
    with pytest.raises(ParameterError, match=r"sr-gnn\.training\.positions: must be 'last' \(or 'auto'\), got 'all'"):
        SRGNN(training={"positions": "all"})
