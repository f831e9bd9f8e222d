"""Partitions on a cluster: Ray runs the tasks of ``OnDisk`` on any node, with their results in a shared folder."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from segue.cluster.ray_cluster import RayCluster
from segue.data.partitions import OnDisk, Task
from segue.errors import ParameterError
from segue.storage.claims import absolute

_VISIBLE_SECONDS = 60.0
"""How long a file of another node may take to appear: network file systems remember for a while what is not there."""


@dataclass
class RayEngine(OnDisk):
    """Calls functions on a Ray cluster, and keeps tables in files of a folder that all nodes share.

    Attributes:
        cluster: the cluster.
    """

    cluster: RayCluster = field(kw_only=True)

    def __post_init__(self) -> None:
        self.folder = absolute(self.folder)

    def _run_all(self, tasks: Iterator[Task]) -> Iterator[None]:
        first = next(tasks, None)
        if first is None:
            return
        calls = ({"task": replace(task, shared={})} for task in chain([first], tasks))
        for _, marker in self.cluster.run(_run_task, calls, {"shared": first.shared}):
            _wait_for(Path(marker))
            yield


def _run_task(task: Task, shared: dict[str, Any]) -> str:
    """Run a task in a worker, unless its result is there: Ray repeats a task whose node died right after it ended."""
    if not task.target.parent.is_dir():
        raise _not_shared(task.target.parent)
    if not task.marker.exists():
        replace(task, shared=shared).run()
    return str(task.marker)


def _wait_for(marker: Path) -> None:
    end = time.monotonic() + _VISIBLE_SECONDS
    while not marker.exists():
        if time.monotonic() > end:
            raise _not_shared(marker.parent)
        time.sleep(0.1)
        list(marker.parent.iterdir())  # Makes a network file system look.


def _not_shared(folder: Path) -> ParameterError:
    return ParameterError(
        f"--out: must be in a folder that all nodes of the cluster share under the same path, got {folder}, which one "
        "node does not see; choose a folder on a shared file system"
    )
