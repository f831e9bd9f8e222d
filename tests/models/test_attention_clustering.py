"""The attention-clustering network: the contract, its options, and its clusters on the generated shop."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from chains import blocks, hit_rate, markov_chain, prefixes
from neural_contract import NeuralModelContract

from segue.charts import GREY
from segue.data.synthetic import shop
from segue.errors import ParameterError
from segue.metrics.beyond_accuracy import cluster_purity
from segue.models.attention_clustering import AttentionClustering
from segue.models.session_attention import SessionAttention
from segue.protocols.prepare import prepare

SMALL: dict = {
    "embedding_size": 16,
    "clusters": 8,
    "dropout": 0.0,
    "training": {"batch_size": 32, "loss": {"n_samples": 32}, "epochs": 5, "learning_rate": 0.03},
}


class TestAttentionClustering(NeuralModelContract):
    model = AttentionClustering
    parameters: ClassVar = SMALL
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 16,
        "clusters": 8,
        "training": {"batch_size": 8, "loss": {"n_samples": 32}, "epochs": 4, "patience": None},
    }


class TestDescribed(NeuralModelContract):
    """The preset knows no order, so that the log is one where only the items of a session count."""

    model = AttentionClustering
    parameters: ClassVar = {
        **SMALL,
        "preset": "described",
        "training": {**SMALL["training"], "epochs": 10, "schedule": "constant"},
    }
    make_task = staticmethod(blocks)
    long: ClassVar = {**TestAttentionClustering.long, "preset": "described"}


@pytest.mark.parametrize(
    "options",
    [
        {"clustering": False},
        {"recency": False},
        {"assignment": "straight-through"},
        {"gate_input": "linear"},
        {"vectors": "trained", "clusters": 20, "anneal": 1.0, "temperature": 0.5},
        {"combination": "sum", "importance": "own"},
        {"gate_input": "embedding", "training": {"loss": "cross-entropy"}},
    ],
    ids=str,
)
def test_every_option_learns(options: dict) -> None:
    task = blocks()
    training = {**SMALL["training"], "epochs": 10, "schedule": "constant", **options.get("training", {})}
    model = AttentionClustering(**{**SMALL, **options, "training": training}).fit(task.train)
    assert hit_rate(model, task) >= 0.95 * task.optimum


def test_clusters_that_learn_nothing_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"combination: must be 'product' with vectors 'trained', got 'sum'"):
        AttentionClustering(vectors="trained", combination="sum")


def test_a_network_without_clusters_names_none() -> None:
    model = AttentionClustering(**SMALL | {"clustering": False}).fit(blocks().train)
    assert model.notes == ()
    with pytest.raises(ParameterError, match=r"attention-clustering\.clustering: must be true for a network with"):
        model.clusters()


@pytest.mark.parametrize(
    ("visits", "batch_size", "learning_rate", "purity"),
    [pytest.param(3000, 32, 0.02, 0.5, id="3000"), pytest.param(20_000, 128, 0.01, 0.6, id="20000")],
)
def test_clusters_match_the_categories_of_the_shop(
    visits: int, batch_size: int, learning_rate: float, purity: float
) -> None:
    """With a trained table a session is told by its clusters alone: they become the departments of the shop.

    Random clusters have a purity of 0.2.
    """
    data = prepare(shop(visits), "session-next", split={"test_days": 2})
    training = {"batch_size": batch_size, "epochs": 8, "learning_rate": learning_rate, "loss": {"n_samples": 256}}
    model = AttentionClustering(vectors="trained", anneal=1.0, training=training).fit(data.train)
    categories = np.unique(data.train.vocabulary.table["category"].to_numpy(), return_inverse=True)[1]
    assert cluster_purity(model.clusters(), categories) >= purity
    assert model.share_in_use() >= 0.5
    assert model.notes == (f"{model.share_in_use():.0%} of 32 clusters contain items",)


def test_purity_by_hand() -> None:
    """Of the cluster {a, a, b} two are alike, of {b} one."""
    assert cluster_purity(np.array([0, 0, 0, 2]), np.array([0, 0, 1, 1])) == 0.75


@pytest.fixture(scope="module")
def described() -> AttentionClustering:
    return AttentionClustering(**SMALL, preset="described", max_length=6).fit(blocks().train)


def test_the_preset_is_the_network_as_described(described: AttentionClustering) -> None:
    network, clusters = described.network, described.network.clusters
    assert (network.attention.gate_input, network.recency) == ("linear", None)
    assert (clusters.assignment.straight_through, clusters.combination) == (True, "sum")
    assert clusters.importance is None
    assert clusters.vectors is None
    assert described.config.training.loss.kind == "nce"
    assert set(network.members()[1:].unique().tolist()) == {0.0, 1.0}


def test_the_tables_of_a_session_give_its_state(described: AttentionClustering) -> None:
    """The sum of the clusters by weight, their events pooled by attention, and of the events by final attention."""
    session = [101, 103, 107, 101, 110]
    found = described.attention([*session, 9])
    events, clusters = found.events, found.clusters
    assert events["item"].to_list() == session
    assert found.unknown == (9,)
    assert events["membership"].to_list() == [1.0] * 5
    assert events["attention"].sum() == pytest.approx(1)
    assert events["final_attention"].sum() == pytest.approx(1)
    assert clusters["weight"].sum() == pytest.approx(1)
    assert clusters["weight"].is_sorted(descending=True)
    assert set(clusters["cluster"]) == set(events["cluster"])
    index = torch.tensor(described.vocabulary.index(session))
    with torch.no_grad():
        embedded = described.network.items[index]
        gated = described.network.attention(embedded)
    torch.testing.assert_close(events["gate"].to_torch(), gated.gates.mean(-1))
    state = events["final_attention"].to_torch() @ embedded
    for cluster, share, weight in clusters.select("cluster", "share", "weight").iter_rows():
        members = events["attention"].to_torch() * (events["cluster"] == cluster).to_torch()
        assert members.sum().item() == pytest.approx(share)
        state += weight * (members @ gated.vectors) / members.sum()
    scores = described.score(prefixes(index.tolist()))
    torch.testing.assert_close(described.network.logits(state[None])[:, 1:], scores[:, 1:])


def test_the_tables_hold_what_the_network_reads(described: AttentionClustering) -> None:
    assert described.attention([101] * 9).events.height == 6
    plain = AttentionClustering(**SMALL | {"clustering": False}).fit(blocks().train)
    found = plain.attention([101, 102])
    assert found.events.columns == ["item", "gate", "attention"]
    assert found.to_dict()["clusters"] is None
    assert [panel["encoding"]["x"]["field"] for panel in found.chart()["hconcat"]] == ["gate", "attention"]


@pytest.mark.parametrize(
    ("session", "message"),
    [
        ([[101], [102]], r"session: must be the item ids of one session, got \[\[101\], \[102\]\]"),
        ([9], r"session: must contain an item that the model knows, got \[9\]"),
        ("101", "sessions: must be a list of item ids"),
    ],
)
def test_what_is_no_session_is_refused(described: AttentionClustering, session: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        described.attention(session)


def test_the_chart_names_events_and_clusters(described: AttentionClustering, tmp_path: Path) -> None:
    found = described.attention([101, 103, 107, 101])
    svg = found.write(tmp_path / "a.svg").read_text(encoding="utf-8")
    texts = [part.text for part in ElementTree.fromstring(svg).iter() if part.tag.endswith("text")]
    assert {"1  101", "2  103", "3  107", "4  101", "final attention", "weight of the cluster"} <= set(texts)
    assert {f"cluster {cluster}" for cluster in found.clusters["cluster"]} <= set(texts)
    assert found.write(tmp_path / "b.svg").read_text(encoding="utf-8") == svg
    assert found.write(tmp_path / "a.png").stat().st_size > 0
    with pytest.raises(ParameterError, match=r"out: must end in \.png or \.svg, got '.*a\.pdf'"):
        found.write(tmp_path / "a.pdf")


def test_many_clusters_of_a_session_have_a_colour_each_or_are_grey() -> None:
    n = 9
    events = pl.DataFrame({"item": range(n), "gate": [0.5] * n, "attention": [1 / n] * n, "cluster": range(n)})
    clusters = pl.DataFrame({"cluster": range(n), "share": [1 / n] * n, "weight": [1 / n] * n})
    scale = SessionAttention(events, clusters).chart()["hconcat"][0]["encoding"]["color"]["scale"]
    assert (len(set(scale["range"][:7])), scale["range"][7:]) == (7, [GREY, GREY])
    assert scale["domain"] == list(range(n))


def test_the_context_of_events_is_read() -> None:
    model = AttentionClustering(**SMALL | {"features": ("hour",), "training": {"epochs": 1}}).fit(blocks().train)
    night, noon = (model.attention([101, 102], context={"time": f"2026-01-31T{hour}:00"}) for hour in ("03", "12"))
    assert night.events["item"].equals(noon.events["item"])
    assert not night.events["gate"].equals(noon.events["gate"])
    with pytest.raises(ParameterError, match="context: attention-clustering can read time of a session, got 'shop'"):
        model.attention([101], context={"shop": ["a"]})
