"""Evaluation on a cluster: the test cases are ranked by the nodes, in the chunks of one process, and counted here."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from segue.cluster.ray_cluster import RayCluster
from segue.errors import ParameterError
from segue.evaluation.accumulators import ChunkRanking, RankedCases
from segue.models import registry
from segue.models.base import Model
from segue.storage.claims import absolute

_TASK_CASES = 8_192
"""Cases of a task, about."""


class RayRanking:
    """Ranks test cases on a Ray cluster.

    Args:
        cluster: the cluster.
        model: folder of the model, which all nodes share under the same path.
    """

    def __init__(self, cluster: RayCluster, model: Path) -> None:
        self._cluster = cluster
        self._model = absolute(model)

    def __call__(self, chunks: ChunkRanking) -> Iterator[RankedCases]:
        """Rank all cases and yield them in order, without their scores."""
        step, total = chunks.chunk * max(1, _TASK_CASES // chunks.chunk), len(chunks.cases)
        calls = [{"first": first, "last": min(first + step, total)} for first in range(0, total, step)]
        for ranked in self._cluster.map(_rank, calls, {"chunks": chunks, "folder": self._model}):
            yield from ranked


def _rank(first: int, last: int, chunks: ChunkRanking, folder: Path) -> list[RankedCases]:
    if not folder.exists():
        raise ParameterError(
            f"ARTIFACT: must be in a folder that all nodes of the cluster share under the same path, got {folder}, "
            "which one node does not see; copy it to a shared file system"
        )
    return [ranked.with_lists(chunks.longest) for ranked in chunks.ranked(_model(folder), first, last)]


@lru_cache(maxsize=1)
def _model(folder: Path) -> Model:
    return registry.load(folder)
