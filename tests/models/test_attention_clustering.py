"""The attention-clustering network: the contract, its options, and its clusters on the generated shop."""

from typing import ClassVar

import numpy as np
import pytest
from chains import blocks, hit_rate, markov_chain
from neural_contract import NeuralModelContract

from segue.data.synthetic import shop
from segue.errors import ParameterError
from segue.metrics.beyond_accuracy import cluster_purity
from segue.models.attention_clustering import AttentionClustering
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


@pytest.mark.parametrize(
    "options",
    [
        {"clustering": False},
        {"recency": False},
        {"assignment": "straight-through"},
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


def test_clusters_match_the_categories_of_the_shop() -> None:
    """With a trained table a session is told by its clusters alone: they become the departments of the shop."""
    data = prepare(shop(), "session-next", split={"test_days": 2})
    training = {"batch_size": 128, "epochs": 8, "learning_rate": 0.01, "loss": {"n_samples": 256}}
    model = AttentionClustering(vectors="trained", anneal=1.0, training=training).fit(data.train)
    categories = np.unique(data.train.vocabulary.table["category"].to_numpy(), return_inverse=True)[1]
    assert cluster_purity(model.clusters(), categories) >= 0.6
    assert model.share_in_use() >= 0.5
    assert model.notes == (f"{model.share_in_use():.0%} of 32 clusters hold items",)


def test_purity_by_hand() -> None:
    """Of the cluster {a, a, b} two are alike, of {b} one."""
    assert cluster_purity(np.array([0, 0, 0, 2]), np.array([0, 0, 1, 1])) == 0.75
