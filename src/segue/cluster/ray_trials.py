"""Tuning on a cluster: each worker of a search is a task, and they share its folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segue.cluster.ray_cluster import RayCluster
from segue.errors import ParameterError, SegueError
from segue.storage.claims import absolute
from segue.tuning.objective import Objective
from segue.tuning.workers import work, worker_request


class RayWorkers:
    """Runs the workers of a search on a Ray cluster.

    If a node dies, another worker continues its trial from the last checkpoint.

    Args:
        cluster: the cluster.
        workers: number of workers; None takes one per CPU of the cluster.
    """

    def __init__(self, cluster: RayCluster, workers: int | None = None) -> None:
        self._cluster = cluster
        self._workers = workers or cluster.cpus()

    def __call__(self, objective: Objective, out: Path, poll: Callable[[], None]) -> list[str]:
        """Run workers until all trials are taken; return the message of each that ended with an error."""
        request = worker_request(objective, absolute(out))
        ended = self._cluster.run(_work, [{}] * self._workers, {"request": request}, poll=poll)
        return [error for _, error in ended if error]


def _work(request: Mapping[str, Any]) -> str:
    try:
        if not Path(request["out"]).is_dir():
            raise ParameterError(
                f"--out: must be in a folder that all nodes of the cluster share under the same path, got "
                f"{request['out']}, which one node does not see; choose a folder on a shared file system"
            )
        work(request)
    except SegueError as error:
        return str(error)
    return ""
