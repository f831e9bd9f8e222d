"""Claims on folders: while a command writes a folder, a second one that would write it too is refused.

The lock file is beside the folder, since the folder itself may be replaced; it says who holds it. Users who cannot
write there lock a file in the folder. Whoever has locked one of the two looks at the other: at most one user goes on.
"""

import errno
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from segue.errors import ParameterError
from segue.storage import write_errors
from segue.storage.filesystem import Kind, kind_of
from segue.storage.locks import NO_LOCKS, Lock
from segue.storage.scratch import CLAIM, scratch_beside, sweep

_SECONDS = 0.5
"""Time that a lock is waited for: who removes what killed processes left holds it for a moment."""
_POLL_SECONDS = 0.01

_REMEDY = "wait until it ends, or choose another folder"


class ClaimedError(ParameterError):
    """A folder that another command is writing."""


@contextmanager
def claimed(
    path: Path,
    command: str,
    check: Callable[[], None],
    *,
    option: str = "--out",
    replaced: bool = False,
    remedy: str = _REMEDY,
) -> Iterator[None]:
    """Claim a folder, which need not exist; release it at the end, or when the process ends in whatever way.

    Parents that do not exist are created, and removed at the end if they are empty. What killed commands left beside
    the folder is removed.

    Args:
        path: the folder.
        command: what the folder is claimed for, as others are told.
        check: raises an error if what is there must not be written. It is called before anything is changed, and once
            more when the folder is claimed: another command may have written it in between.
        option: the option that names the folder, for messages.
        replaced: the folder is replaced as a whole, so its parent has to be writable.
        remedy: what to do if it is held.

    Raises:
        ClaimedError: another process, or another thread of this one, holds it; the message says which.
        StorageError: the folder cannot be written.
    """
    check()
    with write_errors(path):
        place = absolute(path)
        made = [folder for folder in place.parents if kind_of(folder) is Kind.NOTHING]
    lock = None
    try:
        with write_errors(path):
            lock = _acquired(place, replaced)
        if isinstance(lock, Path):
            raise ClaimedError(f"{option}: {_refusal(path, lock)}; {remedy}")
        with write_errors(path):
            lock.write(_owner(command))
        if neighbour := _neighbour(path, place):
            raise ClaimedError(f"{option}: {neighbour}; {_REMEDY}")
        check()
        with write_errors(path):
            _check_writable(place, replaced)
        yield
    finally:
        if isinstance(lock, Lock):
            lock.release(remove=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def absolute(path: Path) -> Path:
    """Return the absolute path; links on the way are followed, and one at its end is not."""
    return path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name


def _acquired(place: Path, replaced: bool) -> Lock | Path:
    """Return the lock of a folder, held, or the lock file that somebody else holds."""
    end = time.monotonic() + _SECONDS
    beside, inside = _lock_files(place)
    mine, other = (beside, inside) if replaced or _is_writable(place.parent) or not place.is_dir() else (inside, beside)
    while True:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock, held = Lock(mine), mine
        try:
            if lock.acquire():
                if mine == other or not _is_held(other):
                    return lock
                lock.release(remove=True)
                held = other
        except FileNotFoundError:  # Another command has just removed the parent, which was empty.
            if time.monotonic() > end:
                raise
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            lock.path.unlink(missing_ok=True)
            return lock
        if time.monotonic() > end:
            return held
        time.sleep(_POLL_SECONDS)


def _lock_files(place: Path) -> tuple[Path, Path]:
    """Return the lock file beside a folder, and the one in it; the root has only the latter."""
    inside = place / CLAIM
    return (inside if place.parent == place else place.parent / f"{CLAIM}-{place.name}"), inside


def _is_held(lock_file: Path) -> bool:
    """Return whether somebody holds a lock; a file that may not even be read counts as held."""
    try:
        return Lock(lock_file).is_held()
    except PermissionError:
        return True
    except OSError:
        return False


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _neighbour(path: Path, place: Path) -> str | None:
    """Say that a folder in this one, or the folder that this one is in, is being written, if one is."""
    found = dict.fromkeys(_lock_files(place.parent), path.parent)
    if place.is_dir():
        found |= {file: path / file.name.removeprefix(f"{CLAIM}-") for file in place.glob(f"{CLAIM}-*")}
        found |= {file: path / file.parent.name for file in place.glob(f"*/{CLAIM}")}
    return next((_refusal(folder, file) for file, folder in found.items() if _is_held(file)), None)


def _check_writable(place: Path, replaced: bool) -> None:
    exists = kind_of(place) is Kind.FOLDER
    if exists and not _is_writable(place):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    sweep(place.parent)
    with scratch_beside(place / "a file" if exists and not replaced else place):
        pass


def _owner(command: str) -> bytes:
    since = datetime.now().isoformat(sep=" ", timespec="seconds")
    return "\n".join((command, str(os.getpid()), platform.node(), since)).encode()


def _refusal(path: Path, lock_file: Path) -> str:
    return f"{path} is being written by {_holder(lock_file)}"


def _holder(lock_file: Path) -> str:
    """Return who holds a lock file, in words."""
    try:
        command, process, host, since = lock_file.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        return "another process"
    words = f"{command} (process {process} on {host}, since {since})"
    return words if words.isprintable() and len(words) < 200 else "another process"
