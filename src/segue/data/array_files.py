"""Sessions and cases on disk: arrays as memory-mapped ``.npy`` files, tables as Parquet."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from segue.data.array_schema import ArraySpec, Between, Offsets, check_arrays
from segue.data.arrays import Columns, StoredColumns, count_rows
from segue.data.cases import Cases
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ArtifactError, ParameterError
from segue.manifest import CheckedFolder, Manifest

_COLUMNS, _KEYS = "columns.parquet", "sessions.parquet"

_YEAR_1, _YEAR_9999 = -62_135_596_800, "253402300799"
"""The first and the last second of the calendar, counted from 1970."""

_SESSIONS = {
    "items": ArraySpec("int32", ("n",), (Between(1, "N"),)),
    "offsets": ArraySpec("int64", ("s+1",), (Offsets("n"),)),
    "times": ArraySpec("int64", ("n",), (Between(_YEAR_1, _YEAR_9999),)),
}
_CASES = {
    "items": ArraySpec("int32", ("n",), (Between(1, "N"),)),
    "starts": ArraySpec("int64", ("C",), (Between(0, "n-1"),)),
    "ends": ArraySpec("int64", ("C",), (Between(0, "n-1"),)),
    "times": ArraySpec("int64", ("n",), (Between(_YEAR_1, _YEAR_9999),)),
    "groups": ArraySpec("int64", ("C",)),
    "targets": ArraySpec("int32", ("T",), (Between(1, "N"),)),
    "offsets": ArraySpec("int64", ("C+1",), (Offsets("T"),)),
    "labels": ArraySpec("float64", ("C",)),
}


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
    arrays = _read_arrays(folder, name, _SESSIONS, optional=("times",))
    columns, keys = (_read_table(folder, f"{name}/{file}") for file in (_COLUMNS, _KEYS))
    times = arrays.get("times")
    sessions = Sessions(arrays["items"], arrays["offsets"], times, vocabulary, columns, keys=keys)
    with _problems(folder, name):
        check_arrays(arrays, _present(arrays, _SESSIONS), {"N": len(vocabulary)}, name)
        sessions.require_valid(name)
        _check_rows(folder, name, {_COLUMNS: len(sessions.items), _KEYS: len(sessions)})
    return sessions


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
    arrays = _read_arrays(folder, name, _CASES, optional=("times", "offsets", "labels"))
    with _problems(folder, name):
        check_arrays(arrays, _present(arrays, _CASES), {"N": len(vocabulary)}, name)
        _check_rows(folder, name, {_COLUMNS: len(arrays["items"])})
    items, starts, ends = (arrays.pop(part) for part in ("items", "starts", "ends"))
    bounds = np.array([0, len(items)])
    columns = _read_table(folder, f"{name}/{_COLUMNS}")
    whole = Sessions(items, bounds, arrays.pop("times", None), vocabulary, columns)
    cases = Cases(prefixes=whole.prefixes(starts, ends, ahead=True), **arrays, exclude_seen=exclude_seen)
    with _problems(folder, name):
        cases.require_valid(vocabulary, name)
    return cases


def _write_arrays(folder: Path, **arrays: np.ndarray | None) -> None:
    for name, array in arrays.items():
        if array is not None:
            np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _write_table(file: Path, table: Columns | None) -> None:
    if table is not None:
        frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame([table[name] for name in table.columns])
        frame.write_parquet(file)


def _read_arrays(
    folder: CheckedFolder[Manifest], name: str, specs: Mapping[str, ArraySpec], optional: Collection[str]
) -> dict[str, np.ndarray]:
    files = {part: f"{name}/{part}.npy" for part in specs}
    return {
        part: folder.read(file, lambda path: np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)))
        for part, file in files.items()
        if part not in optional or file in folder
    }


def _present(arrays: Mapping[str, np.ndarray], specs: Mapping[str, ArraySpec]) -> dict[str, ArraySpec]:
    return {part: spec for part, spec in specs.items() if part in arrays}


def _check_rows(folder: CheckedFolder[Manifest], name: str, rows: Mapping[str, int]) -> None:
    for file, expected in rows.items():
        if f"{name}/{file}" in folder:
            found = folder.read(f"{name}/{file}", count_rows)
            if found != expected:
                raise ParameterError(f"{name}/{file}: must have {expected:,} rows, got {found:,}")


@contextmanager
def _problems(folder: CheckedFolder[Manifest], name: str) -> Iterator[None]:
    try:
        yield
    except ParameterError as error:
        raise ArtifactError(f"{folder.path}: {error}; {folder.format.remedy}") from error


def _read_table(folder: CheckedFolder[Manifest], name: str) -> Columns | None:
    return folder.read(name, StoredColumns) if name in folder else None
