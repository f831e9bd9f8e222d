"""Read a folder that another process may replace meanwhile."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from segue.errors import SegueError

T = TypeVar("T")

_ATTEMPTS = 5


def read_unchanged(folder: Path, read: Callable[[Path], T]) -> T:
    """Return ``read(folder)``; if it fails because the folder was replaced meanwhile, read the new one.

    ``read`` must be able to tell files of the old folder from those of the new one, by checksums for example.

    Raises:
        SegueError: what ``read`` raises for a folder that stayed the same.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        before = _identity(folder)
        try:
            return read(folder)
        except SegueError:
            if attempt == _ATTEMPTS or _identity(folder) == before:
                raise
    raise AssertionError("the last attempt returns or raises")


def _identity(folder: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(folder)  # noqa: PTH116 (one call)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns  # An inode may be used again.
