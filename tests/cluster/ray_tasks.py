"""Tasks that count themselves in a file, and that kill their node or their driver; importable by the workers."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from segue.cluster.ray_cluster import RayCluster
from segue.cluster.ray_engine import RayEngine
from segue.data.partitions import Task

STEP_DIGITS = 4


def kill_node() -> None:
    """Kill the node that this worker belongs to, and the worker."""
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once(killed: Path, function: Callable[..., Any], moment: Path | None, **arguments: Any) -> Any:
    """Call a function; the first call of all kills the node, at once or when a folder has a file.

    ``killed`` remembers it.
    """

    def kill() -> None:
        while moment is not None and not (moment.is_dir() and any(moment.iterdir())):
            time.sleep(0.02)
        kill_node()

    try:
        killed.touch(exist_ok=False)
        threading.Thread(target=kill, daemon=True).start()
    except FileExistsError:
        pass
    return function(**arguments)


@dataclass(frozen=True)
class KillingCluster(RayCluster):
    """A cluster, one node of which is killed in the first call, at once or when the folder ``moment`` has a file."""

    killed: Path = Path()
    moment: Path | None = None

    def run(
        self, function: Callable[..., Any], calls: Iterable[Mapping[str, Any]], shared: Mapping[str, Any], **more: Any
    ) -> Iterator[tuple[int, Any]]:
        own = {"killed": self.killed, "function": function, "moment": self.moment}
        return super().run(killed_once, calls, {**own, **shared}, **more)


def step_of(target: Path) -> int:
    """Return the number of the step that a task belongs to."""
    return int(target.parent.name[:STEP_DIGITS])


@dataclass(frozen=True)
class CountedTask(Task):
    """Writes a line when it has run. In one step it kills the node that it runs on, once, before or after its work."""

    record: Path = Path()
    kill_step: int | None = None
    after: bool = False

    def run(self) -> None:
        if not self.after:
            self._kill_node()
        super().run()
        with self.record.open("a", encoding="utf-8") as stream:
            stream.write(f"{self.target.parent.name}/{self.target.name}\n")
        self._kill_node()

    def _kill_node(self) -> None:
        killed = self.record.with_name(f"killed-{self.kill_step}")
        if step_of(self.target) != self.kill_step:
            return
        with suppress(FileExistsError):  # Of two nodes at this point, one goes on.
            killed.touch(exist_ok=False)
            kill_node()


@dataclass
class CountedEngine(RayEngine):
    """Runs counted tasks; may kill its own process in a step, when the first task of it has ended."""

    record: Path = field(kw_only=True)
    kill_step: int | None = None
    after: bool = False
    kill_driver: int | None = None

    def _run_all(self, tasks: Iterator[Task]) -> Iterator[None]:
        names = [one.name for one in fields(Task)]
        own: dict[str, Any] = {"record": self.record, "kill_step": self.kill_step, "after": self.after}
        counted = (CountedTask(**{name: getattr(task, name) for name in names}, **own) for task in tasks)
        for _ in super()._run_all(counted):
            yield
            if self._calls - 1 == self.kill_driver:
                os.kill(os.getpid(), signal.SIGKILL)


def executed(record: Path) -> list[str]:
    """Return the tasks that have run to their end, each as often as it did."""
    return record.read_text(encoding="utf-8").split() if record.exists() else []
