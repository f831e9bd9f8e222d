"""A folder of intermediate results, with which a killed command continues."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segue.errors import ClusterError, ParameterError, SegueError
from segue.storage import make_folder, remove, replacing_file
from segue.storage.markers import read_marker
from segue.strict_json import digest, write_json

_MARKER, _KIND = "work.json", "unfinished work"


@contextmanager
def work_folder(path: Path, identity: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a folder of intermediate results, which is removed at the end and after an error of segue.

    If the process is killed or interrupted, or a cluster is lost, the folder stays. What an earlier command left there
    is used again if its identity was the same, and is removed otherwise.

    Args:
        path: the folder.
        identity: the input and all parameters, ready for JSON.

    Raises:
        ParameterError: there is something else at ``path``.
        StorageError: the folder cannot be written.
    """
    if path.exists():
        found = read_marker(path / _MARKER, _KIND)
        if found is None:
            raise ParameterError(f"{path}: must not exist, because intermediate results go there; move or delete it")
        if found.get("identity") != digest(identity):
            remove(path)
    make_folder(path)
    with replacing_file(path / _MARKER) as scratch:
        write_json(scratch, {"segue": _KIND, "format": 1, "identity": digest(identity)})
    try:
        yield path
    except ClusterError:
        raise
    except SegueError:
        remove(path)
        raise
    remove(path)
