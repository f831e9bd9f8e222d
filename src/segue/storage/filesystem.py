"""Calls of the operating system that Python lacks or that need care: sync to the disk, and exchange two paths."""

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable
from enum import Enum
from functools import cache
from pathlib import Path

_NO_SYNC = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS})
"""Errors of file systems that cannot sync a directory, and of directories that may be written but not read."""

_EXCHANGE = 2
"""RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS have one value."""

_AT_FDCWD = -100
"""On Linux: a relative path starts at the working directory."""

_NO_EXCHANGE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})
"""Errors of kernels and file systems that cannot exchange. A sandbox may answer EPERM to a call that it does not know;
where a permission really is missing, the renames that follow report it."""


class Kind(Enum):
    """What is at a path, in words."""

    NOTHING = "nothing"
    FILE = "a file"
    FOLDER = "a folder"
    LINK = "a link"
    PIPE = "a pipe"
    SOCKET = "a socket"
    DEVICE = "a device"

    def named(self, name: str) -> str:
        """Return a name, with a remark if it is of no file and no folder."""
        return name if self in (Kind.FILE, Kind.FOLDER) else f"{name} ({self.value})"


_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.FOLDER,
    stat.S_IFLNK: Kind.LINK,
    stat.S_IFIFO: Kind.PIPE,
    stat.S_IFSOCK: Kind.SOCKET,
}


def kind_of(path: Path) -> Kind:
    """Return what is at a path; a link to a folder is a link.

    Raises:
        OSError: the name is too long or not allowed, or the path leads through a file.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return Kind.NOTHING
    except ValueError as error:  # A NUL character, for example.
        raise OSError(errno.EINVAL, "the name contains characters that are not allowed", str(path)) from error
    return _KINDS.get(stat.S_IFMT(mode), Kind.DEVICE)


def sync_file(file: Path) -> None:
    """Sync the content of a file to the disk."""
    mode = "r+b" if sys.platform == "win32" else "rb"  # Windows syncs no file that is open for reading only.
    with file.open(mode) as stream:
        os.fsync(stream.fileno())


def sync_directory(folder: Path) -> None:
    """Sync the entries of a directory to the disk: what was created, renamed or removed in it.

    Windows has no such call; errors of file systems that do not support it are ignored.
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
    """Sync a directory with all files and directories in it to the disk."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_directory(path)
        elif path.is_file():
            sync_file(path)
    sync_directory(folder)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two paths atomically: at any moment each path has one content or the other.

    Linux does it by ``renameat2(RENAME_EXCHANGE)``, macOS by ``renamex_np(RENAME_SWAP)``.

    Returns:
        False if the system or the file system cannot; then nothing has changed.

    Raises:
        OSError: a path does not exist, or may not be changed.
    """
    call = _exchange_call()
    if call is None:
        return False
    if call(os.fsencode(one), os.fsencode(other)) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


@cache
def _exchange_call() -> Callable[[bytes, bytes], int] | None:
    """Return the system call that exchanges two paths, or None where the C library has none."""
    if sys.platform not in ("linux", "darwin"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            swap = library.renamex_np
            swap.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
            return lambda one, other: int(swap(one, other, _EXCHANGE))
        rename = library.renameat2
    except AttributeError:
        return None
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return lambda one, other: int(rename(_AT_FDCWD, one, _AT_FDCWD, other, _EXCHANGE))
