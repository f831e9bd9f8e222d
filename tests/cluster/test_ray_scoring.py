"""Scores, metrics and trials on Ray are those of one process, also if a node is killed meanwhile."""

from pathlib import Path

import numpy as np
import pytest
from ray_tasks import CountedEngine, KillingCluster, executed

from scored_shop import make_scored_shop
from segue import load, open_dataset
from segue.cluster import ray_ranking
from segue.cluster.ray_cluster import RayCluster
from segue.cluster.ray_ranking import RayRanking
from segue.data.partitions import Engine, OnDisk
from segue.evaluation.measure import measure
from segue.experiment.batch_scoring import Lists, score_data, score_log
from segue.experiment.config import RunConfig
from segue.experiment.prepared_data import stage_log


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_scored_shop(tmp_path_factory.mktemp("shop"))


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def score(log: Path, model: Path, out: Path, engine: Engine, partitions: int) -> dict[str, bytes]:
    source, lists = stage_log(RunConfig(log=str(log), models=[]), engine, 1 << 30), Lists(model, "", 10)
    score_log(source, lists, out, engine, memory=1 << 30, partitions=partitions, part_sessions=70)
    return files(out)


@pytest.mark.parametrize("name", ["v-sknn", pytest.param("gru4rec", marks=pytest.mark.soak)])
def test_scores_of_a_log_while_a_node_is_killed(
    name: str, shop: tuple[Path, Path], tmp_path: Path, two_nodes: RayCluster
) -> None:
    log, models = shop
    expected = score(log, models / name, tmp_path / "disk", OnDisk(tmp_path / "work"), 1)
    (parts,) = (tmp_path / "work").glob("*-score_part")
    record = tmp_path / "record"
    engine = CountedEngine(tmp_path / "ray-work", cluster=two_nodes, record=record, kill_step=int(parts.name[:4]))
    assert score(log, models / name, tmp_path / "ray", engine, 3) == expected
    assert list(tmp_path.glob("killed-*"))
    ran = executed(record)
    assert len(ran) == len(set(ran))


def test_scores_of_a_data_set(shop: tuple[Path, Path], tmp_path: Path, two_nodes: RayCluster) -> None:
    data, lists = shop[0].with_name("data"), Lists(shop[1] / "v-sknn", "", 10)
    score_data(data, "", lists, tmp_path / "disk", OnDisk(tmp_path / "work"), part_sessions=70)
    engine = CountedEngine(tmp_path / "ray-work", cluster=two_nodes, record=tmp_path / "record")
    score_data(data, "", lists, tmp_path / "ray", engine, part_sessions=70)
    assert files(tmp_path / "ray") == files(tmp_path / "disk")


METRICS = {"metrics": ["mrr@5", "recall@10", "gauc", "coverage@10", "popularity@3"]}


@pytest.mark.parametrize(
    ("name", "candidates", "kill"),
    [
        ("v-sknn", "uni20", False),
        ("v-sknn", "full", True),
        pytest.param("gru4rec", "full", False, marks=pytest.mark.soak),
    ],
)
def test_metrics_of_cases_ranked_while_a_node_is_killed(
    name: str,
    candidates: str,
    kill: bool,
    shop: tuple[Path, Path],
    tmp_path: Path,
    two_nodes: RayCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_ranking, "_TASK_CASES", 6)
    model, cases = load(shop[1] / name), open_dataset(shop[0].with_name("data")).test
    rules = METRICS | {"candidates": candidates}
    expected = measure(model, cases, rules, chunk=3)
    killed = tmp_path / "killed"
    if not kill:
        killed.touch()
    cluster = KillingCluster(two_nodes.ray, two_nodes.remote, killed=killed)
    found = measure(model, cases, rules, chunk=3, rank=RayRanking(cluster, shop[1] / name))
    assert killed.exists()
    assert len(cases) > 24
    assert found.metrics == expected.metrics
    assert found.confidence == expected.confidence
    assert found.tie_bounds == expected.tie_bounds
    assert (found.tied, found.roc, found.sampled) == (expected.tied, expected.roc, expected.sampled)
    np.testing.assert_array_equal(found.ranks, expected.ranks)
    for text, values in expected.values.items():
        np.testing.assert_array_equal(found.values[text], values)
