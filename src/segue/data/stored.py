"""Sessions and cases on disk: arrays as ``.npy`` files, which are mapped and not read, tables as Parquet."""

from pathlib import Path

import numpy as np
import polars as pl

from segue.data.columns import Columns, StoredColumns
from segue.data.sessions import Cases, Sessions
from segue.data.vocabulary import Vocabulary
from segue.manifest import CheckedFolder, Manifest

_COLUMNS, _KEYS = "columns.parquet", "sessions.parquet"


def write_sessions(sessions: Sessions, folder: Path) -> None:
    """Write sessions, all but their vocabulary, into a new folder."""
    folder.mkdir()
    _write_arrays(folder, items=sessions.items, offsets=sessions.offsets, times=sessions.times)
    _write_table(folder / _COLUMNS, sessions.columns)
    _write_table(folder / _KEYS, sessions.keys)


def read_sessions(folder: CheckedFolder[Manifest], name: str, vocabulary: Vocabulary) -> Sessions:
    """Map what ``write_sessions`` wrote; the arrays are read-only.

    Raises:
        ArtifactError: a file is missing or cannot be read.
    """
    return Sessions(
        items=_array(folder, f"{name}/items.npy"),
        offsets=_array(folder, f"{name}/offsets.npy"),
        times=_array_if_there(folder, f"{name}/times.npy"),
        vocabulary=vocabulary,
        columns=_table(folder, f"{name}/{_COLUMNS}"),
        keys=_table(folder, f"{name}/{_KEYS}"),
    )


def write_cases(cases: Cases, folder: Path) -> None:
    """Write cases, all but ``exclude_seen``, into a new folder."""
    folder.mkdir()
    prefixes = cases.prefixes
    _write_arrays(folder, items=prefixes.items, starts=prefixes.starts, ends=prefixes.ends, times=prefixes.times)
    _write_arrays(folder, targets=cases.targets, groups=cases.groups, offsets=cases.offsets, labels=cases.labels)
    _write_table(folder / _COLUMNS, prefixes.columns)


def read_cases(folder: CheckedFolder[Manifest], name: str, vocabulary: Vocabulary, *, exclude_seen: bool) -> Cases:
    """Map what ``write_cases`` wrote; the arrays are read-only.

    Raises:
        ArtifactError: a file is missing or cannot be read.
    """
    items = _array(folder, f"{name}/items.npy")
    whole = Sessions(
        items=items,
        offsets=np.array([0, len(items)]),
        times=_array_if_there(folder, f"{name}/times.npy"),
        vocabulary=vocabulary,
        columns=_table(folder, f"{name}/{_COLUMNS}"),
    )
    return Cases(
        prefixes=whole.prefixes(_array(folder, f"{name}/starts.npy"), _array(folder, f"{name}/ends.npy")),
        targets=_array(folder, f"{name}/targets.npy"),
        groups=_array(folder, f"{name}/groups.npy"),
        exclude_seen=exclude_seen,
        offsets=_array_if_there(folder, f"{name}/offsets.npy"),
        labels=_array_if_there(folder, f"{name}/labels.npy"),
    )


def _write_arrays(folder: Path, **arrays: np.ndarray | None) -> None:
    for name, array in arrays.items():
        if array is not None:
            np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _write_table(file: Path, table: Columns | None) -> None:
    if table is not None:
        frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame([table[name] for name in table.columns])
        frame.write_parquet(file)


def _array(folder: CheckedFolder[Manifest], name: str) -> np.ndarray:
    return folder.read(name, _mapped)


def _array_if_there(folder: CheckedFolder[Manifest], name: str) -> np.ndarray | None:
    return _array(folder, name) if name in folder else None


def _mapped(file: Path) -> np.ndarray:
    return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))


def _table(folder: CheckedFolder[Manifest], name: str) -> Columns | None:
    return folder.read(name, StoredColumns) if name in folder else None
