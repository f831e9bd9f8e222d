"""The catalogue of a model or a data set as a Parquet file, which is checked when it is read."""

from collections.abc import Iterator
from os import SEEK_END
from pathlib import Path
from typing import Any

import polars as pl

from segue.data.vocabulary import COLD, SIMILAR, UNKNOWN, Vocabulary
from segue.errors import ArtifactError
from segue.manifest import CheckedFolder, ManifestT

_FREE_BYTES, _BYTES_PER_STORED_BYTE = 128 << 20, 4
"""A small compressed file may decode to any size, so the table may take this much memory, and the second number times
the size of all files of the folder."""

_BYTES_PER_VALUE = 16
"""Memory of a value of a column, besides text, which may be shared between values."""

_TYPES = {"item": (pl.Int64, pl.String), "support": (pl.Int64,), COLD: (pl.String,)}


def write_vocabulary(vocabulary: Vocabulary, file: Path) -> None:
    """Write the table of the items, with their metadata."""
    vocabulary.table.write_parquet(file)


def read_vocabulary(folder: CheckedFolder[ManifestT], name: str) -> Vocabulary:
    """Read a file that ``write_vocabulary`` wrote.

    Raises:
        ArtifactError: the file is missing or damaged, breaks a rule, or is far larger in memory than on the disk.
    """
    limit = _FREE_BYTES + _BYTES_PER_STORED_BYTE * folder.size
    table = folder.read(name, lambda file: _read(file, limit))
    for problem in _problems(table):
        raise ArtifactError(f"{folder.path / name}: {problem}; {folder.format.remedy}")
    return Vocabulary(table)


def _read(file: Path, limit: int) -> pl.DataFrame:
    if (size := memory_of(file)) > limit:
        raise ValueError(f"it would take {size >> 20:,} MiB of memory, more than {limit >> 20:,} MiB")
    return pl.read_parquet(file, glob=False, hive_partitioning=False)


def _problems(table: pl.DataFrame) -> Iterator[str]:
    """Yield what is wrong with a table of items."""
    for name, valid in _TYPES.items():
        if name not in table.columns:
            if name != COLD:
                yield f"column '{name}' is missing"
        elif table.schema[name] not in valid:
            yield f"column '{name}' must be {' or '.join(map(str, valid))}, got {table.schema[name]}"
        elif name != COLD and table[name].null_count():
            yield f"column '{name}' must have a value in each row, got none in {table[name].null_count()}"
    items, support = table["item"], table["support"]
    if not table.height:
        yield "must have at least one item, got none"
    if (repeated := items.is_duplicated()).any():
        yield f"column 'item' must have no id twice, got {items.filter(repeated)[0]!r} again"
    if (negative := support.filter(support < 0)).len():
        yield f"column 'support' must be at least 0, got {negative[0]}"
    if COLD in table.columns:
        origins = table[COLD]
        foreign = origins.drop_nulls().filter(~origins.drop_nulls().is_in([SIMILAR, UNKNOWN]))
        if len(foreign):
            yield f"column '{COLD}' must be '{SIMILAR}', '{UNKNOWN}' or empty, got {foreign[0]!r}"
        if not origins.is_null()[: origins.null_count()].all():
            yield f"column '{COLD}' must be empty for the training items, which come first"


def memory_of(file: Path) -> int:
    """Return how much memory the table of a Parquet file takes, in bytes, according to the footer of the file.

    The footer is the last thing in the file: a Thrift structure in the compact protocol, its length in 4 bytes, and
    ``PAR1``. Source: the specification of Apache Parquet.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not end with such a footer.
    """
    with file.open("rb") as stream:
        length = stream.seek(0, SEEK_END)
        stream.seek(max(0, length - 8))
        size, magic = int.from_bytes(stream.read(4), "little"), stream.read(4)
        if magic != b"PAR1" or size > length - 8:
            raise ValueError("it is no Parquet file")
        stream.seek(length - 8 - size)
        footer = stream.read(size)
    try:
        content, _ = _struct(footer, 0)
        chunks = [column[_COLUMN_CHUNK] for group in content[_ROW_GROUPS] for column in group[_COLUMNS]]
        values = sum(chunk[_VALUES] for chunk in chunks)
        return int(sum(chunk[_UNCOMPRESSED] for chunk in chunks) + _BYTES_PER_VALUE * values)
    except (IndexError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("its footer is damaged") from error


_ROW_GROUPS, _COLUMNS, _COLUMN_CHUNK, _VALUES, _UNCOMPRESSED = 4, 1, 3, 5, 6
"""Numbers of fields: row groups of a file, columns of a row group, metadata of a column, its values and its bytes."""

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
"""Types of fields in Thrift's compact protocol."""


def _struct(data: bytes, place: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a Thrift structure by number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while (head := data[place]) != 0:
        place += 1
        if head >> 4:
            number += head >> 4
        else:
            number, place = _integer(data, place)
        fields[number], place = _value(head & 15, data, place)
    return fields, place + 1


def _value(kind: int, data: bytes, place: int) -> tuple[Any, int]:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, place
    if kind == _BYTE:
        return data[place], place + 1
    if kind in _INTEGERS:
        return _integer(data, place)
    if kind in (_DOUBLE, _BINARY):
        length, place = (8, place) if kind == _DOUBLE else _varint(data, place)
        return None, place + length
    if kind == _STRUCT:
        return _struct(data, place)
    if kind in (_LIST, _SET):
        return _list(data, place)
    raise ValueError(f"its footer has a field of type {kind}")


def _list(data: bytes, place: int) -> tuple[list[Any], int]:
    length, kind, place = data[place] >> 4, data[place] & 15, place + 1
    if length == 15:
        length, place = _varint(data, place)
    values = []
    for _ in range(length):
        value, place = _value(_BYTE if kind in (_TRUE, _FALSE) else kind, data, place)
        values.append(value)
        data[place - 1]  # Past the end: the length is false.
    return values, place


def _integer(data: bytes, place: int) -> tuple[int, int]:
    number, place = _varint(data, place)
    return (number >> 1) ^ -(number & 1), place


def _varint(data: bytes, place: int) -> tuple[int, int]:
    number, shift = 0, 0
    while (byte := data[place]) & 0x80:
        number, shift, place = number | (byte & 0x7F) << shift, shift + 7, place + 1
        if shift > 63:
            raise ValueError("its footer has a number of more than 64 bits")
    return number | byte << shift, place + 1
