"""The memory that a Parquet file takes, which is known before it is decoded.

A few bytes of such a file may decode to any size. Its footer says how many, but whoever wrote the file wrote the
footer, too; what a reader allocates is in the headers of the pages. Both are Thrift structures in the compact protocol.

Source: the specification of Apache Parquet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from segue.memory import available_memory

_FREE_BYTES, _BYTES_PER_STORED_BYTE = 128 << 20, 4
"""A table of a folder of segue may take this much memory, and the second number times the size of the folder."""


def require_memory(file: Path, folder_size: int, *, by_column: bool = False) -> None:
    """Refuse a Parquet file of a folder of segue that would take far more memory than the folder takes on the disk.

    Args:
        file: the file.
        folder_size: bytes of all files of the folder.
        by_column: whether the columns are read one by one, so that none of them may take too much.

    Raises:
        OSError: the file cannot be read.
        ValueError: it takes more, more than is available, or it is damaged.
    """
    columns = column_memory(file, by_polars=True)
    needed = max(columns, default=0) if by_column else sum(columns)
    limit = min(_FREE_BYTES + _BYTES_PER_STORED_BYTE * folder_size, available_memory())
    if needed > limit:
        raise ValueError(f"it would take {needed >> 20:,} MiB of memory, more than {limit >> 20:,} MiB")


def column_memory(file: Path, *, by_polars: bool) -> list[int]:
    """Return how many bytes of memory each column takes while it is decoded; columns of structures count by part.

    Args:
        file: the file.
        by_polars: whether polars wrote the file: an encoding that it does not use is refused. Encodings of others can
            repeat text without saying how often.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no Parquet file, or damaged.
    """
    with file.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
        size = int.from_bytes(data[-8:-4], "little")
        if data[-4:] != b"PAR1" or size > len(data) - 8:
            raise ValueError("it does not end with a footer of Parquet")
        try:
            return _column_memory(_Reader(data, len(data) - 8 - size), by_polars)
        except (AttributeError, IndexError, KeyError, TypeError, RecursionError) as error:
            raise ValueError("its footer or a page is damaged") from error


def _column_memory(reader: "_Reader", by_polars: bool) -> list[int]:
    footer = reader.struct()
    widths = list(_widths(footer[_SCHEMA]))
    groups = footer[_ROW_GROUPS]
    chunks = [[column[_COLUMN_CHUNK] for column in group[_COLUMNS]] for group in groups]
    if sum(_count(chunk, _COMPRESSED) for group in chunks for chunk in group) > len(reader.data):
        raise ValueError("its columns overlap")
    memory = [_count(footer, _ROWS) * width for width in widths]
    sums = [0] * len(widths)
    for group, columns in zip(groups, chunks, strict=True):
        for place, (width, chunk) in enumerate(zip(widths, columns, strict=True)):
            pages = list(_pages(reader, chunk, by_polars))
            values = max(_count(group, _ROWS), _count(chunk, _VALUES), sum(page.values for page in pages))
            decompressed = max(_count(chunk, _UNCOMPRESSED), sum(page.size for page in pages))
            sums[place] += decompressed + width * values
    return [max(pair) for pair in zip(memory, sums, strict=True)]


_SCHEMA, _ROWS, _ROW_GROUPS = 2, 3, 4
"""Fields of the footer; a row group has its number of rows in the same field."""
_COLUMNS, _COLUMN_CHUNK, _VALUES, _UNCOMPRESSED, _COMPRESSED, _DATA, _DICTIONARY = 1, 3, 5, 6, 7, 9, 11
"""Fields of a row group, a column in it and its metadata: its values, bytes, and the places of its pages."""
_TYPE, _LENGTH, _REPETITION, _CHILDREN, _REPEATED = 1, 2, 3, 5, 2
"""Fields of an element of the schema, and the repetition of a list."""
_PAGE_SIZE, _STORED_SIZE = 2, 3
_PAGE_KINDS = {5: 2, 7: 2, 8: 4}
"""Fields of the header of a page: two sizes, and the header of its kind, with the field of its encoding; the number of
values is the first field of each."""
_PAGE_VALUES = 1

_BYTE_ARRAY, _FIXED_ARRAY = 6, 7
_NUMBER_BYTES, _TEXT_BYTES, _LIST_BYTES = 8, 16, 8
"""Memory of a number, of a text besides its letters, and of the place of a value in a list."""

_ENCODINGS = (0, 3, 8)
"""Encodings of polars: plain, runs, and a dictionary."""


def _widths(schema: list[dict[int, Any]]) -> Iterator[int]:
    """Yield the memory of a value of each column: the leaves of the schema, which lists every node before its parts."""
    nodes: list[tuple[int, int]] = []  # Parts still to come and number of lists, of each node above.
    for element in schema[1:]:
        while nodes and not nodes[-1][0]:
            nodes.pop()
        parts, depth = nodes.pop() if nodes else (0, 0)
        if parts:
            nodes.append((parts - 1, depth))
        depth += element.get(_REPETITION) == _REPEATED
        if element.get(_CHILDREN):
            nodes.append((_count(element, _CHILDREN), depth))
            continue
        kind = element[_TYPE]
        width = _TEXT_BYTES if kind == _BYTE_ARRAY else _NUMBER_BYTES
        width = max(_TEXT_BYTES, _count(element, _LENGTH)) if kind == _FIXED_ARRAY else width
        yield width + _LIST_BYTES * depth


@dataclass(frozen=True)
class _Page:
    """Bytes of a page once it is decompressed, and its values."""

    size: int
    values: int


def _pages(reader: "_Reader", chunk: dict[int, Any], by_polars: bool) -> Iterator[_Page]:
    """Yield the pages of a column in a row group."""
    reader.place = _count(chunk, _DICTIONARY if chunk.get(_DICTIONARY) else _DATA)
    end = reader.place + _count(chunk, _COMPRESSED)
    while reader.place < end:
        header = reader.struct()
        values = 0
        for kind, encoding in _PAGE_KINDS.items():
            if kind in header:
                values += _count(header[kind], _PAGE_VALUES, bits=31)
                if by_polars and header[kind][encoding] not in _ENCODINGS:
                    raise ValueError(f"it has a page of encoding {header[kind][encoding]}, which segue does not write")
        yield _Page(_count(header, _PAGE_SIZE, bits=31), values)
        reader.place += _count(header, _STORED_SIZE, bits=31)


def _count(fields: dict[int, Any], number: int, bits: int = 63) -> int:
    count = fields[number]
    if not isinstance(count, int) or not 0 <= count < 1 << bits:
        raise ValueError(f"it has a size of {count}")
    return count


_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
"""Types of fields in Thrift's compact protocol."""

