"""FMLP-Rec: the contract, the authors' numbers, and the shortcuts against the definition.

The numbers in fixtures/fmlp_rec.json were recorded from the authors' PyTorch code, in evaluation mode, with the weights
given there (under its names): the state at the last position of each session, and the scores of items 1 to 12; and the
states of the same weights cut to an odd length.
"""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from chains import markov_chain, prefixes, sessions
from neural_contract import NeuralModelContract
from torch import Tensor

from segue.errors import ParameterError
from segue.models.fmlp_rec import Filter, FilterBlock, FilterEncoder, FMLPRec
from segue.nn.encoders.layers import FeedForward

RECORDED = json.loads((Path(__file__).parent.parent / "fixtures" / "fmlp_rec.json").read_text(encoding="utf-8"))
WEIGHTS = {name: torch.tensor(values) for name, values in RECORDED["weights"].items()}


class TestFMLPRec(NeuralModelContract):
    model = FMLPRec
    parameters: ClassVar = {
        "embedding_size": 16,
        "inner_size": 32,
        "max_length": 8,
        "dropout": 0.0,
        "training": {"batch_size": 128, "epochs": 4, "learning_rate": 0.02},
    }
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 16,
        "inner_size": 32,
        "max_length": 8,
        "training": {"batch_size": 32, "epochs": 3, "patience": None},
    }


def recorded_network(length: int = 6) -> FilterEncoder:
    """The recorded weights; the authors count positions from the left of the window, we count from its right."""
    network = FMLPRec(embedding_size=8, inner_size=32, max_length=length).build(12).eval()
    weights = {
        "items": WEIGHTS["item_embeddings.weight"],
        "positions.weight": WEIGHTS["position_embeddings.weight"][:length].flip(0),
        "norm.weight": WEIGHTS["LayerNorm.weight"],
        "norm.bias": WEIGHTS["LayerNorm.bias"],
    }
    for layer in range(2):
        theirs, ours = f"item_encoder.layer.{layer}.", f"blocks.{layer}."
        filter_weight = WEIGHTS[theirs + "filterlayer.complex_weight"].squeeze(0)
        weights[ours + "filter.weight"] = filter_weight[: length // 2 + 1]
        for part in ("weight", "bias"):
            weights[f"{ours}norms.0.{part}"] = WEIGHTS[f"{theirs}filterlayer.LayerNorm.{part}"]
            weights[f"{ours}norms.1.{part}"] = WEIGHTS[f"{theirs}intermediate.LayerNorm.{part}"]
            weights[f"{ours}feed_forward.inner.{part}"] = WEIGHTS[f"{theirs}intermediate.dense_1.{part}"]
            weights[f"{ours}feed_forward.outer.{part}"] = WEIGHTS[f"{theirs}intermediate.dense_2.{part}"]
    network.load_state_dict(weights)
    return network


@torch.no_grad()
def test_outputs_equal_those_of_the_authors() -> None:
    network = recorded_network()
    states = network.encode(prefixes(*RECORDED["sessions"]))
    np.testing.assert_allclose(states, RECORDED["states"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(network.logits(states)[:, 1:], RECORDED["scores"], rtol=0, atol=1e-6)
    shorter = recorded_network(length=5).encode(prefixes(*RECORDED["sessions"]))
    np.testing.assert_allclose(shorter, RECORDED["states_of_length_5"], rtol=0, atol=1e-6)


def circular_convolution(values: Tensor, weight: Tensor) -> Tensor:
    length = values.shape[1]
    kernel = torch.fft.irfft(torch.view_as_complex(weight), n=length, dim=0)
    rows = [
        sum(kernel[back] * values[:, (position - back) % length] for back in range(length))
        for position in range(length)
    ]
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("length", [1, 5, 6])
def test_a_filter_is_a_circular_convolution(length: int) -> None:
    torch.manual_seed(0)
    layer, values = Filter(length=length, hidden_size=3), torch.randn(2, length, 3)
    torch.testing.assert_close(layer(values), circular_convolution(values, layer.weight))


def test_the_last_position_alone_gives_what_all_positions_give_with_the_same_gradients() -> None:
    torch.manual_seed(0)
    feed_forward = FeedForward(hidden_size=4, inner_size=8, activation="gelu")
    block = FilterBlock(mixer=Filter(length=7, hidden_size=4), feed_forward=feed_forward, hidden_size=4, dropout=0.0)
    values, gradient = torch.randn(3, 7, 4, requires_grad=True), torch.randn(3, 4)
    inputs = [values, *block.parameters()]
    whole, alone = block(values)[:, -1], block.last(values)
    torch.testing.assert_close(alone, whole)
    expected = torch.autograd.grad(whole, inputs, gradient)
    for one, other in zip(torch.autograd.grad(alone, inputs, gradient), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_training_at_all_positions_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"fmlp-rec\.training\.positions: must be 'last' \(or 'auto'\), got 'all'"):
        FMLPRec(training={"positions": "all"})


@pytest.mark.parametrize("loss", ["bce", "bpr"])
def test_it_learns_from_one_negative(loss: str) -> None:
    """What the authors' code minimises, and what their paper writes."""
    log = sessions([[1 + start, 1 + (start + 1) % 6] for start in range(6)] * 20, 6)
    training = {
        "loss": {"kind": loss, "n_samples": 1, "alpha": 0.0},
        "batch_size": 8,
        "epochs": 30,
        "learning_rate": 0.005,  # With 0.02, seed and number of threads decide.
    }
    model = FMLPRec(embedding_size=16, max_length=2, dropout=0.0, training=training).fit(log)
    best = model.score(prefixes(*([item] for item in range(1, 7))))[:, 1:].argmax(1) + 1
    assert best.tolist() == [2, 3, 4, 5, 6, 1]


def test_the_preset_of_the_authors_is_their_training() -> None:
    training = FMLPRec(preset="authors").config.training
    assert (training.loss.kind, training.loss.n_samples, training.loss.alpha) == ("bce", 1, 0.0)
