"""The processes of a data-parallel training: join those that torchrun, Slurm or ``segue fit --processes`` started."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from segue.errors import ParameterError, ProcessLostError, SegueError
from segue.training.parallel import ALONE, Group

_JOIN = timedelta(minutes=5)
"""Time in which all processes must have started."""
_WAIT = timedelta(hours=2)
"""Time that a process waits for the others in a training: process 0 validates alone."""

_FAILURE = "segue/failure"
"""Key of the message of a process that failed, in the store that all processes share."""


class Place(NamedTuple):
    """The place of this process among those of a training, as the environment says.

    Attributes:
        rank: its number, from 0.
        size: number of processes.
        local: its number on its machine.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Place":
        """Read the variables that torchrun sets.

        Raises:
            ParameterError: there are several processes, and a variable is missing or no number in its range.
        """
        size = _number(environment, "WORLD_SIZE", 1, None, default=1)
        if size == 1:
            return cls()
        _number(environment, "MASTER_PORT", 1, 65_535)
        if not environment.get("MASTER_ADDR"):
            raise ParameterError(f"MASTER_ADDR: {_missing(size)}")
        rank = _number(environment, "RANK", 0, size - 1)
        return cls(rank, size, _number(environment, "LOCAL_RANK", 0, None, default=0))


def _number(
    environment: Mapping[str, str], name: str, least: int, most: int | None, *, default: int | None = None
) -> int:
    text = environment.get(name)
    if text is None:
        if default is not None:
            return default
        raise ParameterError(f"{name}: {_missing(environment['WORLD_SIZE'])}")
    bounds = f"at least {least}" if most is None else f"between {least} and {most}"
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= (most or int(text))):
        raise ParameterError(f"{name}: must be a number, {bounds}, in the environment, got '{text}'; use torchrun")
    return int(text)


def _missing(size: object) -> str:
    return f"must be set in the environment of each of the {size} processes (WORLD_SIZE), and is not; use torchrun"


def device_of(device: str, place: Place) -> str:
    """Return the device of a process: where there are several, each has a GPU of its own, if it is to use one."""
    if place.size == 1 or not (device == "cuda" or (device == "auto" and torch.cuda.is_available())):
        return device
    return f"cuda:{place.local}"


@contextmanager
def process_group(device: torch.device, place: Place | None = None) -> Iterator[Group]:
    """Join the processes of this training, and leave them at the end; alone, nothing happens.

    An error in one process ends all of them: process 0 raises it, or says that another one was lost.

    Args:
        device: device that the model is trained on: gloo connects CPUs, and NCCL GPUs.
        place: the place of this process; None reads the environment.

    Raises:
        ParameterError: the environment is incomplete.
        ProcessLostError: another process did not start, failed or was killed.
    """
    place = place or Place.of(os.environ)
    if place.size == 1:
        yield ALONE
        return
    try:
        store, _, _ = next(rendezvous("env://", place.rank, place.size, timeout=_JOIN))
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=_WAIT)
    except (RuntimeError, ValueError, OSError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = str(error).partition("\n")[0]
        raise ProcessLostError(place.size, f"not all of them met at {where}: {reason}") from error
    try:
        yield Group(place.rank, place.size, str(device) if backend == "nccl" else "cpu")
    except ProcessLostError as error:
        raise (_reported(store, place) or error) from error
    except Exception as error:
        reason = str(error) if isinstance(error, SegueError) else f"{type(error).__name__}: {error}"
        with suppress(RuntimeError):
            store.set(_FAILURE, f"process {place.rank}: {reason}")
        raise
    finally:
        distributed.destroy_process_group()


def _reported(store: Any, place: Place) -> ProcessLostError | None:
    """Return what another process said when it failed."""
    with suppress(RuntimeError):
        if store.check([_FAILURE]):
            return ProcessLostError(place.size, store.get(_FAILURE).decode(errors="replace").replace("\n", "; "))
    return None
