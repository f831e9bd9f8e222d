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


@pytest.fixture(scope="module", params=["0", "1"])
def calls(request: pytest.FixtureRequest) -> dict[str, dict[str, int]]:
    """What came of each call, by seed."""
    return run_child(request.param)


def test_no_public_function_ends_the_interpreter(calls: dict[str, dict[str, int]]) -> None:
    # Every call was tried with sound arguments, which it takes, and with foreign ones, most of which it refuses.
    assert all(counts["sound"] == 1 for counts in calls.values()), calls
    assert all(counts["refused"] > 0 for name, counts in calls.items() if not name.endswith("(any index)")), calls


def test_every_public_model_is_tried(calls: dict[str, dict[str, int]]) -> None:
    public = {name for name in segue.__all__ if isinstance(getattr(segue, name), type)}
    models = {name for name in public if issubclass(getattr(segue, name), segue.Model)} - {"Model"}
    assert models <= {name.split(".")[0] for name in calls}
