"""Scratch folders of writers, each beside the path that it is about to replace.

A writer holds a lock in its folder, which the system releases when the process ends. So the next writer of the same
path can tell the folder of a killed writer from one in use, and removes it.
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
_LOCK = "owner.lock"

OLD, NEW = "old", "new"
"""Names in a scratch folder: the folder that was at the path, and the one that replaces it."""


def is_unfinished(path: Path) -> bool:
    """Return whether this is the scratch folder of a write that is under way, or whose process was killed."""
    return path.name.startswith(_PREFIX)


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """Yield a new folder on the file system of ``path`` for this writer alone; it is removed at the end.

    Folders that killed writers of ``path`` left are removed first.

    Raises:
        OSError: the folder cannot be created.
    """
    for left in _scratch_folders_of(path):
        _remove_if_abandoned(left, path)
    folder, lock = _create(path)
    try:
        yield folder
    finally:
        if lock is not None:
            lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _scratch_folders_of(path: Path) -> list[Path]:
    start = f"{_PREFIX}{path.name}-"
    try:
        entries = list(path.parent.iterdir())
    except OSError:  # A directory that may be written, but not read.
        return []
    return [one for one in entries if one.name.startswith(start) and len(one.name) == len(start) + _DIGITS]


def _create(path: Path) -> tuple[Path, FileLock | None]:
    """Create and lock a folder; if another writer takes it for abandoned before it is locked, create another one."""
    while True:
        folder = path.parent / f"{_PREFIX}{path.name}-{uuid.uuid4().hex[:_DIGITS]}"
        folder.mkdir(mode=0o700)
        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(blocking=False)
        except (Timeout, FileNotFoundError, FileExistsError):  # The latter: the lock file vanished while it was opened.
            continue
        except (OSError, NotImplementedError):  # A file system without locks: nobody can remove the folder, either.
            return folder, None
        if (folder / _LOCK).exists():
            return folder, lock
        lock.release()


def _remove_if_abandoned(folder: Path, path: Path) -> None:
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError, NotImplementedError):
        return
    try:
        # Both are here if a writer was killed between two renames; the new one was complete.
        if (folder / OLD).exists() and (folder / NEW).exists() and not path.exists():
            with suppress(OSError):
                (folder / NEW).rename(path)
        # Under the lock: a writer that has created this folder and not yet locked it finds it gone, and makes another.
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.release()
    if sys.platform == "win32":  # A file that is open cannot be removed there.
        shutil.rmtree(folder, ignore_errors=True)
