"""A search on Ray: a trial whose node is killed is finished by another worker, and each trial finishes once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ray_tasks import KillingCluster

from segue.cluster.ray_cluster import RayCluster
from segue.cluster.ray_trials import RayWorkers
from segue.data.synthetic import shop
from segue.experiment.config import RunConfig
from segue.tuning import TuningConfig
from segue.tuning.tune import tune

SEARCH = {"gru4rec": {"training.learning_rate": "0.005..0.5:log"}}
SMALL = {"hidden_size": 8, "training": {"epochs": 3, "loss": {"n_samples": 32}}}


@pytest.mark.parametrize("trials", [3, pytest.param(8, marks=pytest.mark.soak)])
def test_trials_finish_once_although_a_node_is_killed(
    trials: int, tmp_path: Path, two_nodes: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue.tuning.report.write_charts", lambda result: [])
    out, killed = tmp_path / "search", tmp_path / "killed"
    cluster = KillingCluster(two_nodes.ray, two_nodes.remote, killed=killed, moment=out / "checkpoints")
    config = TuningConfig(search=SEARCH, only=True, trials=trials, prune=False)
    run_config = RunConfig(log="shop", models=["gru4rec"], set={"gru4rec": SMALL})
    result = tune(run_config, out, config=config, events=shop(400, 0), pool=RayWorkers(cluster, 2))
    assert killed.exists()
    assert [(row.number, row.state) for row in result.trials] == [(number, "finished") for number in range(trials)]
    assert all(row.epochs == 3 for row in result.trials)
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (out / "study.journal").read_text(encoding="utf-8").splitlines()
    ]
    ended = Counter(line["trial_id"] for line in lines if line.get("state") == 1)
    assert ended == Counter(range(trials))
    attempts = [line["user_attr"]["attempts"] for line in lines if "attempts" in line.get("user_attr", {})]
    assert max(attempts) == 2
