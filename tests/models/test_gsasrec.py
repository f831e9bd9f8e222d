"""gSASRec: the contract, and the authors' numbers.

The numbers in fixtures/gsasrec.json were recorded from the authors' PyTorch code in evaluation mode, with the weights
given there (under its names) and one item table for input and output.
"""

from typing import ClassVar

import torch
from chains import markov_chain
from neural_contract import NeuralModelContract
from recorded import assert_equal_outputs, load_recorded, rename

from segue.models.gsasrec import GSASRec

RECORDED, WEIGHTS = load_recorded("gsasrec")


class TestGSASRec(NeuralModelContract):
    model = GSASRec
    parameters: ClassVar = {
        "embedding_size": 32,
        "inner_size": 16,
        "layers": 1,
        "max_length": 8,
        "dropout": 0.0,
        "training": {"batch_size": 16, "epochs": 12, "learning_rate": 0.01, "loss": {"n_samples": 8}},
    }
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 16,
        "max_length": 8,
        "training": {"batch_size": 8, "epochs": 3, "patience": None},
    }


def test_outputs_equal_those_of_the_authors() -> None:
    """They count positions from the left of a window of 6, and pad with item 13."""
    weights = {
        "items": WEIGHTS["item_embedding.weight"][:13],
        "stack.positions.weight": WEIGHTS["position_embedding.weight"].flip(0),
        **rename(WEIGHTS, {"stack.final": "seq_norm"}),
    }
    for layer in range(2):
        block, theirs = f"stack.blocks.{layer}", f"transformer_blocks.{layer}"
        names = {
            f"{block}.norms.0": f"{theirs}.first_norm",
            f"{block}.norms.1": f"{theirs}.second_norm",
            f"{block}.attention.query": f"{theirs}.multihead_attention.query_proj",
            f"{block}.feed_forward.inner": f"{theirs}.dense1",
            f"{block}.feed_forward.outer": f"{theirs}.dense2",
        }
        weights |= rename(WEIGHTS, names)
        for part in ("weight", "bias"):
            both = [WEIGHTS[f"{theirs}.multihead_attention.{name}_proj.{part}"] for name in ("key", "val")]
            weights[f"{block}.attention.key_value.{part}"] = torch.cat(both)
    network = GSASRec(embedding_size=8, inner_size=8, heads=2, max_length=6).build(12).eval()
    network.load_state_dict(weights)
    assert_equal_outputs(network, RECORDED["sessions"], RECORDED["states"], RECORDED["scores"])


def test_it_is_trained_as_published() -> None:
    for preset in (None, "ml-1m", "authors"):
        plan = GSASRec(preset=preset).config.training
        loss = plan.loss
        assert (loss.kind, loss.n_samples, loss.alpha, loss.gbce_t) == ("gbce", 256, 0, 0.75)
    published = GSASRec(preset="authors").config
    assert (published.max_length, published.embedding_size, published.dropout) == (200, 128, 0.5)
