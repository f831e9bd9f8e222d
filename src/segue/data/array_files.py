"""Sessions and cases on disk: arrays as memory-mapped ``.npy`` files, tables as Parquet."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from segue.data.array_schema import IN_YEARS, ArraySpec, AtLeast, Between, Offsets, Rising, check_arrays
from segue.data.arrays import Columns, StoredColumns
from segue.data.cases import Cases
from segue.data.events import ITEM, PART, SESSION, TIME, USER
from segue.data.partitions import Engine, StoredTable, Table, load
from segue.data.session_ranges import SessionRanges
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ArtifactError, ParameterError
from segue.manifest import CheckedFolder, Manifest

_COLUMNS, _KEYS = "columns.parquet", "sessions.parquet"
_ROW_GROUP, _PAGE = 1 << 18, 1 << 30
"""Rows of a row group and bytes of a page, so that a Parquet file that is written in parts has the same bytes: a row
group is one page, since polars divides pages of lists by the memory of the whole table."""

_SESSIONS = {
    "items": ArraySpec("int32", ("n",), (Between(1, "N"),)),
    "offsets": ArraySpec("int64", ("s+1",), (Offsets("n"),)),
    "times": ArraySpec("int64", ("n",), (IN_YEARS, Rising("offsets"))),
}
_CASES = {
    "items": ArraySpec("int32", ("n",), (Between(1, "N"),)),
    "starts": ArraySpec("int64", ("C",), (Between(0, "n-1"),)),
    "ends": ArraySpec("int64", ("C",), (Between(0, "n-1"), AtLeast("starts"))),
    "times": ArraySpec("int64", ("n",), (IN_YEARS,)),
    "groups": ArraySpec("int64", ("C",)),
    "targets": ArraySpec("int32", ("T",), (Between(1, "N"),)),
    "offsets": ArraySpec("int64", ("C+1",), (Offsets("T"),)),
    "labels": ArraySpec("float64", ("C",)),
}
_ONE_TARGET = ArraySpec("int32", ("C",), (Between(1, "N"),))
"""Targets without ``offsets``."""

_IDS = (pl.Int64(), pl.String())


def write_sessions(sessions: Sessions, folder: Path) -> None:
    """Write sessions without their vocabulary into a new folder."""
    folder.mkdir()
    _write_arrays(folder, items=sessions.items, offsets=sessions.offsets, times=sessions.times)
    _write_table(folder / _COLUMNS, sessions.columns)
    _write_table(folder / _KEYS, sessions.keys)


def read_sessions(folder: CheckedFolder[Manifest], name: str, vocabulary: Vocabulary) -> Sessions:
    """Memory-map the result of ``write_sessions``; the arrays are read-only.

    Raises:
        ArtifactError: a file is missing, cannot be read, or breaks a rule.
    """
    arrays = _read_arrays(folder, name, _SESSIONS, optional=("times",))
    with _problems(folder, name):
        check_arrays(arrays, _present(arrays, _SESSIONS), {"N": len(vocabulary)}, name)
        columns = _read_columns(folder, f"{name}/{_COLUMNS}", len(arrays["items"]))
        keys = _read_table(folder, f"{name}/{_KEYS}", len(arrays["offsets"]) - 1, required=True)
        if keys is not None and (keys.columns != [SESSION] or keys.schema[SESSION] not in _IDS):
            raise ParameterError(
                f"{name}/{_KEYS}: must have one column, '{SESSION}', of Int64 or String, got {_show(keys)}"
            )
    return Sessions(arrays["items"], arrays["offsets"], arrays.get("times"), vocabulary, columns, keys=keys)


def open_ranges(folder: Path, vocabulary: Vocabulary, engine: Engine, count: int) -> Sessions:
    """Memory-map items, offsets and times of sessions that this command has written, for work on an engine.

    Args:
        folder: the folder of ``write_sessions``, which the engine reads, too.
        vocabulary: the vocabulary of the sessions.
        engine: works on ranges of the sessions.
        count: number of ranges; there may be fewer if sessions are few.
    """
    files = {name: folder / f"{name}.npy" for name in _SESSIONS}
    arrays = {name: _map_array(file) for name, file in files.items() if file.exists()}
    ranges = SessionRanges.divide(engine, folder, arrays["offsets"], count)
    return Sessions(arrays["items"], arrays["offsets"], arrays.get("times"), vocabulary, ranges=ranges)


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
    specs = _present(arrays, _CASES if "offsets" in arrays else {**_CASES, "targets": _ONE_TARGET})
    with _problems(folder, name):
        check_arrays(arrays, specs, {"N": len(vocabulary)}, name)
        columns = _read_columns(folder, f"{name}/{_COLUMNS}", len(arrays["items"]))
    items, starts, ends = (arrays.pop(part) for part in ("items", "starts", "ends"))
    bounds = np.array([0, len(items)])
    whole = Sessions(items, bounds, arrays.pop("times", None), vocabulary, columns)
    return Cases(prefixes=whole.prefixes(starts, ends, ahead=True), **arrays, exclude_seen=exclude_seen)


def _write_arrays(folder: Path, **arrays: np.ndarray | None) -> None:
    for name, array in arrays.items():
        if array is not None:
            np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _write_table(file: Path, table: Columns | None) -> None:
    if table is not None:
        frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame([table[name] for name in table.columns])
        frame.write_parquet(file, row_group_size=_ROW_GROUP, data_page_size=_PAGE)


def write_tables(
    folder: Path, events: Sequence[Table], sessions: Sequence[Table] | None, arrays: Sequence[str]
) -> None:
    """Write the tables of sessions or cases that come in several parts, one after the other.

    Args:
        folder: the folder.
        events: the events; columns named in ``arrays`` are left out.
        sessions: the sessions, of which the ids are written; None for cases.
        arrays: columns that are stored as arrays.
    """
    further = [name for name in events[0].columns if name not in arrays]
    if further:
        _scan(events).select(further).sink_parquet(folder / _COLUMNS, row_group_size=_ROW_GROUP, data_page_size=_PAGE)
    if sessions is not None:
        _scan(sessions).select(SESSION).sink_parquet(folder / _KEYS, row_group_size=_ROW_GROUP, data_page_size=_PAGE)


def _scan(tables: Sequence[Table]) -> pl.LazyFrame:
    if all(isinstance(table, StoredTable) for table in tables):
        paths = [table.path for table in tables if isinstance(table, StoredTable)]
        return pl.scan_ipc(paths, glob=False)
    return pl.concat([load(table) for table in tables]).lazy()


class ArrayFile:
    """A ``.npy`` file of one dimension that is written in parts, as ``np.save`` writes it whole.

    Args:
        file: the file.
        dtype: type of the values.
        size: number of values.
        written: False to write nothing.
    """

    def __init__(self, file: Path, dtype: str, size: int, *, written: bool = True) -> None:
        self._dtype = np.dtype(dtype)
        self._stream = file.open("wb") if written else None
        if self._stream is not None:
            header = np.lib.format.header_data_from_array_1_0(np.empty(0, self._dtype)) | {"shape": (size,)}
            np.lib.format.write_array_header_1_0(self._stream, header)

    def __enter__(self) -> "ArrayFile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def append(self, values: np.ndarray) -> None:
        """Write the next values."""
        assert self._stream is not None
        self._stream.write(np.ascontiguousarray(values, dtype=self._dtype).data)


def _read_arrays(
    folder: CheckedFolder[Manifest], name: str, specs: Mapping[str, ArraySpec], optional: Collection[str]
) -> dict[str, np.ndarray]:
    files = {part: f"{name}/{part}.npy" for part in specs}
    return {
        part: folder.read(file, _map_array) for part, file in files.items() if part not in optional or file in folder
    }


def _map_array(file: Path) -> np.ndarray:
    return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))


def _present(arrays: Mapping[str, np.ndarray], specs: Mapping[str, ArraySpec]) -> dict[str, ArraySpec]:
    return {part: spec for part, spec in specs.items() if part in arrays}


@contextmanager
def _problems(folder: CheckedFolder[Manifest], name: str) -> Iterator[None]:
    try:
        yield
    except ParameterError as error:
        raise ArtifactError(f"{folder.path}: {error}; {folder.format.remedy}") from error


def _read_table(
    folder: CheckedFolder[Manifest], name: str, rows: int, *, required: bool = False
) -> StoredColumns | None:
    """Open a table, if there is one."""
    if name not in folder:
        return None
    size = folder.size
    table = folder.read(name, lambda file: StoredColumns(file, size, required=required))
    if table.height != rows:
        raise ParameterError(f"{name}: must have {rows:,} rows, got {table.height:,}")
    return table


def _read_columns(folder: CheckedFolder[Manifest], name: str, rows: int) -> StoredColumns | None:
    """Open the further columns of the events, if there are any."""
    table = _read_table(folder, name, rows)
    if table is not None:
        for reserved in (SESSION, ITEM, TIME, PART):
            if reserved in table.schema:
                raise ParameterError(f"{name}: must have no column '{reserved}', got {_show(table)}")
        if table.schema.get(USER, pl.String()) not in _IDS:
            raise ParameterError(f"{name}: column '{USER}' must be Int64 or String, got {table.schema[USER]}")
    return table


def _show(table: StoredColumns) -> str:
    return ", ".join(f"'{column}' of {kind}" for column, kind in table.schema.items())
