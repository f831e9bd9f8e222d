"""Writes that happen whole or not at all: what stood at a path stays there until the new content is complete."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from safetensors import SafetensorError

from segue.errors import StorageError

# safetensors and polars wrap the operating system's refusal in errors of their own.
_REFUSALS = (OSError, SafetensorError, pl.exceptions.PolarsError)

_UNFINISHED = ".segue-unfinished-"


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield a scratch file that replaces ``path`` when the block ends well.

    Raises:
        StorageError: the disk refused; an older file is still at ``path``.
    """
    with _room_beside(path) as room:
        scratch = room / path.name
        yield scratch
        _sync(scratch)
        scratch.replace(path)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a scratch folder that replaces ``path`` when the block ends well.

    Replacing a folder takes two renames. A process that is killed between them (SIGKILL, power) leaves nothing at
    ``path``; both folders are beside it then, as ``old`` and ``new`` in a room that ``is_unfinished``.

    Raises:
        StorageError: the disk refused; an older folder is still at ``path``.
    """
    with _room_beside(path) as room:
        scratch = room / "new"
        scratch.mkdir()
        yield scratch
        for file in scratch.rglob("*"):
            if file.is_file():
                _sync(file)
        _swap(scratch, path, aside=room / "old")


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all.

    Raises:
        StorageError: the disk refused.
    """
    with replacing_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def append_line(path: Path, line: str) -> None:
    """Add a line to a UTF-8 text file; a process that is killed meanwhile leaves it unfinished at most.

    Raises:
        StorageError: the disk refused.
    """
    with refusals_explained(path), path.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they do not exist.

    Raises:
        StorageError: the disk refused.
    """
    with refusals_explained(path):
        path.mkdir(parents=True, exist_ok=True)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it.

    Raises:
        StorageError: the disk refused.
    """
    with refusals_explained(path):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def is_unfinished(path: Path) -> bool:
    """Say whether this is the room of a write: one that is under way, or one that was killed."""
    return path.name.startswith(_UNFINISHED)


@contextmanager
def _room_beside(path: Path) -> Iterator[Path]:
    """Yield a folder of this writer alone, on the file system of ``path``; it is gone afterwards."""
    with refusals_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f"{_UNFINISHED}{path.name}-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent, ignore_cleanup_errors=True) as room:
            yield Path(room)


def _swap(new: Path, path: Path, aside: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    try:
        path.rename(aside)
        new.rename(path)
    except BaseException:  # An interrupt too: what is aside would be removed with the room.
        if not path.exists():
            aside.rename(path)
        raise


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


@contextmanager
def refusals_explained(path: Path) -> Iterator[None]:
    """Turn what the system says where it does not store something into a message.

    Raises:
        StorageError: the disk refused.
    """
    try:
        yield
    except StorageError:
        raise
    except _REFUSALS as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"{path}: cannot be written ({reason}); what was there is unchanged. "
            "Free some space or choose another place"
        ) from error
