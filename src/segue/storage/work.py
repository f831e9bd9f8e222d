"""A folder of intermediate results, with which a killed command continues."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from segue.errors import ClusterError, ParameterError, SegueError, StorageError
from segue.storage import make_folder, remove, replacing_file
from segue.storage.filesystem import Kind, kind_of
from segue.storage.markers import read_marker
from segue.strict_json import digest, write_json
from segue.version import __version__

_MARKER, _KIND = "work.json", "unfinished work"


@contextmanager
def work_folder(path: Path, identity: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a folder of intermediate results, which is removed at the end and after an error of segue.

    If the process is killed or interrupted, or a cluster is lost, the folder stays. What an earlier command left there
    is used again if its identity and the version of segue were the same, and is removed otherwise.

    Args:
        path: the folder.
        identity: the input and all parameters, ready for JSON.

    Raises:
        ParameterError: there is something else at ``path``.
        StorageError: the folder cannot be written.
    """
    known_by = digest({**identity, "version": __version__})
    kind = kind_of(path)
    if kind is not Kind.NOTHING:
        found = read_marker(path / _MARKER, _KIND) if kind is Kind.FOLDER else None
        if found is None and (kind is not Kind.FOLDER or any(path.iterdir())):
            raise ParameterError(f"{path}: must not exist, because intermediate results go there; move or delete it")
        if found is not None and found.get("identity") != known_by:
            _discard(path)
    make_folder(path)
    _mark(path, known_by)
    try:
        yield path
    except ClusterError:
        raise
    except SegueError:
        _discard(path)
        raise
    _discard(path)


def _mark(path: Path, identity: str | None) -> None:
    with replacing_file(path / _MARKER) as scratch:
        write_json(scratch, {"segue": _KIND, "format": 1, "identity": identity})


def _discard(path: Path) -> None:
    """Remove a folder so that no later command uses what is left of it if the process is killed meanwhile."""
    marker = path / _MARKER
    with suppress(StorageError):  # On a full disk nothing can be written, but files can be removed.
        _mark(path, None)
    for file in path.iterdir():
        if file != marker:
            remove(file)
    remove(path)
