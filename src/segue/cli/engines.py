"""The option `--engine`: where a command runs its work, and how much memory a process of it may take."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segue.cli.terminal import interruptible
from segue.errors import ParameterError

if TYPE_CHECKING:
    from segue.cluster.ray_cluster import RayCluster
    from segue.data.partitions import OnDisk
    from segue.evaluation.accumulators import RankChunks
    from segue.progress import Progress
    from segue.tuning.workers import WorkerPool

EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="Where the work runs: disk (this process), ray (the Ray cluster of $RAY_ADDRESS or of this machine, "
        "otherwise one is started here), or the address of a Ray cluster such as ray://host:10001.",
    ),
]
DISK, RAY = "disk", "ray"
_ADDRESS = re.compile(r"(ray://)?[^\s/:]+:\d+")
_USUAL_MEMORY = 2 << 30


def check_engine(engine: str | None) -> str | None:
    """Return the address of the Ray cluster that an option names; None for this process.

    Raises:
        ParameterError: it is no engine.
        MissingExtraError: it is Ray, which is not installed.
    """
    from segue.errors import require_extra

    if engine in (None, DISK):
        return None
    if engine != RAY and not _ADDRESS.fullmatch(engine):
        raise ParameterError(
            f"--engine: must be disk, ray or the address of a Ray cluster such as ray://host:10001, got '{engine}'"
        )
    require_extra(("ray",), f"--engine {engine}", "cluster")
    return engine


def check_memory(memory: str | None) -> int:
    """Return the bytes that ``--memory`` names, 2 GB by default.

    Raises:
        ParameterError: it is no size, or too little.
    """
    from segue.cli.options import parse_size
    from segue.protocols.out_of_core import LEAST_MEMORY

    size = _USUAL_MEMORY if memory is None else parse_size("--memory", memory)
    if size < LEAST_MEMORY:
        raise ParameterError(f"--memory: must be at least {LEAST_MEMORY >> 20}MB, got {size >> 20}MB")
    return size


def ranking_on(cluster: "RayCluster | None", artifact: Path) -> "RankChunks | None":
    """Return what ranks test cases on a cluster; None if there is no cluster."""
    if cluster is None:
        return None
    from segue.cluster.ray_ranking import RayRanking

    return RayRanking(cluster, artifact)


def workers_on(cluster: "RayCluster | None", workers: int | None) -> "WorkerPool | None":
    """Return what runs the workers of a search on a cluster; None if there is no cluster."""
    if cluster is None:
        return None
    from segue.cluster.ray_trials import RayWorkers

    return RayWorkers(cluster, workers)


@contextmanager
def cluster_at(address: str | None, memory: int = 0) -> Iterator["RayCluster | None"]:
    """Connect to a cluster for the time of a block; to none if the address is None."""
    if address is None:
        yield None
        return
    from segue.cluster.ray_cluster import connected

    with connected(address, memory=memory) as cluster:
        yield cluster


@contextmanager
def engine_for(
    command: str, out: Path, check: Callable[[], None], identity: Mapping[str, Any], address: str | None, memory: int
) -> Iterator["OnDisk"]:
    """Claim the output folder of a command, and yield the engine that it runs on, with its progress shown.

    Intermediate results are kept in ``OUT.work``, with which a command that was killed or interrupted continues.

    Args:
        command: what claims the folder, for messages.
        out: the folder that the command will write.
        check: raises an error if what is there must not be replaced.
        identity: the input and all parameters, ready for JSON; another identity starts anew.
        address: see ``check_engine``.
        memory: bytes that a process may take, about.
    """
    from segue.cli.progress import progress_shown
    from segue.storage.claims import claimed
    from segue.storage.work import work_folder

    with (
        interruptible("the same command continues where it was"),
        claimed(out, command, check, replaced=True),
        progress_shown() as progress,
        cluster_at(address, memory) as cluster,
        work_folder(out.with_name(f"{out.name}.work"), identity) as work,
    ):
        yield _engine_in(work, progress, cluster)


def _engine_in(folder: Path, progress: "Progress", cluster: "RayCluster | None") -> "OnDisk":
    """Return the engine with its results in a folder."""
    from segue.data.partitions import OnDisk

    if cluster is None:
        return OnDisk(folder, progress)
    from segue.cluster.ray_engine import RayEngine

    return RayEngine(folder, progress, cluster=cluster)
