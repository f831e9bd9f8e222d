"""Short hashes of the content of logs, sessions and cases, independent of the machine and the file format."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from segue.data.arrays import Columns
from segue.data.cases import Cases
from segue.data.sessions import Sessions

_SLICE = 1 << 20
"""Rows hashed at once, so that a text column is never copied as a whole."""


def fingerprint(log: Columns) -> str:
    """Hash the columns of a log and their values in file order: 16 hex digits of SHA-256.

    The order of the columns does not matter; names, types and values do: 1 and "1" are different ids.
    """
    digest = hashlib.sha256()
    for name in sorted(log.columns):
        _hash_column(digest, name, len(log[name]), iter([log[name]]))
    return digest.hexdigest()[:16]


def fingerprint_pieces(pieces: Sequence[pl.DataFrame | Path]) -> str:
    """Hash a log in pieces: the fingerprint of the pieces laid end to end.

    Args:
        pieces: frames, or Arrow files, of which one column is read at a time.
    """
    digest = hashlib.sha256()
    first = pieces[0]
    names = first.columns if isinstance(first, pl.DataFrame) else pl.read_ipc_schema(first)
    height = sum(_height(piece) for piece in pieces)
    for name in sorted(names):
        _hash_column(digest, name, height, (_column(piece, name) for piece in pieces))
    return digest.hexdigest()[:16]


def _height(piece: pl.DataFrame | Path) -> int:
    if isinstance(piece, pl.DataFrame):
        return piece.height
    return int(pl.scan_ipc(piece, glob=False).select(pl.len()).collect().item())


def _column(piece: pl.DataFrame | Path, name: str) -> pl.Series:
    if isinstance(piece, pl.DataFrame):
        return piece[name]
    return pl.scan_ipc(piece, glob=False).select(name).collect()[name]


def _hash_column(digest: "hashlib._Hash", name: str, height: int, pieces: Iterator[pl.Series]) -> None:
    """Hash a column in slices of ``_SLICE`` rows, wherever its pieces end."""
    for number, values in enumerate(_slices(pieces)):
        column = _canonical(values)
        if not number:
            digest.update(f"{name}:{column.dtype}:{height};".encode())
        if len(column):
            _update(digest, column)


def _slices(pieces: Iterator[pl.Series]) -> Iterator[pl.Series]:
    """Yield the slices of a column; an empty one if it has no rows."""
    is_first, rest = True, pl.Series()
    for piece in pieces:
        column = pl.concat([rest, piece]) if len(rest) else piece
        full = len(column) - len(column) % _SLICE
        for start in range(0, full, _SLICE):
            yield column.slice(start, _SLICE)
        is_first, rest = is_first and not full, column.slice(full)
    if is_first or len(rest):
        yield rest


def fingerprint_sessions(sessions: Sessions) -> str:
    """Hash everything that a model can learn from: items, times, columns and the vocabulary."""
    arrays = _hash_arrays(sessions.items, sessions.offsets, sessions.times)
    return arrays + _hash_table(sessions.columns) + _hash_table(sessions.vocabulary.table)


def fingerprint_cases(cases: Cases) -> str:
    """Hash test or validation cases: their prefixes and targets."""
    prefixes = cases.prefixes
    log = _hash_arrays(prefixes.items, prefixes.starts, prefixes.ends, prefixes.times, cases.targets)
    further = [array for array in (cases.offsets, cases.labels) if array is not None]
    log += _hash_arrays(*further) if further else ""
    return f"{log}{_hash_table(prefixes.columns)} {'unseen items' if cases.exclude_seen else 'all items'}"


def _hash_arrays(*arrays: np.ndarray | None) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _hash_table(table: Columns | None) -> str:
    return "" if table is None else fingerprint(table)


def _canonical(column: pl.Series) -> pl.Series:
    """Convert a column to 64-bit numbers or text; lists and structures to JSON, vectors not at all."""
    if _is_vectors(column):
        return column
    if column.dtype.is_temporal():
        return column.to_physical().cast(pl.Int64)
    if column.dtype.is_integer() or column.dtype == pl.Boolean:
        return column.cast(pl.Int64)
    if column.dtype.is_float():
        return column.cast(pl.Float64)
    if column.dtype.is_nested():
        return column.to_frame().select(pl.struct(pl.all()).struct.json_encode()).to_series()
    return column.cast(pl.String)


def _is_vectors(column: pl.Series) -> bool:
    return isinstance(column.dtype, pl.Array) and column.dtype.inner == pl.Float32


def _update(digest: "hashlib._Hash", values: pl.Series) -> None:
    digest.update(np.packbits(values.is_null().to_numpy()).tobytes())
    if _is_vectors(values):
        digest.update(_bytes(values.drop_nulls().explode()))
    elif values.dtype == pl.String:
        values = values.fill_null("")
        digest.update(_bytes(values.str.len_bytes().cast(pl.Int64)))
        digest.update("".join(values.to_list()).encode())
    else:
        digest.update(_bytes(values.fill_null(0)))


def _bytes(numbers: pl.Series) -> bytes:
    """Return numbers as little-endian bytes."""
    array = numbers.to_numpy()
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
