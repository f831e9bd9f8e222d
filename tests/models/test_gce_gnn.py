"""GCE-GNN: the contract, the authors' numbers, and both graphs against naive loops.

The numbers in fixtures/gce_gnn.json were recorded from the authors' code: ``pairs`` is what build_graph.py kept of the
sessions in ``log``, ``graph`` is what handle_adj drew from it, and ``scores`` are those of items 1 to 12 for each
session, in evaluation mode, after one and two steps in the global graph, with the weights given there (under their
names). The row of the padding was set to zero, as it is here; there, it is what an item without neighbours sees.
"""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from chains import Task, markov_chain, prefixes, sessions
from neural_contract import NeuralModelContract
from recorded import load_recorded, padded
from torch import Tensor

from segue.data.growth import grow
from segue.data.sessions import Sessions
from segue.data.vocabulary import PADDING, Vocabulary
from segue.errors import ParameterError
from segue.models.gce_gnn import GCEGNN, GlobalContextNetwork, session_relations
from segue.models.global_graph import GlobalGraph
from segue.models.registry import load
from segue.models.two_stage import TwoStage
from segue.nn.encoders.attention import watch_attention

RECORDED, WEIGHTS = load_recorded("gce_gnn")
SESSIONS = RECORDED["sessions"]
FULL = {"loss": "cross-entropy"}


class TestGCEGNN(NeuralModelContract):
    model = GCEGNN
    parameters: ClassVar = {
        "embedding_size": 24,
        "dropout_global": 0.0,
        "dropout_neighbours": 0.0,
        "training": {**FULL, "batch_size": 256, "epochs": 3, "learning_rate": 0.01},
    }
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 24,
        "hops": 2,
        "n_neighbours": 4,
        "dropout_local": 0.1,
        "training": {**FULL, "batch_size": 32, "epochs": 5, "patience": None},
    }


def recorded_network(hops: int) -> GlobalContextNetwork:
    sizes = {"embedding_size": 8, "max_length": 6, "n_neighbours": 4, "hops": hops}
    network = GCEGNN(**sizes, dropout_global=0.0, dropout_neighbours=0.0).build(12).eval()
    neighbours, weights = (np.array(RECORDED["graph"][name]) for name in ("neighbours", "weights"))
    network.set_graph(GlobalGraph(neighbours.astype(np.int32), weights.astype(np.float32)))
    of_positions, of_items = WEIGHTS["w_1"].split(8)
    kinds = [WEIGHTS[f"local_agg.a_{kind}"] for kind in (1, 2, 3, 0)]
    named = {
        "items": WEIGHTS["embedding.weight"],
        "local.relations": torch.cat(kinds, dim=1).T,
        "place.weight": of_items.T,
        "positions.weight": WEIGHTS["pos_embedding.weight"] @ of_positions,
        "key.weight": WEIGHTS["glu1.weight"],
        "key.bias": WEIGHTS["glu1.bias"],
        "session.weight": WEIGHTS["glu2.weight"],
        "importance.weight": WEIGHTS["w_2"].T,
    }
    for hop in range(hops):
        theirs = f"agg_gcn_{hop}"
        named |= {
            f"steps.{hop}.key.weight": WEIGHTS[f"{theirs}.w_1"][:8].T,
            f"steps.{hop}.frequency": WEIGHTS[f"{theirs}.w_1"][8],
            f"steps.{hop}.importance.weight": WEIGHTS[f"{theirs}.w_2"].T,
            f"steps.{hop}.output.weight": WEIGHTS[f"{theirs}.w_3"].T,
        }
    network.load_state_dict(named)
    return network


@torch.no_grad()
@pytest.mark.parametrize("hops", [1, 2])
def test_scores_equal_those_of_the_authors(hops: int) -> None:
    network = recorded_network(hops)
    states = network.encode(prefixes(*SESSIONS))
    np.testing.assert_allclose(network.logits(states)[:, 1:], RECORDED["scores"][str(hops)], rtol=0, atol=1e-5)
    torch.testing.assert_close(network.last(padded(SESSIONS, 9 - 3)), states, rtol=0, atol=1e-5)


@pytest.mark.parametrize("hops", [1, 2])
def test_a_step_of_the_training_leaves_padding_out(hops: int) -> None:
    """Without dropout, training and evaluation give the same states, and gradients of all weights."""
    network = recorded_network(hops)
    expected = network.last(padded(SESSIONS, 6))
    states = network.train().last(padded(SESSIONS, 6))
    torch.testing.assert_close(states, expected, rtol=0, atol=1e-6)
    states.square().sum().backward()
    network.items.grad = network.items.grad if network.items.grad is None else network.items.grad.to_dense()
    assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


