"""Commands that several processes run together: started here on one machine, or by torchrun or Slurm on several."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segue.cli.streams import INTERRUPTED
from segue.errors import ParameterError, ProcessLostError

if TYPE_CHECKING:
    from segue.training.runtime import Runtime

Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        min=1,
        help="Processes on this machine that share each training step; see training.micro_batches.",
    ),
]

_GRACE = 30.0
"""Seconds in which the other processes, and the message of the first one, may end after one has ended."""
_POLL = 0.05


def start_processes(processes: int | None) -> None:
    """Start this command in several processes instead of this one, and exit as the first of them does.

    Nothing happens in these processes, and without ``--processes``.

    Raises:
        ParameterError: torchrun has started another number of them.
        ProcessLostError: one ended, and the first one could not say why.
    """
    started = os.environ.get("WORLD_SIZE", "1")
    if processes is None or processes == 1 or started == str(processes):
        return
    if started != "1":
        raise ParameterError(
            f"--processes: must be the {started} processes of the environment (WORLD_SIZE), got {processes}; leave it "
            "out under torchrun"
        )
    raise typer.Exit(_run_together(_command(), processes))


@contextmanager
def joined(runtime: "Runtime") -> "Iterator[Runtime]":
    """Join the other processes of this command, if there are any; yield the runtime of this one."""
    from segue.training.processes import Place, device_of, process_group

    place = Place.of(os.environ)
    runtime = replace(runtime, device=device_of(runtime.device, place))
    with process_group(runtime.torch_device(), place) as group:
        yield replace(runtime, group=group)


def _command() -> list[str]:
    """Return this command, as it was called."""
    called = Path(sys.argv[0])
    program = (
        [sys.argv[0]] if called.name == "segue" and os.access(called, os.X_OK) else [sys.executable, "-m", "segue"]
    )
    return [*program, *sys.argv[1:]]


def _run_together(command: Sequence[str], count: int) -> int:
    """Run a command in so many processes; return the exit code of the first one."""
    from segue.threads import worker_threads

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        **{"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
        "OMP_NUM_THREADS": str(worker_threads(count)),
    }
    processes: list[subprocess.Popen[bytes]] = []
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        for rank in map(str, range(count)):
            own = {**shared, "RANK": rank, "LOCAL_RANK": rank}
            processes.append(subprocess.Popen(command, env=own))
        failed = _wait(processes)
        _wait(processes, _GRACE)
    except KeyboardInterrupt:
        _wait(processes, 1.0)  # A terminal interrupts all of them.
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        _wait(processes, _GRACE)
        return INTERRUPTED
    finally:
        _end(processes)
        signal.signal(signal.SIGTERM, before)
    if failed is None:
        return 0
    if processes[0].returncode > 0:
        return processes[0].returncode
    code = processes[failed].returncode
    raise ProcessLostError(count, f"process {failed}, by {f'signal {-code}' if code < 0 else f'exit code {code}'}")


def _wait(processes: Sequence["subprocess.Popen[bytes]"], seconds: float | None = None) -> int | None:
    """Wait until all processes have ended, or for some time; without a time, until one has failed. Return which."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        codes = [process.poll() for process in processes]
        failed = next((number for number, code in enumerate(codes) if code), None)
        late = failed is not None if end is None else time.monotonic() > end
        if late or None not in codes:
            return failed
        time.sleep(_POLL)


def _end(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.terminate()
    _wait(processes, 5.0)
    for process in processes:
        process.kill()
        process.wait()
