"""`segue tune` from a shell: killed, shared by several processes, and followed by the run of what it found."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import segue, write_shop

PROGRAM = "from segue.cli.main import main; main()"
OPTIONS = (
    *("--model", "gru4rec", "--only", "--search", "gru4rec.training.learning_rate=0.005..0.5:log"),
    *("--set", "gru4rec.hidden_size=8", "--set", "gru4rec.training.loss.n_samples=64"),
)
KILLED = (*OPTIONS, "--trials", 3, "--set", "gru4rec.training.epochs=4", "--out")


def begin(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def trials(folder: Path) -> list[dict[str, Any]]:
    return pl.read_csv(folder / "trials.csv").drop("seconds").rows(named=True)


def numbers_begun(folder: Path) -> int:
    """Return how many trials a study has begun; operation 4 of its journal begins one."""
    path = folder / "study.journal"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return sum(line.endswith("}") and json.loads(line)["op_code"] == 4 for line in lines)


def workers(folder: Path) -> set[str]:
    """Return the processes that took trials."""
    journal = [json.loads(line) for line in (folder / "study.journal").read_text(encoding="utf-8").splitlines()]
    return {line["user_attr"]["worker"] for line in journal if "worker" in line.get("user_attr", {})}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a very small shop."""
    return write_shop(tmp_path_factory.mktemp("logs") / "shop.csv", sessions=500)


@pytest.fixture(scope="module")
def whole(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that nothing interrupted. Not to be written to."""
    folder = tmp_path_factory.mktemp("searches") / "whole"
    outcome = segue("tune", log, *KILLED, folder)
    assert outcome.code == 0, outcome.err
    return folder


def test_killed_in_a_trial_and_resumed_equals_uninterrupted(log: Path, whole: Path, tmp_path: Path) -> None:
    process, patience = begin("tune", log, *KILLED, tmp_path / "a"), time.monotonic() + 240
    while not (tmp_path / "a" / "checkpoints" / "trial-1.safetensors").exists():
        assert process.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    begun = numbers_begun(tmp_path / "a")
    resumed = segue("tune", log, *KILLED, tmp_path / "a", "--resume")
    assert resumed.code == 0, resumed.err
    assert "trial 0:" not in resumed.err
    assert "trials finished already: 1," in resumed.err
    assert begun in (2, 3)
    assert numbers_begun(tmp_path / "a") == 3
    assert trials(tmp_path / "a") == trials(whole)
    assert (tmp_path / "a" / "best.yaml").read_bytes() == (whole / "best.yaml").read_bytes()


def test_the_best_configuration_runs(log: Path, whole: Path, tmp_path: Path) -> None:
    outcome = segue("run", log, "--config", whole / "best.yaml", "--no-baselines", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    (row,) = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["models"]
    best = max(trials(whole), key=lambda row: row["recall@20"])
    assert row["config"]["training"]["learning_rate"] == best["training.learning_rate"]
    assert max(epoch["validation"] for epoch in row["curve"]) == best["recall@20"]


def test_two_processes_of_one_command_share_a_search(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.mkdtemp", None)  # A kill would leave a temporary folder for good.
    options = (*OPTIONS, "--set", "gru4rec.training.epochs=1", "--trials", 6, "--workers", 2)
    outcome = segue("tune", log, *options, "--out", tmp_path / "a")
    assert outcome.code == 0, outcome.err
    rows = trials(tmp_path / "a")
    assert [row["trial"] for row in rows] == list(range(6))
    assert {row["state"] for row in rows} <= {"finished", "pruned"}
    assert len({row["training.learning_rate"] for row in rows}) == 6
    assert len(workers(tmp_path / "a")) == 2
    assert not (tmp_path / "a" / "workers").exists()


def test_a_second_command_joins_a_search(log: Path, tmp_path: Path) -> None:
    options = (*OPTIONS, "--set", "gru4rec.training.epochs=3", "--no-prune", "--trials", 8, "--out", tmp_path / "a")
    first, patience = begin("tune", log, *options), time.monotonic() + 240
    while not numbers_begun(tmp_path / "a"):
        assert first.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.005)
    refused = segue("tune", log, *options, "--overwrite")
    assert refused.err.endswith("add --resume to join it, or choose another folder\n")
    second = segue("tune", log, *options, "--resume")
    assert second.code == 0, second.err
    said, _ = first.communicate(timeout=240)
    assert first.returncode == 0, said
    assert [row["state"] for row in trials(tmp_path / "a")] == ["finished"] * 8
    assert len(workers(tmp_path / "a")) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--search", "layers=1..2"), "--search: must be MODEL.NAME=SPACE such as gru4rec.hidden_size=50..200"),
        (("--search", "gru4rec.layers=1-2"), "--search: gru4rec.layers: must be LOW..HIGH, LOW..HIGH:log or a list"),
        (("--search", "gru4rec.layers=0..2"), "--search: gru4rec.layers: must be greater than or equal to 1, got 0"),
        (("--metric", "recal@20"), "--metric: unknown metric 'recal@20': did you mean 'recall@20'?\n"),
        (("--metric", "coverage@20"), "--metric: must be a metric of ranks ("),
        (("--trials", "0"), "--trials: must be greater than or equal to 1, got 0"),
        (("--resume",), "--resume: needs the folder of the interrupted search; name it with --out"),
    ],
)
def test_mistakes_are_named(
    log: Path, options: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = segue("tune", log, "--model", "gru4rec", *options)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {message}")


def test_a_model_shows_where_it_is_tuned() -> None:
    assert "tuned in 0.01..0.25:log" in segue("models", "gru4rec").out