@torch.no_grad()
@pytest.mark.parametrize("seed", range(5))
def test_every_event_starts_with_a_positive_weight(seed: int) -> None:
    """With weights of both signs, the first state is a difference of items, and some trainings do not get over it."""
    torch.manual_seed(seed)
    network = GCEGNN(embedding_size=16).build(50).eval()
    window = padded([[3, 9, 27, 4], [50, 1]], 6)
    with watch_attention() as found:
        network.last(window)
    ((_, weights),) = found
    assert torch.equal(weights.squeeze(1) > 0, window.items != PADDING)


def test_it_runs_in_bf16() -> None:
    network = recorded_network(2).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = network.last(padded(SESSIONS, 6))
    assert states.float().isfinite().all()


def naive_graph(log: Sessions, window: int) -> dict[int, Counter[int]]:
    """Count pairs of events, both ways, with a loop."""
    near: dict[int, Counter[int]] = defaultdict(Counter)
    for start, end in pairwise(log.offsets.tolist()):
        items = log.items[start:end].tolist()
        for place, item in enumerate(items):
            for other in items[place + 1 : place + 1 + window]:
                near[item][other] += 1
                near[other][item] += 1
    return near


@pytest.mark.parametrize(("window", "size"), [(3, 4), (1, 2), (5, 20)])
def test_the_global_graph_equals_that_of_a_naive_loop(window: int, size: int) -> None:
    log = sessions(RECORDED["log"], 14)
    graph, near, support = GlobalGraph.of(log, size, window), naive_graph(log, window), log.vocabulary.support
    assert graph.neighbours.shape == graph.weights.shape == (15, size)
    assert (graph.neighbours.dtype, graph.weights.dtype) == (np.int32, np.float32)
    for item in range(15):
        best = sorted(near[item].items(), key=lambda pair: (-pair[1], -support[pair[0]], pair[0]))[:size]
        best += [(0, 0)] * (size - len(best))
        assert list(zip(graph.neighbours[item].tolist(), graph.weights[item].tolist(), strict=True)) == best


def test_the_global_graph_equals_that_of_the_authors() -> None:
    """They keep equal neighbours in order of appearance, so that of those with the least weight others may be kept."""
    log = sessions(RECORDED["log"], 12)
    graph, near = GlobalGraph.of(log, 4, 3), naive_graph(log, 3)
    theirs = zip(RECORDED["pairs"]["neighbours"], RECORDED["pairs"]["weights"], strict=True)
    for item, (neighbours, weights) in enumerate(theirs):
        assert graph.weights[item].tolist() == weights + [0] * (4 - len(weights))
        assert [near[item][neighbour] for neighbour in neighbours] == weights
        above = {neighbour for neighbour, weight in zip(neighbours, weights, strict=True) if weight > weights[-1]}
        assert above <= set(graph.neighbours[item].tolist())


def naive_relations(items: list[int]) -> Tensor:
    steps = {(one, other) for one, other in pairwise(items) if one and other and one != other}
    relations = torch.full((len(items), len(items)), -1)
    for row, item in enumerate(items):
        for other in {*items} - {item}:
            kinds = [(other, item) in steps, (item, other) in steps]
            if any(kinds):
                relations[row, items.index(other)] = 2 if all(kinds) else kinds.index(True)
        relations[row, row] = 3
    return relations


def test_relations_equal_those_of_a_naive_loop() -> None:
    window = padded(SESSIONS, 8).items
    for found, items in zip(session_relations(window), window.tolist(), strict=True):
        assert torch.equal(found, naive_relations(items)), items


def test_an_item_without_neighbours_has_a_finite_state() -> None:
    network = GCEGNN(embedding_size=8).build(12).eval()
    assert network.encode(prefixes([3], [12, 12], [])).isfinite().all()


@pytest.fixture(scope="module")
def task() -> Task:
    return markov_chain(n_items=12, n_sessions=60, length=5)


@pytest.fixture(scope="module")
def fitted(task: Task) -> GCEGNN:
    return GCEGNN(embedding_size=8, n_neighbours=5, training={"epochs": 1}).fit(task.train)


