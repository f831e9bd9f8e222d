"""Scratch folders of writers, each beside the path that it is about to replace.

A writer holds a lock in its folder, which the system releases when the process ends. So the next writer in the same
directory can tell the folder of a killed writer from one in use, and removes it.
"""

import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segue.storage.filesystem import Kind, kind_of
from segue.storage.locks import Lock

_PREFIX = ".segue-unfinished-"
_DIGITS = 8
_LOCK = "owner.lock"

CLAIM = ".segue-lock"
"""Start of the name of a lock file that claims a folder; see ``segue.storage.claims``."""

_UNFINISHED = re.compile(rf"{re.escape(_PREFIX)}.+-[0-9a-f]{{{_DIGITS}}}|{re.escape(CLAIM)}(-.+)?")

_MOST_BYTES = 4096
"""Largest lock file; a longer one is not ours."""

OLD, NEW = "old", "new"
"""Names in a scratch folder: the folder that was at the path, and the one that replaces it."""


def is_unfinished(path: Path) -> bool:
    """Return whether a writer has put this here while it works: its scratch folder or its lock file.

    The writer may have been killed. What others named in the same way does not count.
    """
    if not _UNFINISHED.fullmatch(path.name) or path.is_symlink():
        return False
    if path.name.startswith(CLAIM):
        return path.is_file() and _is_lock_file(path)
    try:
        return (path / _LOCK).exists() or not any(path.iterdir())
    except OSError:  # A file, or a folder that only its writer may read.
        return path.is_dir()


def entries(folder: Path) -> Iterator[tuple[str, Kind]]:
    """Yield everything below a folder but what is unfinished, with ``/`` in the names; links are not followed.

    Raises:
        OSError: a folder cannot be read.
    """
    try:
        found = sorted(folder.iterdir())
    except FileNotFoundError:  # It has just been removed.
        return
    for path in found:
        if is_unfinished(path):
            continue
        kind = kind_of(path)
        yield path.name, kind
        if kind is Kind.FOLDER:
            yield from ((f"{path.name}/{name}", inner) for name, inner in entries(path))


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """Yield a new folder on the file system of ``path`` for this writer alone; it is removed at the end.

    What killed writers left in the same directory is removed first.

    Raises:
        OSError: the folder cannot be created.
    """
    sweep(path.parent)
    folder, lock = _create(path)
    try:
        yield folder
    finally:
        _remove(folder)
        if lock is not None:
            lock.release()
        if sys.platform == "win32":  # A file that is open cannot be removed there.
            shutil.rmtree(folder, ignore_errors=True)


def sweep(directory: Path) -> None:
    """Remove the scratch folders and lock files of killed writers in a directory.

    A writer that was killed between two renames has left the old folder and the new one, which was complete and is put
    in its place.
    """
    try:
        found = [entry for entry in directory.iterdir() if is_unfinished(entry)]
    except OSError:  # A directory that may be written, but not read.
        return
    for entry in found:
        if entry.name.startswith(CLAIM):
            lock = Lock(entry)
            with suppress(OSError):
                if lock.acquire(create=False):
                    lock.release(remove=True)
        else:
            _remove_if_abandoned(entry)


def _create(path: Path) -> tuple[Path, Lock | None]:
    """Create and lock a folder; if another writer takes it for abandoned before it is locked, create another one."""
    while True:
        folder = path.parent / f"{_PREFIX}{path.name}-{uuid.uuid4().hex[:_DIGITS]}"
        folder.mkdir(mode=0o700)
        lock = Lock(folder / _LOCK)
        try:
            if lock.acquire():
                return folder, lock
        except FileNotFoundError:
            continue
        except OSError:  # A file system without locks: nobody can remove the folder, either.
            return folder, None


def _remove(folder: Path) -> None:
    """Remove a scratch folder, its lock file last: as long as that is there, others know whose folder it is."""
    with suppress(OSError):
        for entry in folder.iterdir():
            if entry.name != _LOCK and entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != _LOCK:
                entry.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _is_lock_file(file: Path) -> bool:
    """Return whether a file is one of ours: it is empty, or has the four lines of ``segue.storage.claims``."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            return False
        command, *rest = file.read_bytes().split(b"\n")
    except OSError:  # Another user's, or just removed.
        return True
    return not (command or rest) or (command.startswith(b"segue") and len(rest) == 3 and rest[0].isdigit())


def _remove_if_abandoned(folder: Path) -> None:
    lock = Lock(folder / _LOCK)
    try:
        if not lock.acquire(create=False):
            return
    except FileNotFoundError:  # Its writer was killed, or is about to lock it and makes another; or it is not ours.
        with suppress(OSError):
            folder.rmdir()
        return
    except OSError:
        return
    try:
        path = folder.parent / folder.name[len(_PREFIX) : -_DIGITS - 1]
        if (folder / OLD).exists() and (folder / NEW).exists() and not os.path.lexists(path):
            (folder / NEW).rename(path)
        _remove(folder)
    except OSError:  # The new folder cannot be put in its place: nothing is lost.
        return
    finally:
        lock.release()
    if sys.platform == "win32":  # A file that is open cannot be removed there.
        shutil.rmtree(folder, ignore_errors=True)
