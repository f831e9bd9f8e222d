"""Scratch folders of writers, each beside the path that it is about to replace.

A writer holds a lock in its folder, which the system releases when the writer ends. So the next writer of the same path
can tell the folder of a writer that was killed from one that is in use, and removes it.
"""

import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = ".segue-unfinished-"
_DIGITS = 8
_OWNER = "owner.lock"

OLD, NEW = "old", "new"
"""Names in a room: the folder that was at the path, and the one that takes its place."""


def is_unfinished(path: Path) -> bool:
    """Return whether this is the scratch folder of a write that is under way, or whose process was killed."""
    return path.name.startswith(_PREFIX)


@contextmanager
def room_beside(path: Path) -> Iterator[Path]:
    """Yield a folder of this writer alone on the file system of ``path``, and remove it at the end.

    Folders that killed writers of ``path`` left are removed first.

    Raises:
        OSError: the folder cannot be created.
    """
    for left in _rooms_of(path):
        _remove_if_abandoned(left, path)
    room, lock = _own_room(path)
    try:
        yield room
    finally:
        if lock is not None:
            lock.release()
        shutil.rmtree(room, ignore_errors=True)


def _rooms_of(path: Path) -> list[Path]:
    start = f"{_PREFIX}{path.name}-"
    try:
        entries = list(path.parent.iterdir())
    except OSError:  # A directory that may be written, but not read.
        return []
    return [one for one in entries if one.name.startswith(start) and len(one.name) == len(start) + _DIGITS]


def _own_room(path: Path) -> tuple[Path, FileLock | None]:
    """Make a room and lock it; a room that another writer takes for abandoned before it is locked is given up."""
    while True:
        room = path.parent / f"{_PREFIX}{path.name}-{uuid.uuid4().hex[:_DIGITS]}"
        room.mkdir(mode=0o700)
        lock = FileLock(room / _OWNER)
        try:
            lock.acquire(blocking=False)
        except (Timeout, FileNotFoundError):
            continue
        except (OSError, NotImplementedError):  # A file system without locks: nobody can remove the room, either.
            return room, None
        if (room / _OWNER).exists():
            return room, lock
        lock.release()


def _remove_if_abandoned(room: Path, path: Path) -> None:
    lock = FileLock(room / _OWNER)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError, NotImplementedError):
        return
    try:
        # Both are here if a writer was killed between two renames; the new one was complete.
        if (room / OLD).exists() and (room / NEW).exists() and not path.exists():
            with suppress(OSError):
                (room / NEW).rename(path)
        # Under the lock: a writer that has made this room and not yet locked it finds it gone, and makes another one.
        shutil.rmtree(room, ignore_errors=True)
    finally:
        lock.release()
    if sys.platform == "win32":  # A file that is open cannot be removed there.
        shutil.rmtree(room, ignore_errors=True)