def test_the_global_graph_is_that_of_the_training_sessions(fitted: GCEGNN, task: Task, tmp_path: Path) -> None:
    expected = GlobalGraph.of(task.train, 5, 3)
    loaded = load(fitted.save(tmp_path / "model"))
    assert isinstance(loaded, GCEGNN)
    validated = GCEGNN(embedding_size=8, n_neighbours=5, training={"epochs": 1}).fit(task.train, valid=task.cases)
    for model in (fitted, loaded, validated):
        for name in GlobalGraph._fields:
            np.testing.assert_array_equal(getattr(model.graph, name), getattr(expected, name))
            buffer = getattr(model.network, name)
            np.testing.assert_array_equal(buffer, getattr(expected, name))
    assert not fitted.per_item_arrays() & {"graph/neighbours", "graph/weights"}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("neighbours", lambda one: one + 12, r"graph\.neighbours: must have values from 0 to 12, got \d+"),
        ("neighbours", lambda one: one - 1, r"graph\.neighbours: must have values from 0 to 12, got -1"),
        ("neighbours", lambda one: one[:-1], r"graph\.neighbours: must have the shape \(N\+1, S\) = \(13, 5\)"),
        ("weights", lambda one: one[:, 1:], r"graph\.weights: must have the shape \(N\+1, S\) = \(13, 5\)"),
        ("weights", lambda one: one - 1, r"graph\.weights: must have values from 0"),
        ("weights", lambda one: one * np.nan, r"graph\.weights: must be finite"),
        ("weights", None, r"graph\.weights: is missing"),
    ],
)
def test_a_damaged_graph_is_refused(name: str, change: object, message: str, fitted: GCEGNN) -> None:
    arrays = fitted.arrays()
    if callable(change):
        arrays[f"graph/{name}"] = change(arrays[f"graph/{name}"]).astype(arrays[f"graph/{name}"].dtype)
    else:
        del arrays[f"graph/{name}"]
    model = GCEGNN(fitted.config)
    with pytest.raises(ParameterError, match=rf"gce-gnn\.{message}"):
        model.restore(arrays, fitted.vocabulary)
    assert not hasattr(model, "vocabulary")


def test_an_update_adds_the_recent_sessions_to_the_graph(task: Task) -> None:
    """With room for all neighbours, the graph is that of a fit on all sessions."""
    model = GCEGNN(embedding_size=8, n_neighbours=20, training={"epochs": 1}).fit(task.train)
    lists, first = [[1, 13, 2], [3, 13, 14, 3]], int(task.train.times.max())
    plain = sessions(lists, 14)
    vocabulary = grow(model.vocabulary, plain.vocabulary.ids.gather(plain.items - 1))
    recent = Sessions(plain.items, plain.offsets, plain.times + first, vocabulary)
    updated = model.update(recent, seed=0)
    together = [task.train.items[one:end].tolist() for one, end in pairwise(task.train.offsets)] + lists
    expected = GlobalGraph.of(sessions(together, 14), 20, 3)
    for name in GlobalGraph._fields:
        np.testing.assert_array_equal(getattr(updated.graph, name), getattr(expected, name))
    assert model.graph.neighbours.shape == (13, 20)


def test_an_added_item_has_no_neighbours(fitted: GCEGNN, tmp_path: Path) -> None:
    groups = Vocabulary(fitted.vocabulary.table.with_columns(group=pl.lit("one")))
    model = GCEGNN(fitted.config).restore(fitted.arrays(), groups)
    new = pl.DataFrame({"item": [901], "group": ["one"]})
    model = load(model.add_items(new, by="group").save(tmp_path / "model"))
    assert isinstance(model, GCEGNN)
    np.testing.assert_array_equal(model.network.neighbours[:-1], fitted.graph.neighbours)
    assert not model.network.neighbours[-1].any()
    assert not model.network.weights[-1].any()
    assert model.recommend([901], k=13).cold == {901: "similar items"}


def test_items_are_added_to_it_as_a_ranker(task: Task) -> None:
    groups = Vocabulary(task.train.vocabulary.table.with_columns(group=pl.lit("one")))
    quick = {"embedding_size": 8, "training": {"epochs": 1}}
    pair = TwoStage(retriever="stamp", ranker="gce-gnn", retriever_parameters=quick, ranker_parameters=quick)
    pair = pair.fit(replace(task.train, vocabulary=groups))
    pair = pair.add_items(pl.DataFrame({"item": [901], "group": ["one"]}), by="group")
    assert 901 in pair.recommend([103, 901], k=13).items


def test_it_is_not_trained_at_all_positions() -> None:
    with pytest.raises(ParameterError, match=r"gce-gnn\.training\.positions: must be 'last' \(or 'auto'\), got 'all'"):
        GCEGNN(training={"positions": "all"})
