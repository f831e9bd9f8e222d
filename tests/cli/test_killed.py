"""A run that was killed in the middle of its training and resumed equals one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from command import segue

PROGRAM = "from segue.cli.main import main; main()"
OPTIONS = ("--model", "gru4rec", "--no-baselines", "--set", "gru4rec.hidden_size=8")
EPOCHS = ("--set", "gru4rec.training.epochs=10", "--set", "gru4rec.training.patience=none")


def rows(folder: Path) -> list[dict[str, Any]]:
    found = json.loads((folder / "results.json").read_text())["models"]
    costs = {"fit_seconds", "evaluate_seconds", "peak_memory_mb", "latency_ms"}
    kept = [{name: value for name, value in row.items() if name not in costs} for row in found]
    return [{**row, "curve": [{**epoch, "seconds": 0} for epoch in row["curve"]]} for row in kept]


def curve(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "curves" / "gru4rec.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]


def test_killed_and_resumed_equals_uninterrupted(log: Path, tmp_path: Path) -> None:
    command = ("run", str(log), *OPTIONS, *EPOCHS, "--out")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *command, killed], stderr=subprocess.DEVNULL)
    patience = time.monotonic() + 60
    while not list((killed / "checkpoints").glob("gru4rec-*.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "gru4rec").exists()
    resumed = segue(*command, killed, "--resume")
    assert resumed.code == 0, resumed.err
    assert "epoch 1/10" not in resumed.err
    assert "epoch 10/10" in resumed.err
    assert segue(*command, whole).code == 0
    assert rows(killed) == rows(whole)
    arrays = [(folder / "gru4rec" / "arrays.safetensors").read_bytes() for folder in (killed, whole)]
    assert arrays[0] == arrays[1]
    assert curve(killed) == curve(whole) == rows(whole)[0]["curve"]
    names = {"gru4rec", "cases", "results.json", "report.md", "report.html", "run.json", "curves", "environment.json"}
    assert {path.name for path in killed.iterdir()} == names
