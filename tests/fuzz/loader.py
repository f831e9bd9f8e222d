"""Loads crafted folders in a process, and says which of them do harm."""

import json
import os
import select
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from crafted import Craft

SECONDS, WAIT = 10, 60
"""Longest time that a folder may take on the processor, and on the clock, which runs on while other tests run."""
FREE_MB, PER_BYTE = 300, 3


class Loader:
    """A process that loads folders; it is replaced if it ends.

    Args:
        valid: a folder that is loaded first, since what is imported and compiled once is not the folder's doing.
    """

    def __init__(self, valid: Path) -> None:
        self._valid = valid
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def __call__(self, folder: Path) -> dict[str, Any]:
        """Load a folder in the process."""
        if self._process is None:
            program = [sys.executable, Path(__file__).with_name("use_folders.py")]
            variables = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
            self._process = subprocess.Popen(
                program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
            )
            assert self._ask(self._valid, 120)["outcome"] == "loaded"
        return self._ask(folder, WAIT)

    def _ask(self, folder: Path, seconds: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(folder, file=self._process.stdin, flush=True)
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else ""
        if line:
            return dict(json.loads(line))
        return {
            "seconds": 0.0,
            "outcome": f"ended with {self._stop()}" if ready else f"took more than {self._stop(seconds)} s",
        }

    def _stop(self, result: float | None = None) -> float:
        if self._process is None:
            return 0
        with self._process as process:
            self._process = None
            if result is not None or process.poll() is None:
                process.kill()
        return process.returncode if result is None else result


def problems(cases: list[tuple[str, Craft]], artifacts: dict[str, Path], tmp_path: Path) -> list[str]:
    """Return what went wrong, one line per folder."""
    found, folder, loaders = [], tmp_path / "crafted", {}
    with ExitStack() as stack:
        for name, craft in sorted(cases, key=lambda case: case[0]):
            craft.make(artifacts[name], folder)
            size = sum(file.stat().st_size for file in folder.rglob("*"))
            if name not in loaders:
                stack.close()
                loaders = {name: stack.enter_context(Loader(artifacts[name]))}
            answer = loaders[name](folder)
            outcome = answer["outcome"]
            if not outcome.startswith("refused: ") and (craft.invalid or outcome != "loaded"):
                found.append(f"{name}, {craft.name}: {outcome[:300]}")
            elif answer["seconds"] > SECONDS:
                found.append(f"{name}, {craft.name}: takes {answer['seconds']:.0f} s")
            elif answer["grown_mb"] > FREE_MB + PER_BYTE * size / 1e6:
                found.append(f"{name}, {craft.name}: takes {answer['grown_mb']:.0f} MB for {size / 1e6:.3f} MB")
            shutil.rmtree(folder)
    return found
