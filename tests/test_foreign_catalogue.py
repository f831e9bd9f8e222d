"""Whatever indices a public function is given, it answers or raises; it never ends the interpreter.

Compiled kernels do not check their bounds, so the calls run in another process, whose end is the result of the test.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import segue

_CHILD = Path(__file__).parent / "foreign_calls.py"


def run_child(*arguments: str) -> dict[str, dict[str, int]]:
    path = os.pathsep.join([str(_CHILD.parent / "models"), *sys.path])
    child = subprocess.run(
        [sys.executable, str(_CHILD), *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, f"ended with {child.returncode}: {child.stderr[-2000:]}"
    found: dict[str, dict[str, int]] = json.loads(child.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("seed", ["0", "1"])
def test_no_public_function_ends_the_interpreter(seed: str) -> None:
    calls = run_child(seed)
    # Every call was tried with sound arguments, which it takes, and with foreign ones, most of which it refuses.
    assert all(counts["sound"] == 1 for counts in calls.values()), calls
    assert all(counts["refused"] > 0 for name, counts in calls.items() if not name.endswith("(any index)")), calls
    models = {name.split(".")[0] for name in calls}
    assert {"VSKNN", "STAN", "Markov", "ALS", "GRU4Rec", "SASRec", "TwoStage"} <= models


def test_every_public_model_is_tried() -> None:
    calls = run_child("names")
    public = {name for name in segue.__all__ if isinstance(getattr(segue, name), type)}
    models = {name for name in public if issubclass(getattr(segue, name), segue.Model)} - {"Model"}
    assert set(calls["models"]) == models
