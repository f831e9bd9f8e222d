"""What a run leaves of its course: curves, environment, TensorBoard's event files and MLflow's runs, read back."""

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interrupted import stop_at
from segue.data.events import Events
from segue.data.synthetic import shop
from segue.errors import MissingExtraError, ParameterError, StorageError
from segue.experiment.config import RunConfig, load_config
from segue.experiment.results import Epoch, Results
from segue.experiment.run import run
from segue.experiment.tracking.tracker import check_trackers

pytestmark = pytest.mark.skipif(sys.flags.optimize == 2, reason="MLflow needs the docstrings that python -OO removes")

EPOCHS = 4
SMALL = {"hidden_size": 8, "training": {"epochs": EPOCHS, "loss": {"n_samples": 32}, "patience": None}}


@pytest.fixture(scope="module")
def events() -> Events:
    return shop(300, 0)


def config(**changes: Any) -> RunConfig:
    return RunConfig(**{"log": "shop", "models": ["gru4rec"], "baselines": False, "set": {"gru4rec": SMALL}, **changes})


def lines(out: Path, label: str = "gru4rec") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "curves" / f"{label}.jsonl").read_text(encoding="utf-8").splitlines()]


def without_seconds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def whole(events: Events, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """A run with both trackers that nothing interrupted. Not to be written to."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, run(config(track=["tensorboard", "mlflow"]), out, events=events)


def scalars(out: Path, label: str = "gru4rec") -> dict[str, list[tuple[int, float]]]:
    """Read TensorBoard's event files back."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(out / "tensorboard" / label))
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def logged(out: Path) -> tuple[Any, dict[str, list[tuple[int, float]]]]:
    """Read the one run of MLflow back, and the history of each metric."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{out / 'mlruns' / 'mlflow.db'}")
    (one,) = client.search_runs([client.get_experiment_by_name("shop").experiment_id])
    history = {name: client.get_metric_history(one.info.run_id, name) for name in one.data.metrics}
    return one, {name: [(metric.step, metric.value) for metric in found] for name, found in history.items()}


def test_the_curve_has_a_line_per_epoch_and_stands_in_the_results(whole: tuple[Path, Results]) -> None:
    out, results = whole
    (row,) = results.models
    assert [Epoch(**line) for line in lines(out)] == row.curve
    assert [epoch.epoch for epoch in row.curve] == list(range(1, EPOCHS + 1))
    assert {epoch.stage for epoch in row.curve} == {"training"}
    assert Results.read(out / "results.json").models == results.models


def test_a_factorisation_has_a_curve_of_train_auc(events: Events, tmp_path: Path) -> None:
    passes = {"als": {"training": {"iterations": 3, "tolerance": None}}, "bpr": {"training": {"epochs": 4}}}
    asked = config(models=["als", "bpr"], set=passes, track=["tensorboard", "mlflow"])
    results = run(asked, tmp_path, events=events)
    rows = {row.label: row for row in results.models}
    als, bpr = lines(tmp_path, "als"), lines(tmp_path, "bpr")
    assert [line["train_auc"] for line in bpr] == [epoch.train_auc for epoch in rows["bpr"].curve]
    assert (len(als), len(bpr)) == (3, 4)
    assert all("skipped" not in line and line["loss"] > 0 for line in als)
    assert all(0 <= line["skipped"] < 1 and line["loss"] is None for line in bpr)
    for label, curve in (("als", als), ("bpr", bpr)):
        assert rows[label].diagnostics["train_auc"] == curve[-1]["train_auc"]
        assert rows[label].diagnostics["validation_last"] == curve[-1]["validation"]
    stored = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert {row["label"]: row["curve"] for row in stored["models"]} == {"als": als, "bpr": bpr}
    assert results.data["density_class"] == "dense"
    assert [value for _, value in scalars(tmp_path, "bpr")["factorisation/train_auc"]] == pytest.approx(
        [line["train_auc"] for line in bpr]
    )
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## Training of the factorisations" in report
    assert f"| bpr | 4 | {bpr[-1]['train_auc']:.1%} | " in report
    assert "The log is dense: its density, events / (users x items) of training, is 0.0" in report


def test_interrupted_and_resumed_leaves_what_an_uninterrupted_run_leaves(
    events: Events, whole: tuple[Path, Results], tmp_path: Path
) -> None:
    out, asked = tmp_path / "a", config(track=["tensorboard", "mlflow"])
    with stop_at(3):
        run(asked, out, events=events)
    assert logged(out)[0].info.status == "FAILED"
    run(asked, out, events=events, resume=True)
    assert without_seconds(lines(out)) == without_seconds(lines(whole[0]))
    for name in ("training/loss", "training/validation", "test/recall@20"):
        assert scalars(out)[name] == scalars(whole[0])[name]
    (one, history), (_, expected) = logged(out), logged(whole[0])
    assert one.info.status == "FINISHED"
    for name in ("loss", "validation", "test/recall_at_20"):
        assert history[name] == expected[name]
    run(asked, out, events=events, resume=True)
    assert logged(out)[1] == history


def test_tensorboard_shows_curve_and_test(whole: tuple[Path, Results]) -> None:
    out, results = whole
    found, (row,) = scalars(out), results.models
    assert [step for step, _ in found["training/loss"]] == [epoch.epoch for epoch in row.curve]
    assert [value for _, value in found["training/validation"]] == pytest.approx(
        [epoch.validation for epoch in row.curve]
    )
    assert found["test/recall@20"] == [(EPOCHS, pytest.approx(row.metrics["recall@20"]))]


def test_mlflow_holds_parameters_curve_test_and_protocol(whole: tuple[Path, Results]) -> None:
    out, results = whole
    (one, history), (row,) = logged(out), results.models
    assert one.data.params["training.loss.n_samples"] == "32"
    assert one.data.params["seed"] == "0"
    assert one.data.tags["hash"] == results.protocol["hash"]
    assert one.info.run_name == "gru4rec"
    assert history["loss"] == [(epoch.epoch, epoch.loss) for epoch in row.curve]
    assert one.data.metrics["test/ndcg_at_10"] == row.metrics["ndcg@10"]
    assert one.data.metrics["cost/parameters"] == row.parameters


def test_the_environment_names_versions_and_no_place(whole: tuple[Path, Results]) -> None:
    text = (whole[0] / "environment.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["python"] == platform.python_version()
    assert {"torch", "numpy", "polars"} <= found["packages"].keys()
    assert found["threads"] >= 1
    assert platform.node() not in text
    assert str(Path.home()) not in text
    assert str(whole[0]) not in text


def test_a_run_that_nobody_else_is_told_of_writes_curves_alone(events: Events, tmp_path: Path) -> None:
    tuned = {**SMALL, "training": {**SMALL["training"], "epochs": 1, "fine_tuning": {"epochs": 1}}}
    asked = config(models=["gru4rec", "item-knn"], set={"gru4rec": tuned})
    results = run(asked, tmp_path / "a", events=events)
    assert {row.label: [(one.epoch, one.stage) for one in row.curve] for row in results.models} == {
        "gru4rec": [(1, "training"), (2, "fine-tuning")],
        "item-knn": [],
    }
    assert [path.name for path in (tmp_path / "a" / "curves").iterdir()] == ["gru4rec.jsonl"]
    assert {path.name for path in (tmp_path / "a").iterdir()} >= {"curves", "environment.json", "results.json"}
    assert not (tmp_path / "a" / "tensorboard").exists()
    assert not (tmp_path / "a" / "mlruns").exists()


def test_a_store_that_mlflow_cannot_reach_is_said_without_its_password(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://anna:secret@host")
    with pytest.raises(StorageError, match="MLFLOW_TRACKING_URI: MLflow cannot store the run there") as caught:
        run(config(track=["mlflow"]), tmp_path / "a", events=events)
    assert "secret" not in str(caught.value)


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"config.track.0: must be 'tensorboard' or 'mlflow', got 'wandb'"):
        load_config(None, {"track": ["wandb"]})


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_tracker_that_is_not_installed_names_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"--track {name} needs the extra 'track'"):
        check_trackers([name])


def test_a_run_without_trackers_loads_neither_of_them() -> None:
    code = (
        "import sys, segue; segue.run;"
        "sys.exit(any(name.split('.')[0] in ('mlflow', 'tensorboard', 'optuna') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
