"""Arrays and columns of an encoded log: ranges of events, read-only views, columns that are read from disk on use."""

from io import BytesIO
from pathlib import Path
from typing import overload

import numpy as np
import polars as pl
from jaxtyping import Int32, Int64, Shaped

from segue.compiled import njit
from segue.data.ingest.values import IN_RANGE, out_of_range
from segue.data.parquet import require_memory
from segue.manifest import DATASET

VALID, INVALID_RANGE, INVALID_ITEM = 0, 1, 2
"""Results of ``check_ranges``."""


class StoredColumns:
    """The columns of a Parquet file of a data set, each read on first use.

    Supports the part of the polars frame API that segue needs: ``columns``, a column by name, and rows by number.

    Args:
        file: the Parquet file. This object can still read it after another file has replaced it.
        folder_size: bytes of all files of the data set, which limit the memory of a column.
        required: whether a column must have a value in each row.

    Attributes:
        schema: data types by column name.
        height: number of rows.

    Raises:
        OSError: the file cannot be read.
        ValueError: a column takes more memory, or the file is damaged.
        polars.exceptions.PolarsError: the file is damaged.
    """

    def __init__(self, file: Path, folder_size: int, *, required: bool = False) -> None:
        require_memory(file, folder_size, by_column=True)
        self.schema = pl.Schema(pl.read_parquet_schema(file))
        self.height: int = pl.scan_parquet(file, glob=False, hive_partitioning=False).select(pl.len()).collect().item()
        self._file = file
        self._content = np.memmap(file, dtype=np.uint8, mode="r")
        self._required = required
        self._read: dict[str, pl.Series] = {}

    @property
    def columns(self) -> list[str]:
        """Column names."""
        return self.schema.names()

    @overload
    def __getitem__(self, chosen: str) -> pl.Series: ...

    @overload
    def __getitem__(self, chosen: Int64[np.ndarray, "_"]) -> pl.DataFrame: ...

    def __getitem__(self, chosen: str | Int64[np.ndarray, "_"]) -> pl.Series | pl.DataFrame:
        """Return a column, or rows.

        Raises:
            ArtifactError: a column cannot be decoded, or has other values than the footer of the file says.
        """
        if isinstance(chosen, str):
            if chosen not in self._read:
                self._read[chosen] = DATASET.attempt(self._file, lambda _: self._decode(chosen))
            return self._read[chosen]
        return pl.DataFrame([self[name].gather(chosen) for name in self.columns])

    def _decode(self, name: str) -> pl.Series:
        column = pl.read_parquet(BytesIO(self._content.data), columns=[name])[name]
        if column.dtype != self.schema[name] or len(column) != self.height:
            raise ValueError(f"column '{name}' has {len(column):,} values of {column.dtype}")
        if self._required and column.null_count():
            raise ValueError(f"column '{name}' must have a value in each row")
        if len(rows := out_of_range(column)):
            raise ValueError(f"column '{name}', row {rows[0]:,}: {IN_RANGE}")
        return column


Columns = pl.DataFrame | StoredColumns


def read_only(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return a read-only view; an array that is not C-contiguous is copied.

    numba compiles a function separately for writable and read-only arrays. With this view, a function that only reads
    is compiled once for arrays in memory and memory-mapped ones.
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


@njit()
def concatenate_ranges(starts: Int64[np.ndarray, "s"], lengths: Int64[np.ndarray, "s"]) -> Int64[np.ndarray, "n"]:
    """Concatenate the ranges ``starts[j], starts[j] + 1, ...`` of ``lengths[j]`` numbers.

    numpy needs four temporary arrays of the size of the result.
    """
    total = 0
    for length in lengths:
        total += length if length > 0 else 0
    numbers = np.empty(total, dtype=np.int64)
    position = 0
    for j in range(len(starts)):
        for step in range(lengths[j]):
            numbers[position + step] = starts[j] + step
        position += lengths[j]
    return numbers


@njit(nogil=True)
def descending_order(keys: Shaped[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Return the order of keys, none of them NaN, the largest first and equal ones in their given order.

    For compiled functions, since numba's own sorts take seconds to compile.
    """
    size, run = len(keys), 16
    order, merged = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    for place in range(size):  # Insertion, in runs.
        hole = place
        while hole % run and keys[order[hole - 1]] < keys[place]:
            order[hole] = order[hole - 1]
            hole -= 1
        order[hole] = place
    while run < size:  # Merging, of two neighbouring runs each.
        for start in range(0, size, 2 * run):
            left, middle, end = start, min(start + run, size), min(start + 2 * run, size)
            right = middle
            for place in range(start, end):
                if left < middle and (right == end or keys[order[left]] >= keys[order[right]]):
                    merged[place] = order[left]
                    left += 1
                else:
                    merged[place] = order[right]
                    right += 1
        order, merged = merged, order
        run *= 2
    return order


@njit(nogil=True)
def check_ranges(
    items: Int32[np.ndarray, "n"], starts: Int64[np.ndarray, "B"], ends: Int64[np.ndarray, "B"], largest: int
) -> tuple[int, int]:
    """Check that ranges and item indices are within bounds, so that no compiled function reads outside of its arrays.

    Args:
        items: item indices.
        starts: range b is ``items[starts[b]:ends[b]]``.
        ends: one past the last event of each range.
        largest: largest valid item index.

    Returns:
        ``VALID`` and 0; or ``INVALID_RANGE`` and the first range that is not within ``items``; or ``INVALID_ITEM`` and
        the first position whose item is not between 1 and ``largest``.
    """
    for b in range(len(starts)):
        if not 0 <= starts[b] <= ends[b] <= len(items):
            return INVALID_RANGE, b
        for position in range(starts[b], ends[b]):
            if not 1 <= items[position] <= largest:
                return INVALID_ITEM, position
    return VALID, 0
