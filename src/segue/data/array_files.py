"""Sessions and cases on disk: arrays as memory-mapped ``.npy`` files, tables as Parquet."""

from pathlib import Path

import numpy as np
import polars as pl

from segue.data.arrays import Columns, StoredColumns
from segue.data.cases import Cases
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.manifest import CheckedFolder, Manifest

_COLUMNS, _KEYS = "columns.parquet", "sessions.parquet"


def write_sessions(sessions: Sessions, folder: Path) -> None:
    """Write sessions without their vocabulary into a new folder."""
    folder.mkdir()
    _write_arrays(folder, items=sessions.items, offsets=sessions.offsets, times=sessions.times)
    _write_table(folder / _COLUMNS, sessions.columns)
    _write_table(folder / _KEYS, sessions.keys)


def read_sessions(folder: CheckedFolder[Manifest], name: str, vocabulary: Vocabulary) -> Sessions:
    """Memory-map the result of ``write_sessions``; the arrays are read-only.

    Raises:
        ArtifactError: a file is missing or cannot be read.
    """
    return Sessions(
        items=_read_array(folder, f"{name}/items.npy"),
        offsets=_read_array(folder, f"{name}/offsets.npy"),
        times=_read_optional(folder, f"{name}/times.npy"),
        vocabulary=vocabulary,
        columns=_read_table(folder, f"{name}/{_COLUMNS}"),
        keys=_read_table(folder, f"{name}/{_KEYS}"),
    )


def write_cases(cases: Cases, folder: Path) -> None:
    """Write cases without ``exclude_seen`` into a new folder."""
    folder.mkdir()
    prefixes = cases.prefixes
    _write_arrays(folder, items=prefixes.items, starts=prefixes.starts, ends=prefixes.ends, times=prefixes.times)
    _write_arrays(folder, targets=cases.targets, groups=cases.groups, offsets=cases.offsets, labels=cases.labels)
    _write_table(folder / _COLUMNS, prefixes.columns)


def read_cases(folder: CheckedFolder[Manifest], name: str, vocabulary: Vocabulary, *, exclude_seen: bool) -> Cases:
    """Memory-map the result of ``write_cases``; the arrays are read-only.

    Raises:
        ArtifactError: a file is missing or cannot be read.
    """
    items = _read_array(folder, f"{name}/items.npy")
    whole = Sessions(
        items=items,
        offsets=np.array([0, len(items)]),
        times=_read_optional(folder, f"{name}/times.npy"),
        vocabulary=vocabulary,
        columns=_read_table(folder, f"{name}/{_COLUMNS}"),
    )
    return Cases(
        prefixes=whole.prefixes(
            _read_array(folder, f"{name}/starts.npy"), _read_array(folder, f"{name}/ends.npy"), ahead=True
        ),
        targets=_read_array(folder, f"{name}/targets.npy"),
        groups=_read_array(folder, f"{name}/groups.npy"),
        exclude_seen=exclude_seen,
        offsets=_read_optional(folder, f"{name}/offsets.npy"),
        labels=_read_optional(folder, f"{name}/labels.npy"),
    )


def _write_arrays(folder: Path, **arrays: np.ndarray | None) -> None:
    for name, array in arrays.items():
        if array is not None:
            np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _write_table(file: Path, table: Columns | None) -> None:
    if table is not None:
        frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame([table[name] for name in table.columns])
        frame.write_parquet(file)


def _read_array(folder: CheckedFolder[Manifest], name: str) -> np.ndarray:
    return folder.read(name, lambda file: np.asarray(np.load(file, mmap_mode="r", allow_pickle=False)))


def _read_optional(folder: CheckedFolder[Manifest], name: str) -> np.ndarray | None:
    return _read_array(folder, name) if name in folder else None


def _read_table(folder: CheckedFolder[Manifest], name: str) -> Columns | None:
    return folder.read(name, StoredColumns) if name in folder else None
