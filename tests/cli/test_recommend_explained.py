"""``segue recommend --explain`` and ``segue plot --color cluster``: what a network of clusters shows of itself."""

import json
from pathlib import Path

import polars as pl
import pytest
from command import Outcome, segue, tree

from segue import AttentionClustering, load, prepare
from segue.data.synthetic import shop


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A barely trained network with the names of a shop."""
    data = prepare(shop(1500), "session-next", split={"test_days": 2})
    model = AttentionClustering(embedding_size=8, clusters=5, preset="described", training={"epochs": 1})
    return model.fit(data.train).save(tmp_path_factory.mktemp("runs") / "network")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_gates_attention_and_clusters_are_shown_and_drawn(artifact: Path, here: Path) -> None:
    session = ("--items", "1001,1002,never")
    outcome = segue("recommend", artifact, *session, "-k", 3, "--explain", "--out", "session.svg")
    assert (outcome.code, outcome.err) == (0, "")
    for head in ("gate", "attention", "membership", "share", "weight"):
        assert head in outcome.out
    assert "'never'" in outcome.out
    assert outcome.out.endswith("Wrote session.svg.\n")
    assert list(tree(here)) == ["session.svg"]
    assert "running shoes" in (here / "session.svg").read_text(encoding="utf-8")
    told = json.loads(segue("recommend", artifact, *session, "--explain", "--json").out)["attention"]
    assert [event["item"] for event in told["events"]] == [1001, 1002]
    assert told["unknown"] == ["never"]
    assert "attention" not in json.loads(segue("recommend", artifact, *session, "--json").out)


REFUSED = {
    "no --explain": (("--items", "1001", "--out", "a.png"), "--out: needs --explain, whose chart it is, got 'a.png'"),
    "wrong suffix": (("--items", "1001", "--explain", "--out", "a.pdf"), "out: must end in .png or .svg, got 'a.pdf'"),
    "unknown items": (("--items", "no", "--explain"), "session: must contain an item that the model knows, got ['no']"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_explained_is_refused(name: str, artifact: Path, here: Path) -> None:
    options, message = REFUSED[name]
    outcome = segue("recommend", artifact, *options)
    assert (outcome.code, message in outcome.err, "Traceback" in outcome.err) == (2, True, False)
    assert tree(here) == {}


def test_models_without_clusters_are_refused(finished: tuple[Path, Outcome], here: Path) -> None:
    stan = segue("recommend", finished[0] / "stan", "--items", "1001", "--explain")
    assert (stan.code, stan.err) == (
        2,
        "error: --explain: needs a model that gates and clusters events, attention-clustering, got stan\n",
    )
    network = segue("plot", finished[0] / "gru4rec", "--color", "cluster")
    assert network.code == 2
    assert "color: 'cluster' needs a network that assigns items to clusters, attention-clustering" in network.err
    assert "got gru4rec; write popularity or a column of the items' metadata" in network.err
    assert tree(here) == {}


def test_items_are_coloured_by_their_cluster(artifact: Path, here: Path) -> None:
    outcome = segue("plot", artifact, "--color", "cluster", "--neighbours", "1001", "--out", "a.png", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    told = json.loads(outcome.out)
    clusters = load(artifact).clusters()
    assert told["purity"]["categories"] == len(set(clusters.tolist()))


def test_a_column_of_that_name_is_never_taken_for_the_networks_clusters(
    artifact: Path, finished: tuple[Path, Outcome], here: Path
) -> None:
    ids = range(1001, 1481)
    pl.DataFrame({"item": ids, "cluster": [item % 3 for item in ids]}).write_csv("items.csv")
    both = segue("plot", artifact, "--color", "cluster", "--items", "items.csv")
    assert both.code == 2
    assert "color: 'cluster' is both the network's clusters and a column of the items' metadata" in both.err
    for model, color in ((artifact, "cluster:category"), (finished[0] / "gru4rec", "cluster")):
        outcome = segue("plot", model, "--color", color, "--items", "items.csv", "--out", "a.png", "--json")
        assert json.loads(outcome.out)["purity"]["categories"] == 3
