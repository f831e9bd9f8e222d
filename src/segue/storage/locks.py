"""Locks on files, which the system releases when their holder ends, however it ends."""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    try:
        import fcntl
    except ImportError:
        fcntl = None  # type: ignore[assignment]

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
"""Errors of file systems without locks."""

_BYTE = 2**30
"""The byte that Windows locks: beyond the content, which others may read."""


class Lock:
    """Exclusive use of a lock file, also between the threads of a process.

    A holder may remove the file when it releases the lock. Whoever has opened it before gets the lock of a file that is
    at no path any more; so a lock counts only if the file at the path is the one that was locked.

    Args:
        path: the lock file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def acquire(self, *, create: bool = True) -> bool:
        """Take the lock, unless it is held.

        Args:
            create: create the lock file where there is none.

        Raises:
            OSError: the lock file cannot be opened, or the file system has no locks.
        """
        while True:
            file, writable = _open(self.path, create=create)
            try:
                if not _lock(file):
                    return False
                if _is_at(file, self.path):
                    if writable:
                        self._file, file = file, -1
                        return True
                    self.path.unlink()  # Another user's, whose process is gone.
            finally:
                if file >= 0:
                    os.close(file)

    def is_held(self) -> bool:
        """Return whether the lock is held, by whomever; nothing is created or removed.

        Raises:
            OSError: the lock file cannot be opened, or the file system has no locks.
        """
        try:
            file, _ = _open(self.path, create=False)
        except FileNotFoundError:
            return False
        try:
            return not _lock(file)
        finally:
            os.close(file)

    def write(self, content: bytes) -> None:
        """Replace the content of the lock file, which others can read; do nothing without the lock."""
        if self._file is None:
            return
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, content)

    def release(self, *, remove: bool = False) -> None:
        """Release the lock, and remove its file if that is asked for."""
        if self._file is None:
            return
        file, self._file = self._file, None
        if remove and sys.platform != "win32":  # Windows removes no file that is open.
            with suppress(OSError):
                self.path.unlink()
        os.close(file)
        if remove and sys.platform == "win32":
            with suppress(OSError):
                self.path.unlink()


def _open(path: Path, *, create: bool) -> tuple[int, bool]:
    """Open a lock file, and say whether it can be written; a link is not followed."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, os.O_RDWR | flags | (os.O_CREAT if create else 0), 0o666), True
    except PermissionError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY | flags), False


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


def _lock(file: int) -> bool:
    """Lock an open file until it is closed; return False if it is locked."""
    try:
        if sys.platform == "win32":
            os.lseek(file, _BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        elif fcntl is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
