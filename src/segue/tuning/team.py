"""Several processes that share one search. Each is told its task on its standard input, and ends when that closes."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segue.errors import ArtifactError, SegueError
from segue.experiment.config import RunConfig
from segue.parameters import build
from segue.progress import Progress
from segue.protocols.dataset import open_dataset
from segue.strict_json import dumps
from segue.tuning.crew import Crew
from segue.tuning.folder import DATA
from segue.tuning.plan import Tuning
from segue.tuning.task import Task
from segue.tuning.worker import work

_POLL_SECONDS = 0.5

_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def work_together(task: Task, out: Path, watch: Callable[[], None]) -> list[str]:
    """Let the processes of the plan work until all trials are taken; return what went wrong in them.

    Args:
        task: what is searched; its data are written into the folder for the others to open.
        out: folder of the search.
        watch: called twice a second.

    Raises:
        StorageError: the write failed.
    """
    environment = {**_threads(task.plan.workers), **os.environ}
    order = {
        "config": task.config.model_dump(mode="json"),
        "plan": task.plan.model_dump(mode="json"),
        "data": str(shared_data(task, out)),
        "out": str(out),
    }
    with tempfile.TemporaryDirectory() as folder:
        processes = [_begin(order, environment, Path(folder) / str(n)) for n in range(task.plan.workers)]
        try:
            while any(process.poll() is None for process in processes):
                watch()
                time.sleep(_POLL_SECONDS)
        finally:
            _end(processes)
        logs = [(process.returncode, Path(folder) / str(n)) for n, process in enumerate(processes)]
        return [_last_words(code, log) for code, log in logs if code]


def shared_data(task: Task, out: Path) -> Path:
    """Return the folder of the prepared data; it is there already if a search goes on, or others are at work in it.

    Raises:
        StorageError: the write failed.
    """
    folder = out / DATA
    with Crew(out).alone():
        try:
            if open_dataset(folder).hash == task.data.hash:
                return folder
        except ArtifactError:
            pass
        return task.data.save(folder)


def _threads(workers: int) -> dict[str, str]:
    """Return each process's share of the cores, where the user has not said how many it may use."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    return dict.fromkeys(_THREADS, share)


def _begin(order: dict[str, Any], environment: dict[str, str], log: Path) -> subprocess.Popen[str]:
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "segue.tuning.team"],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            env=environment,
            text=True,
        )
    assert process.stdin is not None
    process.stdin.write(dumps(order) + "\n")
    process.stdin.flush()
    return process


def _end(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        process.wait()


def _last_words(code: int, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}"


def main() -> None:
    """Be one process of a search."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        config, plan = build(RunConfig, "config", parameters=order["config"]), Tuning.model_validate(order["plan"])
        task = Task.of(config, plan, data=open_dataset(order["data"]), progress=Progress())
        work(task, Path(order["out"]), lambda _: None)
    except SegueError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _end_with_input() -> None:
    """End at once when the process that began this one is gone or has enough; what is unfinished is taken up again."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
