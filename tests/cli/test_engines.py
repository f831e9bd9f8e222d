"""The option `--engine`: what it refuses; and a Ray that a command starts for itself."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from command import segue, tree, write_shop

from segue import errors


@pytest.mark.parametrize("engine", ["spark", "ray://", "ray://host", "a b:1"])
def test_unknown_engines(engine: str, log: Path, tmp_path: Path) -> None:
    outcome = segue("prepare", log, "--out", tmp_path / "out", "--engine", engine)
    assert outcome.code == 2
    assert outcome.err.startswith("error: --engine: must be disk, ray or the address of a Ray cluster such as ray://")
    assert not list(tmp_path.iterdir())


def test_ray_needs_its_extra(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = errors.find_spec
    monkeypatch.setattr(errors, "find_spec", lambda name: None if name == "ray" else found(name))
    outcome = segue("prepare", log, "--out", tmp_path / "out", "--engine", "ray")
    assert outcome.code == 2
    assert "error: --engine ray needs the extra 'cluster': pip install \"segue[cluster]\"" in outcome.err
    assert not list(tmp_path.iterdir())


def test_the_engine_is_disk_or_memory(log: Path, tmp_path: Path) -> None:
    for name, options in {"memory": (), "disk": ("--engine", "disk"), "limit": ("--memory", "1GB")}.items():
        outcome = segue("prepare", log, "--out", tmp_path / name, *options)
        assert outcome.code == 0, outcome.err
        assert tree(tmp_path / name) == tree(tmp_path / "memory")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "limit", "memory"]


def test_a_ray_that_does_not_start(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'segue[cluster]'")

    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nSee the logs.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    outcome = segue("prepare", log, "--out", tmp_path / "out", "--engine", "ray")
    reason = "Ray did not start on this machine: The current node timed out during startup."
    remedy = "use --engine disk, or start Ray with ray start --head"
    assert outcome.err.endswith(f"error: --engine ray: {reason}; {remedy}\n")
    assert outcome.code == 2
    assert not list(tmp_path.iterdir())


def test_a_ray_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'segue[cluster]'")
    log = write_shop(tmp_path / "shop.csv", 300)
    assert segue("prepare", log, "--out", tmp_path / "memory").code == 0
    scratch = Path(tempfile.mkdtemp())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PYTHONPATH": str(Path(errors.__file__).parents[1]), "TMPDIR": str(scratch)}
    environment["RAY_ADDRESS"] = "local"  # Not the Ray of another test.
    environment["PYTHONOPTIMIZE"] = "2"  # With it, Ray alone does not start.
    command = [sys.executable, "-m", "segue", "prepare", log.name, "--out", "ray", "--engine", "ray"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "ray") == tree(tmp_path / "memory")
    assert not list(scratch.glob("segue-*"))
    shutil.rmtree(scratch)
    said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("Token auth")]
    assert not said
    assert not (tmp_path / "ray.work").exists()
