"""SASRec: the contract, and the numbers of pmixer/SASRec.pytorch.

The numbers in fixtures/sasrec.json were recorded in evaluation mode with the weights given there (under its names), for
the placements of the layer normalisations that the repository has had: ``original`` is that of the paper's authors.
Each session was fed without padding: as it is run, that code pads all sessions to one length, and attends to it.
"""

from typing import ClassVar

import pytest
from chains import blocks, markov_chain
from neural_contract import NeuralModelContract
from recorded import assert_equal_outputs, load_recorded, multi_head, rename

from segue.models.sasrec import SASRec
from segue.nn.encoders.transformer import TransformerEncoder

RECORDED, WEIGHTS = load_recorded("sasrec")
NORM_ORDERS = {"query": "original", "post": "post_norm", "pre": "pre_norm"}


class TestSASRec(NeuralModelContract):
    model = SASRec
    parameters: ClassVar = {
        "embedding_size": 16,
        "max_length": 8,
        "dropout": 0.0,
        "training": {"batch_size": 32, "epochs": 6, "learning_rate": 0.01},
    }
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 16,
        "max_length": 8,
        "training": {"batch_size": 8, "epochs": 3, "patience": None, "optimizer": "mixed", "schedule": "linear"},
    }


def recorded_network(norm_order: str) -> TransformerEncoder:
    """The recorded weights; they count positions from 1 at the left of a window of 6, we from 0 at its right."""
    model = SASRec(embedding_size=8, inner_size=8, heads=2, max_length=6, norm_order=norm_order)
    weights = {
        "items": WEIGHTS["item_emb.weight"],
        "stack.positions.weight": WEIGHTS["pos_emb.weight"][1:].flip(0),
        **rename(WEIGHTS, {"stack.final": "last_layernorm"}),
    }
    for layer in range(2):
        block = f"stack.blocks.{layer}"
        weights |= multi_head(WEIGHTS, f"attention_layers.{layer}", f"{block}.attention")
        names = {
            f"{block}.norms.0": f"attention_layernorms.{layer}",
            f"{block}.norms.1": f"forward_layernorms.{layer}",
            f"{block}.feed_forward.inner": f"forward_layers.{layer}.conv1",
            f"{block}.feed_forward.outer": f"forward_layers.{layer}.conv2",
        }
        weights |= rename(WEIGHTS, names)
    network = model.build(12).eval()
    network.load_state_dict(weights)
    return network


@pytest.mark.parametrize("norm_order", NORM_ORDERS)
def test_outputs_equal_those_of_the_pytorch_port(norm_order: str) -> None:
    expected = RECORDED["outputs"][NORM_ORDERS[norm_order]]
    assert_equal_outputs(recorded_network(norm_order), RECORDED["sessions"], expected["states"], expected["scores"])


def test_it_learns_from_the_whole_session_not_from_its_last_item() -> None:
    task = blocks()
    model = SASRec(**TestSASRec.parameters).fit(task.train)
    TestSASRec().test_learns_the_task(model, task)


def test_presets() -> None:
    recbole = SASRec(preset="recbole").config
    assert (recbole.embedding_size, recbole.inner_size, recbole.layers, recbole.heads) == (64, 256, 2, 2)
    assert (recbole.dropout, recbole.activation, recbole.max_length, recbole.training.positions) == (
        0.5,
        "gelu",
        50,
        "last",
    )
    beauty = SASRec(preset="beauty").config
    assert (beauty.training.positions, beauty.training.loss.kind, beauty.training.epochs) == (
        "last",
        "sampled-softmax",
        15,
    )
    published = SASRec(preset="authors").config
    assert (published.embedding_size, published.max_length, published.dropout) == (50, 200, 0.2)
    assert (published.training.loss.kind, published.training.loss.n_samples) == ("bce", 1)
