"""eSASRec: the contract, and RecTools' numbers.

The numbers in fixtures/esasrec.json were recorded from RecTools' SASRec with its LiGR layers and masked padding, in
evaluation mode, with the weights given there (under its names).
"""

from typing import ClassVar

import torch
from chains import markov_chain
from neural_contract import NeuralModelContract
from recorded import assert_equal_outputs, load_recorded, multi_head, rename

from segue.models.esasrec import ESASRec

RECORDED, WEIGHTS = load_recorded("esasrec")


class TestESASRec(NeuralModelContract):
    model = ESASRec
    parameters: ClassVar = {
        "embedding_size": 16,
        "inner_size": 32,
        "max_length": 8,
        "dropout": 0.0,
        "training": {"batch_size": 32, "epochs": 6, "learning_rate": 0.01, "loss": {"n_samples": 32}},
    }
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 16,
        "inner_size": 32,
        "max_length": 8,
        "training": {"batch_size": 8, "epochs": 3, "patience": None},
    }


def test_outputs_equal_those_of_rectools() -> None:
    weights = {
        "items": WEIGHTS["item_model.item_net_blocks.0.ids_emb.weight"],
        "stack.positions.weight": WEIGHTS["pos_encoding_layer.pos_emb.weight"],
    }
    for layer in range(2):
        block, theirs = f"stack.blocks.{layer}", f"transformer_layers.transformer_blocks.{layer}"
        weights |= multi_head(WEIGHTS, f"{theirs}.multi_head_attn", f"{block}.attention")
        names = {f"{block}.norms.{part}": f"{theirs}.layer_norm_{part + 1}" for part in range(2)}
        names |= {f"{block}.gates.{part}": f"{theirs}.gating_linear_{part + 1}" for part in range(2)}
        weights |= rename(WEIGHTS, names)
        gate, value, outer = (WEIGHTS[f"{theirs}.feed_forward.ff_linear_{part}.weight"] for part in (1, 3, 2))
        weights |= {
            f"{block}.feed_forward.inner.weight": torch.cat((gate, value)),
            f"{block}.feed_forward.outer.weight": outer,
        }
    network = ESASRec(embedding_size=8, inner_size=16, heads=2, max_length=6).build(12).eval()
    network.load_state_dict(weights)
    assert_equal_outputs(network, RECORDED["sessions"], RECORDED["states"], RECORDED["scores"])
