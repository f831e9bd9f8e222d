"""BERT4Rec: the contract, RecTools' numbers, and what it is asked at inference.

The numbers in fixtures/bert4rec.json were recorded from RecTools' module in evaluation mode, with the weights given
there (under its names; its row 0 is padding, row 1 the mask, row i + 1 item i): the states of sessions with a mask
appended, the scores of items 1 to 12 there, and the same of windows with masks inside.
"""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from chains import markov_chain, prefixes, sessions
from neural_contract import NeuralModelContract
from recorded import load_recorded, multi_head, padded, rename

from segue.data.batches.cloze import Cloze
from segue.data.batches.next_item import EveryPrefix
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.models.bert4rec import BERT4Rec, ClozeEncoder

RECORDED, WEIGHTS = load_recorded("bert4rec")
MASK = 13


class TestBERT4Rec(NeuralModelContract):
    model = BERT4Rec
    parameters: ClassVar = {
        "embedding_size": 16,
        "inner_size": 32,
        "layers": 1,
        "max_length": 9,
        "dropout": 0.0,
        "training": {"batch_size": 32, "epochs": 12, "learning_rate": 0.01, "last_ratio": 0.5},
    }
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 16,
        "inner_size": 32,
        "max_length": 8,
        "training": {"batch_size": 8, "epochs": 3, "patience": None},
    }


@pytest.fixture(scope="module")
def network() -> ClozeEncoder:
    table = WEIGHTS["item_model.item_net_blocks.0.ids_emb.weight"]
    weights = {
        "items": torch.cat((table[:1], table[2:])),
        "mask": table[1],
        "stack.positions.weight": WEIGHTS["pos_encoding_layer.pos_emb.weight"],
    }
    for layer in range(2):
        block, theirs = f"stack.blocks.{layer}", f"transformer_layers.transformer_blocks.{layer}"
        weights |= multi_head(WEIGHTS, f"{theirs}.multi_head_attn", f"{block}.attention")
        names = {
            f"{block}.norms.0": f"{theirs}.layer_norm_1",
            f"{block}.norms.1": f"{theirs}.layer_norm_2",
            f"{block}.feed_forward.inner": f"{theirs}.feed_forward.ff_linear_1",
            f"{block}.feed_forward.outer": f"{theirs}.feed_forward.ff_linear_2",
        }
        weights |= rename(WEIGHTS, names)
    network = BERT4Rec(embedding_size=8, inner_size=32, heads=2, max_length=7).build(12).eval()
    network.load_state_dict(weights)
    return network


@torch.no_grad()
def test_outputs_equal_those_of_rectools(network: ClozeEncoder) -> None:
    sessions, states = RECORDED["sessions"], RECORDED["states"]
    for row, expected in zip(network.states(padded([[*one, MASK] for one in sessions], 7)), states, strict=True):
        np.testing.assert_allclose(row[7 - len(expected) :], expected, rtol=0, atol=1e-5)
    encoded = network.encode(prefixes(*sessions))
    np.testing.assert_allclose(encoded, [one[-1] for one in states], rtol=0, atol=1e-5)
    np.testing.assert_allclose(network.logits(encoded)[:, 1:], RECORDED["scores"], rtol=0, atol=1e-5)


@torch.no_grad()
def test_masks_inside_a_window_are_filled_in_as_by_rectools(network: ClozeEncoder) -> None:
    cloze = RECORDED["cloze"]
    for inputs, states, scores in zip(cloze["inputs"], cloze["states"], cloze["scores_at_masks"], strict=True):
        items = [MASK if item == "MASK" else item for item in inputs]
        found = network.states(padded([items], len(items)))[0]
        np.testing.assert_allclose(found, states, rtol=0, atol=1e-5)
        at_masks = network.logits(found[torch.tensor(items) == MASK])[:, 1:]
        np.testing.assert_allclose(at_masks, scores, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 9])
def test_the_oldest_item_is_seen_while_there_is_room(network: ClozeEncoder, length: int) -> None:
    session = [1 + item % 12 for item in range(length)]
    state = network.encode(prefixes(session))
    for oldest in range(length):
        changed = network.encode(prefixes([*session[:oldest], 12, *session[oldest + 1 :]]))
        assert torch.equal(changed, state) == (oldest < length - 6)


@torch.no_grad()
def test_a_masked_event_hides_its_context() -> None:
    log = sessions([[1, 2, 3, 4], [4, 3, 2, 1]], 4)
    table = log.vocabulary.table.with_columns(colour=pl.Series(["red", "blue", "red", "green"]))
    model = BERT4Rec(embedding_size=8, dropout=0.0, features=["colour"])
    model.fit_preprocessing(replace(log, vocabulary=Vocabulary(table)))
    network = model.assemble().eval()
    window = network.window(log.as_prefixes())
    window.items[:, 2] = 5
    states = network.states(window)
    for event in range(4):
        colours = window.context["colour"].clone()
        colours[:, event] = colours[:, event] % 3 + 1
        changed = network.states(replace(window, context={"colour": colours}))
        assert torch.equal(changed, states) == (event == 2)


def test_it_is_trained_on_masks_or_on_prefixes_but_not_at_all_positions() -> None:
    task = markov_chain()
    for positions, kind in (("auto", Cloze), ("last", EveryPrefix)):
        model = BERT4Rec(training={"positions": positions})
        model.network = model.build(30)
        assert type(model.batches(task.train, seed=0)) is kind
    with pytest.raises(ParameterError, match=r"bert4rec\.training\.positions: .* would leak the targets"):
        BERT4Rec(training={"positions": "all"})
    with pytest.raises(ParameterError, match=r"bert4rec\.max_length"):
        BERT4Rec(max_length=1)


def test_the_preset_of_recbole() -> None:
    config = BERT4Rec(preset="recbole").config
    assert (config.embedding_size, config.inner_size, config.layers, config.heads) == (64, 256, 2, 2)
    assert (config.dropout, config.activation, config.max_length, config.training.mask_ratio) == (0.2, "gelu", 50, 0.2)
