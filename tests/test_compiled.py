"""Compiled functions in installations that can be written, and in those that cannot."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "segue"
PROGRAM = """
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
import numpy as np
from segue.compiled import compilations
from segue.data.arrays import check_ranges, concatenate_ranges
print(concatenate_ranges(np.array([5, 9]), np.array([2, 1])).tolist(), concatenate_ranges.stats.cache_path)
print(compilations)
"""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installation")
    ignored = shutil.ignore_patterns("__pycache__", "*.nb[ic]")
    shutil.copytree(PACKAGE, folder / "segue", ignore=ignored)
    folder.chmod(0o755)
    return folder


def run(installation: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user who cannot write the installation, nor a home."""
    everyone = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "XDG"))}
    environment = {**everyone, "PYTHONPATH": str(installation), "HOME": "/nonexistent", **variables}
    command = [sys.executable, "-B", "-c", PROGRAM]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd="/")


def read_only(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod((path.stat().st_mode | stat.S_IRGRP | stat.S_IROTH) & ~0o222 | (0o055 if path.is_dir() else 0))


needs_another_user = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="another user is needed, who cannot write the installation",
)


@needs_another_user
def test_without_a_cache_it_starts_and_says_so_once(installation: Path) -> None:
    for above in installation.parents:
        if above.name.startswith("pytest-"):
            above.chmod(above.stat().st_mode | 0o055)
    done = run(installation)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[5, 6, 9] None", "['concatenate_ranges']"]
    assert done.stderr.count("compiled functions cannot be kept, because no cache folder can be written") == 1
    assert "set NUMBA_CACHE_DIR" in done.stderr
    assert done.stderr.count("compiling functions for their first use") == 1


@needs_another_user
def test_a_filled_cache_that_cannot_be_written_is_used(installation: Path, tmp_path: Path) -> None:
    for above in (*installation.parents, *tmp_path.parents):
        if above.name.startswith(("pytest-", "popen-")):
            above.chmod(above.stat().st_mode | 0o055)
    filled, temporary = tmp_path / "cache", tmp_path / "temporary"
    filled.mkdir()
    temporary.mkdir()
    tmp_path.chmod(0o755)
    filled.chmod(0o777)
    temporary.chmod(0o777)
    assert "['concatenate_ranges']" in run(installation, NUMBA_CACHE_DIR=str(filled)).stdout
    read_only(filled)
    done = run(installation, NUMBA_CACHE_DIR=str(filled), TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "[]"
    assert "segue-compiled-" in done.stdout
    assert not list(temporary.iterdir())