_FREE_VALUES, _BYTES_PER_VALUE = 500_000, 32
"""A file may have this many values in its footer and the headers of its pages, and one in this many bytes: each takes
more memory than bytes of the file."""


class _Reader:
    """Reads Thrift structures.

    Args:
        data: the file.
        place: where to read next.
    """

    def __init__(self, data: mmap, place: int) -> None:
        self.data = data
        self.place = place
        self._values_left = _FREE_VALUES + len(data) // _BYTES_PER_VALUE

    def struct(self) -> dict[int, Any]:
        """Return the fields of a structure by number; text is None."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            fields[number] = self._value(head & 15)
        return fields

    def _value(self, kind: int) -> Any:
        self._values_left -= 1
        if self._values_left < 0:
            raise ValueError("it has too many columns, row groups or pages for its size")
        if kind in _INTEGERS:
            return self._integer()
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self._byte()
        if kind in (_DOUBLE, _BINARY):
            length = 8 if kind == _DOUBLE else self._varint()
            self.place += length
            return None
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            return self._list()
        raise ValueError(f"it has a field of type {kind}")

    def _list(self) -> list[Any]:
        head = self._byte()
        length, kind = head >> 4, head & 15
        length = self._varint() if length == 15 else length
        return [self._value(_BYTE if kind in (_TRUE, _FALSE) else kind) for _ in range(length)]

    def _integer(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _varint(self) -> int:
        byte = self._byte()
        number, shift = byte & 0x7F, 7
        while byte & 0x80:
            if shift > 63:
                raise ValueError("it has a number of more than 64 bits")
            byte = self._byte()
            number, shift = number | (byte & 0x7F) << shift, shift + 7
        return number

    def _byte(self) -> int:
        byte = self.data[self.place]
        self.place += 1
        return byte
