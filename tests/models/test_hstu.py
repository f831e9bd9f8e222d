"""HSTU: the contract, the authors' numbers, and its sense of time.

The numbers in fixtures/hstu.json were recorded from the authors' research code in evaluation mode, with the weights
given there (under its names), for times and positions and for positions alone: the state after each event, which has
length 1, and the cosines of items 1 to 12 after the last one. That code is told when the next event will be.
"""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from chains import blocks, markov_chain, prefixes
from neural_contract import NeuralModelContract
from recorded import load_recorded, padded, rename

from segue.data.sessions import Prefixes
from segue.errors import ParameterError
from segue.models.hstu import HSTU, HSTUEncoder, time_buckets

RECORDED, WEIGHTS = load_recorded("hstu")
SESSIONS, TIMES = RECORDED["sessions"], RECORDED["times_then_next"]


class TestHSTU(NeuralModelContract):
    model = HSTU
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
        "training": {"batch_size": 8, "epochs": 3, "patience": None},
    }


@pytest.fixture(scope="module")
def network() -> HSTUEncoder:
    """The recorded weights; their window has a 7th place, for the next event, whose position is not in use."""
    theirs = WEIGHTS["_input_features_preproc._pos_emb.weight"]
    weights = {
        "items": WEIGHTS["_embedding_module._item_emb.weight"],
        "positions.weight": torch.cat((theirs[:6].flip(0), theirs[6:])),
    }
    for layer in range(2):
        unit = f"_hstu._attention_layers.{layer}"
        weights |= rename(WEIGHTS, {f"blocks.{layer}.output": f"{unit}._o"})
        weights |= {
            f"blocks.{layer}.gate_value_query_key.weight": WEIGHTS[f"{unit}._uvqk"].T,
            f"blocks.{layer}.bias.times": WEIGHTS[f"{unit}._rel_attn_bias._ts_w"],
            f"blocks.{layer}.bias.positions": WEIGHTS[f"{unit}._rel_attn_bias._pos_w"][:7].flip(0),
        }
    network = HSTU(embedding_size=8, heads=2, max_length=7).build(12).eval()
    network.normalised, network.temperature = True, 1.0
    network.load_state_dict(weights)
    return network


@torch.no_grad()
@pytest.mark.parametrize("kind", ["times and positions", "positions"])
@pytest.mark.parametrize("width", [6, 7])
def test_outputs_equal_those_of_the_authors(network: HSTUEncoder, kind: str, width: int) -> None:
    window = padded(SESSIONS, width)
    moments = None
    if kind == "times and positions":
        rows = [[times[0]] * (width + 1 - len(times)) + times for times in TIMES]
        window = replace(window, times=torch.tensor([row[:-1] for row in rows]))
        moments = torch.tensor([row[1:] for row in rows])
    states, expected = network.scaled(network.states_at(window, moments)), RECORDED["outputs"][kind]
    for row, theirs in zip(states, expected["states"], strict=True):
        np.testing.assert_allclose(row[width - len(theirs) :], theirs, rtol=0, atol=1e-5)
    np.testing.assert_allclose(network.logits(states[:, -1])[:, 1:], expected["scores"], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_session_is_asked_about_at_its_last_event(network: HSTUEncoder) -> None:
    items, times = np.array(SESSIONS[2], dtype=np.int32), np.array(TIMES[2][:6])
    one, whole = np.array([0]), np.array([6])
    state = network.encode(Prefixes(items, one, whole, times))
    window = replace(padded([SESSIONS[2]], 6), times=torch.from_numpy(times)[None])
    torch.testing.assert_close(state, network.scaled(network.states_at(window, window.times)[:, -1]))
    assert torch.equal(network.encode(Prefixes(items, one, whole, times + 10**6)), state)
    assert not torch.allclose(network.encode(Prefixes(items, one, whole, times * 2)), state)
    assert not torch.allclose(network.encode(prefixes(SESSIONS[2])), state)


def test_buckets_grow_with_the_time_between_two_events() -> None:
    known = torch.tensor([[0, 0, 0, 0, 0, 0]])
    asked = torch.tensor([[0, 1, 2, 60, 3600, 10**9]])
    assert time_buckets(asked, known, 129)[0, :, 0].tolist() == [0, 0, 2, 13, 27, 68]
    assert time_buckets(asked, known, 20).max() == 19


def test_without_times_it_says_that_it_is_not_like_for_like() -> None:
    task = blocks()
    model = HSTU(**TestHSTU.parameters)
    assert not model.fit(task.train).notes
    assert "the log has no times" in model.fit(replace(task.train, times=None)).notes[-1]
    TestHSTU().test_learns_the_task(model, task)


def test_it_knows_one_similarity() -> None:
    with pytest.raises(ParameterError, match=r"hstu\.similarity: must be 'cosine', got 'dot'"):
        HSTU(similarity="dot")


@pytest.mark.parametrize(("preset", "layers", "heads"), [("authors", 2, 1), ("authors-large", 8, 2)])
def test_presets(preset: str, layers: int, heads: int) -> None:
    config = HSTU(preset=preset).config
    assert (config.layers, config.heads, config.embedding_size, config.max_length) == (layers, heads, 50, 200)
