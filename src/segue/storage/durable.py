"""Bring files and directory entries to the disk, so that they survive a power failure."""

import errno
import os
import sys
from pathlib import Path

_NO_SYNC = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS})
"""Errors of file systems that cannot sync a directory, and of directories that may be written but not read."""


def sync_file(file: Path) -> None:
    """Bring the content of a file to the disk."""
    mode = "r+b" if sys.platform == "win32" else "rb"  # Windows syncs no file that is open for reading only.
    with file.open(mode) as stream:
        os.fsync(stream.fileno())


def sync_directory(folder: Path) -> None:
    """Bring the entries of a directory to the disk: what was created, renamed or removed in it.

    Windows has no such call, and file systems that do not support it are left alone.
    """
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_tree(folder: Path) -> None:
    """Bring a directory with all files and directories in it to the disk."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_directory(path)
        elif path.is_file():
            sync_file(path)
    sync_directory(folder)
