"""Atomic, durable writes: a path keeps its old content until the new content is complete and on the disk.

Functions replace, append to, remove, lock and read files and folders; failed writes raise ``StorageError``.
"""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import polars as pl
from safetensors import SafetensorError

from segue.errors import SegueError, StorageError
from segue.storage.filesystem import Kind, exchange, kind_of, sync_directory, sync_file, sync_tree
from segue.storage.locks import Lock
from segue.storage.scratch import NEW, OLD, scratch_beside

T = TypeVar("T")

_POLL_SECONDS = 0.01
"""Time between two attempts to take a lock that another process holds."""

_READ_ATTEMPTS = 20

_FULL = frozenset({None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors for which space helps; libraries hide the number of theirs."""


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn an error of the operating system into a message that names the path.

    Raises:
        StorageError: the write failed.
    """
    try:
        yield
    except StorageError:
        raise
    except (OSError, SafetensorError, pl.exceptions.PolarsError) as error:  # The latter two wrap errors of the system.
        reason = getattr(error, "strerror", None) or str(error)
        remedy = "Free some disk space or choose" if getattr(error, "errno", None) in _FULL else "Choose"
        raise StorageError(
            f"{path}: cannot be written ({reason}); its previous content is unchanged. {remedy} another path"
        ) from error


def refuse_link(path: Path) -> None:
    """Refuse to replace or follow a link.

    Raises:
        StorageError: there is one at this path.
    """
    with write_errors(path):
        if kind_of(path) is Kind.LINK:
            raise StorageError(f"{path}: is {link_to(path)}")


def link_to(path: Path) -> str:
    """Say where a link leads, and what to do about it."""
    return f"a link to {path.readlink()}, which segue neither follows nor replaces; name what it links to"


def check_file(path: Path) -> None:
    """Refuse a file that cannot be written, before the work whose result it is to hold.

    Raises:
        StorageError: it cannot be written.
    """
    refuse_link(path)
    with write_errors(path):
        if kind_of(path) is Kind.FOLDER:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if kind_of(path.parent) is not Kind.NOTHING:
            with scratch_beside(path):
                pass


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield a scratch file that replaces ``path`` when the block ends without an error.

    Raises:
        StorageError: the write failed; an older file is still at ``path``.
    """
    refuse_link(path)
    with write_errors(path):
        _make_folder(path.parent)
        with scratch_beside(path) as folder:
            scratch = folder / path.name
            yield scratch
            sync_file(scratch)
            scratch.replace(path)
            sync_directory(path.parent)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a scratch folder that replaces ``path`` when the block ends without an error.

    On Linux and macOS the two folders are exchanged in one step: there is a complete folder at ``path`` at any moment,
    even if the process is killed. Windows, and file systems that cannot exchange (some network file systems), need two
    renames: for a moment nothing is at ``path``. An error between them puts the old folder back; after a kill between
    them both folders are in a scratch folder beside ``path``, and the next write of ``path`` puts the new one there.

    Raises:
        StorageError: the write failed; an older folder is still at ``path``.
    """
    refuse_link(path)
    with write_errors(path):
        _make_folder(path.parent)
        with scratch_beside(path) as folder:
            scratch = folder / NEW
            scratch.mkdir()
            yield scratch
            if kind_of(path) is Kind.FOLDER:
                shutil.copymode(path, scratch)
            sync_tree(scratch)
            _put(scratch, path, aside=folder / OLD)
            sync_directory(path.parent)


def write_text(path: Path, text: str) -> None:
    r"""Write a UTF-8 text file atomically, with ``\n`` at the ends of lines on any system.

    Raises:
        StorageError: the write failed; an older file is still at ``path``.
    """
    with replacing_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="\n")


def append_line(path: Path, line: str) -> None:
    """Append a line to a UTF-8 text file; if the process is killed meanwhile, the line may be incomplete.

    Raises:
        StorageError: the write failed.
    """
    refuse_link(path)
    with write_errors(path):
        created = not path.exists()
        with path.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(line + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        if created:
            sync_directory(path.parent)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, where they do not exist.

    Raises:
        StorageError: a folder cannot be created.
    """
    with write_errors(path):
        _make_folder(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with its content.

    Raises:
        StorageError: it cannot be removed.
    """
    with write_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a lock file, which is created; wait while another process or thread holds it.

    The system releases the lock when the process ends, however it ends.

    Raises:
        StorageError: the lock file cannot be created.
    """
    lock = Lock(path)
    with write_errors(path):
        while not lock.acquire():
            time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of this file.

    Raises:
        StorageError: the lock file cannot be opened.
    """
    with write_errors(path):
        return Lock(path).is_held()


def read_unchanged(folder: Path, read: Callable[[Path], T]) -> T:
    """Return ``read(folder)``; if another process replaced the folder meanwhile, read the new one.

    Raises:
        SegueError: ``read`` raises it for a folder that was not replaced.
        StorageError: the folder was replaced again and again.
    """
    for _ in range(_READ_ATTEMPTS):
        before = identity(folder)
        try:
            content = read(folder)
        except SegueError:
            if identity(folder) == before:
                raise
        else:
            if identity(folder) == before:
                return content
    raise StorageError(f"{folder}: was replaced {_READ_ATTEMPTS} times while it was read; try again")


def identity(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file or a folder is replaced, or a file written; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 (one call)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns  # An inode may be used again.


def _make_folder(path: Path) -> None:
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        sync_directory(folder.parent)


def _put(new: Path, path: Path, aside: Path) -> None:
    """Move a folder to a path; a folder that is there takes its place, or is moved aside."""
    try:
        new.rename(path)
    except OSError:
        if not os.path.lexists(path):
            raise
    else:
        return
    if exchange(new, path):
        return
    try:
        path.rename(aside)
        new.rename(path)
    except BaseException:  # An interrupt too: what is aside would be removed with the scratch folder.
        if not os.path.lexists(path):
            aside.rename(path)
        raise
