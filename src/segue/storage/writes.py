"""Replace files and folders atomically; append lines, make folders, remove."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segue.storage.durable import sync_directory, sync_file, sync_tree
from segue.storage.exchange import exchange
from segue.storage.refusals import refusals_explained
from segue.storage.rooms import NEW, OLD, room_beside


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield a scratch file that replaces ``path`` when the block ends without an error.

    Raises:
        StorageError: the write failed; an older file is still at ``path``.
    """
    with refusals_explained(path):
        _make_folder(path.parent)
        with room_beside(path) as room:
            scratch = room / path.name
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
    with refusals_explained(path):
        _make_folder(path.parent)
        with room_beside(path) as room:
            scratch = room / NEW
            scratch.mkdir()
            yield scratch
            sync_tree(scratch)
            _put(scratch, path, aside=room / OLD)
            sync_directory(path.parent)


def write_text(path: Path, text: str) -> None:
    r"""Write a UTF-8 text file atomically, with ``\n`` at the ends of lines on any system.

    Raises:
        StorageError: the write failed; an older file is still at ``path``.
    """
    with replacing_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="\n")


def append_line(path: Path, line: str) -> None:
    """Append a line to a UTF-8 text file; a process that is killed meanwhile leaves it incomplete at most.

    Raises:
        StorageError: the write failed.
    """
    with refusals_explained(path):
        created = not path.exists()
        with path.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(line + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        if created:
            sync_directory(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, where they do not exist.

    Raises:
        StorageError: a folder cannot be made.
    """
    with refusals_explained(path):
        _make_folder(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it.

    Raises:
        StorageError: it cannot be removed.
    """
    with refusals_explained(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _make_folder(path: Path) -> None:
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        sync_directory(folder.parent)


def _put(new: Path, path: Path, aside: Path) -> None:
    """Put a folder at a path, and what was there to where the new one was, or aside."""
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
    except BaseException:  # An interrupt too: what is aside would be removed with the room.
        if not os.path.lexists(path):
            aside.rename(path)
        raise
