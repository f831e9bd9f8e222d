"""Connect to Ray, and call functions there as tasks that may be repeated.

Ray is imported when a cluster is connected: everything else works without the extra ``cluster``.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from segue.errors import ClusterError, ParameterError, import_extra
from segue.memory import available_memory
from segue.version import __version__

logger = logging.getLogger(__name__)

RAY = "ray"
"""The engine that starts Ray on this machine, unless a cluster is there already."""

_NEW = "local"
"""Value of ``RAY_ADDRESS`` that starts Ray even if a cluster is there."""
_RETRIES = 5
"""How often a task is repeated whose node or process died."""
_AHEAD = 2
"""Tasks in flight per CPU of the cluster: one that runs, and one that waits at its node."""
_LONGEST = 26
"""Letters of a temporary folder in which paths of Ray's sockets are no longer than the 107 bytes that Linux allows."""
_ENVIRONMENT = {"POLARS_MAX_THREADS": "1"}
"""Variables of the workers, which have one CPU each; Ray sets those of OpenMP."""
_STARTED = {**_ENVIRONMENT, "PYTHONOPTIMIZE": ""}
"""Variables of a Ray that is started, which does not start where Python drops asserts and docstrings."""


@contextmanager
def connected(address: str = RAY, *, memory: int = 0) -> Iterator["RayCluster"]:
    """Connect to a Ray cluster; start one on this machine if there is none.

    Args:
        address: ``ray`` takes the cluster that ``RAY_ADDRESS`` names, else the one that runs on this machine, else
            starts one, which ends with the block; ``ray://host:port`` or ``host:port`` is a running cluster. A
            connection that this process has already is used in any case, and kept.
        memory: bytes that a task may take, about; a cluster that is started runs no more tasks at once than fit.

    Raises:
        MissingExtraError: Ray is not installed.
        ParameterError: no cluster answers at the address.
        ClusterError: Ray did not start on this machine.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = import_extra("ray", "--engine ray", "cluster")
    with ExitStack() as stack:
        started = False
        if not ray.is_initialized():
            started = _connect(ray, os.environ.get("RAY_ADDRESS", RAY) if address == RAY else address, memory, stack)
            stack.callback(ray.shutdown)  # Ends what was started, and only leaves what was not.
        # Workers with variables of their own are further processes, beside those that Ray starts in advance.
        environment = {} if started else {"runtime_env": {"env_vars": _ENVIRONMENT}}
        yield RayCluster(ray, ray.remote(num_cpus=1, max_retries=_RETRIES, **environment)(_call))


def _connect(ray: Any, address: str, memory: int, stack: ExitStack) -> bool:
    """Connect to a cluster; return whether it was started, with the variables of the workers."""
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address in (RAY, _NEW):
        with suppress(ConnectionError):
            if address != _NEW:
                ray.init(address="auto", **quiet)
                return False
        cpus = os.cpu_count() or 1
        if memory:
            cpus = max(1, min(cpus, available_memory() // memory))
        short = None if len(gettempdir()) <= _LONGEST else "/tmp"  # noqa: S108 (a folder of its own in it)
        temporary = TemporaryDirectory(prefix="segue-", dir=short, ignore_cleanup_errors=True)
        folder = stack.enter_context(temporary)
        with _variables(_STARTED):
            try:
                ray.init(address=_NEW, num_cpus=cpus, include_dashboard=False, _temp_dir=folder, **quiet)
            except Exception as error:  # Ray raises no narrower one.
                raise ClusterError(
                    f"--engine ray: Ray did not start on this machine: {_reason(error)}; use "
                    "--engine disk, or start Ray with ray start --head"
                ) from error
        return True
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, ImportError) as error:
        raise ParameterError(
            f"--engine: no Ray cluster can be used at {address}: {_reason(error)}; check the address, and that "
            "the cluster has the same versions of Python and Ray"
        ) from error
    return False


def _reason(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().split("\n")[0] or type(error).__name__


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for the processes that are started in a block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass(frozen=True)
class RayCluster:
    """A connected cluster.

    Attributes:
        ray: the module.
        remote: ``_call`` as a task.
    """

    ray: Any
    remote: Any

    def run(
        self,
        function: Callable[..., Any],
        calls: Iterable[Mapping[str, Any]],
        shared: Mapping[str, Any],
        *,
        poll: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, Any]]:
        """Call a function once per element of ``calls``, on one CPU each.

        A call whose node or process dies is repeated elsewhere, so that it must be harmless to repeat. If a call fails
        or the caller stops, no further call begins, and those that run are waited for, so that they write nothing
        later. Ctrl-C waits for none: they end with the connection.

        Args:
            function: a function of a module.
            calls: the keyword arguments that differ.
            shared: the keyword arguments that are equal in all calls; they are sent to a node once.
            poll: called about once a second.

        Yields:
            The number of a call and its result, in the order in which they end.

        Raises:
            Exception: what a call raised.
            ClusterError: Ray could not run a call.
        """
        ray = self.ray
        remote = self.remote.options(name=function.__name__.removeprefix("_"))
        common = ray.put((function, dict(shared), __version__, str(Path.cwd())))
        running: dict[Any, int] = {}
        waiting, warned = enumerate(calls), False
        try:
            while True:
                while len(running) < self._limit() and (following := next(waiting, None)) is not None:
                    running[remote.remote(common, dict(following[1]))] = following[0]
                if not running:
                    return
                done, _ = ray.wait(list(running), num_returns=1, timeout=_POLL_SECONDS)
                poll()
                if not done and not warned and not self._has_cpus():
                    logger.warning("no node of the Ray cluster has a CPU: the work goes on when a node joins it")
                    warned = True
                for reference in done:
                    result = self._result(reference, function)
                    yield running.pop(reference), result
        except KeyboardInterrupt:
            raise
        except BaseException:
            # Not ray.cancel: if a task ends at the same moment, Ray 2.60 aborts this process.
            with suppress(Exception):
                ray.wait(list(running), num_returns=len(running))
            raise

    def map(
        self, function: Callable[..., Any], calls: Iterable[Mapping[str, Any]], shared: Mapping[str, Any]
    ) -> Iterator[Any]:
        """Do the same, and yield the results in the order of the calls."""
        early: dict[int, Any] = {}
        following = 0
        for number, result in self.run(function, calls, shared):
            early[number] = result
            while following in early:
                yield early.pop(following)
                following += 1

    def cpus(self) -> int:
        """Return the number of CPUs of all nodes that are alive, at least 1."""
        return max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def _has_cpus(self) -> bool:
        return bool(self.ray.cluster_resources().get("CPU", 0))

    def _limit(self) -> int:
        return _AHEAD * self.cpus()

    def _result(self, reference: Any, function: Callable[..., Any]) -> Any:
        errors = self.ray.exceptions
        try:
            return self.ray.get(reference)
        except errors.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, Exception) and not isinstance(cause, errors.RayError):
                raise cause from None
            raise ClusterError(
                f"Ray: a task of '{function.__name__}' ended without a result: {_reason(cause or error)}; if its "
                f"process was killed {_RETRIES + 1} times, try a smaller --memory. The same command "
                "continues where it was"
            ) from error


_POLL_SECONDS = 1.0


def _call(common: tuple[Callable[..., Any], Mapping[str, Any], str, str], own: Mapping[str, Any]) -> Any:
    """Call a function in a worker, in the working directory of the command if the node has it."""
    function, shared, version, folder = common
    if version != __version__:
        raise ParameterError(
            f"--engine: all nodes must have the same version of segue, got {__version__} on one and {version} here"
        )
    with suppress(OSError):
        os.chdir(folder)
    return function(**shared, **own)
