"""Locks between processes. The system releases a lock when its holder ends, in whatever way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from segue.storage.refusals import refusals_explained

_POLL_SECONDS = 0.01
"""Time between two attempts to take a lock that another process holds."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a lock file, which is created; wait for it if another process or thread holds it.

    Raises:
        StorageError: the lock file cannot be created.
    """
    lock = FileLock(path)
    with refusals_explained(path):
        lock.acquire(poll_interval=_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of this file."""
    if not path.exists():
        return False
    lock = FileLock(path)
    with refusals_explained(path):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
    lock.release()
    return False
