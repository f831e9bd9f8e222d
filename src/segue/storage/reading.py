"""Read a folder that another process may replace meanwhile."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from segue.errors import SegueError, StorageError

T = TypeVar("T")

_ATTEMPTS = 5


def read_unchanged(folder: Path, read: Callable[[Path], T]) -> T:
    """Return ``read(folder)``; if the folder was replaced meanwhile, read the new one.

    Raises:
        SegueError: what ``read`` raises for a folder that stayed the same.
        StorageError: the folder was replaced again and again.
    """
    for _ in range(_ATTEMPTS):
        before = _identity(folder)
        try:
            content = read(folder)
        except SegueError:
            if _identity(folder) == before:
                raise
        else:
            if _identity(folder) == before:
                return content
    raise StorageError(f"{folder}: was replaced {_ATTEMPTS} times while it was read; try again")


def _identity(folder: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(folder)  # noqa: PTH116 (one call)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns  # An inode may be used again.
