"""`segue fit` in several processes: one message for each mistake, one model, and a state to go on from."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import segue, tree, write_shop

CONFIG = """models: [sasrec]
set: {sasrec: {embedding_size: 8, max_length: 8, layers: 1, training: {epochs: 2, batch_size: 16, micro_batches: 2}}}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return write_shop(folder / "log.csv", 300)


def command(shop: Path, *more: object) -> list[str]:
    return ["fit", str(shop), "--config", str(shop.with_name("config.yaml")), *map(str, more)]


def start(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "segue", *arguments],
        env={**os.environ, "COLUMNS": "80", "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_write_the_model_of_one(shop: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert segue(*command(shop, "--out", one)).code == 0
    process = start(*command(shop, "--out", two, "--processes", 2, "--checkpoints", tmp_path / "state"))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert tree(one) == tree(two)
    assert (out.count("Wrote"), err.count("epoch 1/2")) == (1, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


def test_mistakes_of_processes_are_said_once(shop: Path, tmp_path: Path) -> None:
    batches = ("--set", "sasrec.training.micro_batches=1")
    process = start(*command(shop, *batches, "--out", tmp_path / "out", "--processes", 2))
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert err.count("error:") == 1
    assert "sasrec.training.micro_batches: must be a multiple of the 2 processes, got 1" in err
    assert not list(tmp_path.iterdir())


def test_mistakes_of_the_environment(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = segue(*command(shop, "--out", tmp_path / "out"))
    assert outcome.code == 2
    assert "MASTER_PORT: must be set in the environment of each of the 2 processes (WORLD_SIZE)" in outcome.err
    outcome = segue(*command(shop, "--out", tmp_path / "out", "--processes", 3))
    assert outcome.code == 2
    assert "--processes: must be the 2 processes of the environment (WORLD_SIZE), got 3" in outcome.err


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
def test_one_that_is_killed_ends_all_and_one_process_goes_on(shop: Path, tmp_path: Path) -> None:
    whole, out, state = tmp_path / "whole", tmp_path / "out", tmp_path / "state"
    more = ("--set", "sasrec.training.epochs=8", "--checkpoint-seconds", 0)
    process = start(*command(shop, *more, "--out", out, "--processes", 2, "--checkpoints", state))
    deadline = time.monotonic() + 200
    while not (state / "fit.safetensors").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]
    os.kill(max(children), signal.SIGKILL)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 2
    assert err.count("error: processes: one of 2 ended during the training") == err.count("error:") == 1
    assert not out.exists()
    assert segue(*command(shop, *more, "--out", out, "--checkpoints", state)).code == 0
    assert segue(*command(shop, *more, "--out", whole)).code == 0
    assert tree(out) == tree(whole)
    assert not state.exists()
