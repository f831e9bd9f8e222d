"""Text files, plain or compressed."""

import glob
import gzip
import re
import shlex
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from jaxtyping import Int64

from segue.data.ingest.values import rows_where
from segue.errors import LogError

HEAD_LINES = 200
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZSTD_BLOCK = 128 << 10
"""Bytes that a compressed block of zstd can unpack to."""
_MARK = b"\xef\xbb\xbf"
_BLOCK = 1 << 20
_MOST_UNPACKED, _MOST_RATIO = 32 << 20, 50
"""A compressed file is refused if it unpacks to more bytes than this, and to more than this many times its size."""
_UNSUPPORTED = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save it as CSV",
    b"BZh": "compressed by bzip2; use gzip or zstd",
    b"\xfd7zXZ": "compressed by xz; use gzip or zstd",
    b"PAR1": "Parquet; give format='parquet', or leave format out",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}

POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What polars raises on damaged files; a panic of Rust is no ``Exception``."""

T = TypeVar("T")


class TextFile:
    """A text file in UTF-8, or else Latin-1; plain, gzip or zstd (detected from its first bytes).

    Lines end with LF, CR LF or CR. A byte order mark at the start of a line is dropped: joined files have several.

    Args:
        path: the file.

    Raises:
        LogError: it is empty, binary, or cannot be decompressed.
    """

    schema: Mapping[str, Any] | None = None
    """Types of the keys of JSON Lines; those that fit all values if None."""
    spans_lines: bool | None = None
    """Whether a record of delimited text may have quotes that only ``csv`` reads; looked for if None."""

    _source: Path | bytes

    def __init__(self, path: Path) -> None:
        self._open(path)
        if self._survey():
            self._source = self._rewritten()
        if not self.head:
            raise LogError(f"{self.path}: contains only blank lines; a log needs at least one event")

    def _open(self, path: Path) -> None:
        self.path = path
        self.notes: tuple[str, ...] = ()
        self._source = Path(glob.escape(str(path)))  # Else polars takes log[1].csv for log1.csv.
        self._first_bytes = read_first_bytes(path)
        self._check_first_bytes()
        self.has_quotes = False
        """Whether there is a double quote anywhere."""

    def parse(self, read: Callable[[Path | bytes], T]) -> T:
        """Parse the file with a polars reader; decode it first if it turns out not to be UTF-8.

        Raises:
            LogError: it cannot be decompressed, or is neither UTF-8 nor Latin-1.
            polars.exceptions.PolarsError: ``read`` rejects the content.
        """
        try:
            return read(self._source)
        except OSError as error:
            raise self._undecompressed(error) from error
        except pl.exceptions.ComputeError as error:
            if "utf" not in str(error).lower() or isinstance(self._source, bytes):
                raise
        self._source = self._from_latin_1()
        return read(self._source)

    @cached_property
    def head(self) -> list[str]:
        """The first lines that are not blank."""
        lines = self.parse(lambda source: pl.read_lines(source, n_rows=HEAD_LINES))["line"]
        return [line.removesuffix("\r") for line in lines if line.strip()]

    def lines(self) -> pl.Series:
        """Read all lines, including blank ones."""
        return self.parse(pl.read_lines)["line"].str.strip_suffix("\r")

    @property
    def is_gzip(self) -> bool:
        """Whether the file is compressed by gzip."""
        return self._first_bytes.startswith(_GZIP)

    @property
    def is_zstd(self) -> bool:
        """Whether the file is compressed by zstd."""
        return self._first_bytes.startswith(_ZSTD)

    def _survey(self) -> bool:
        """Look at every byte once; return whether lines begin or end in an unusual way."""
        has_mark = has_return = False
        for block in self._blocks():
            if b"\0" in block:
                raise LogError(f"{self.path}: is a binary file; save its rows as CSV or Parquet")
            self.has_quotes = self.has_quotes or b'"' in block
            has_mark = has_mark or _MARK in block
            has_return = has_return or (b"\r" in block and block.count(b"\r") != block.count(b"\r\n"))
        if has_return:
            self.notes += ("lines: some end with a carriage return (CR), which is read as the end of a line",)
        return has_mark or has_return

    def _rewritten(self) -> bytes:
        r"""Return the text with ``\n`` at the ends of lines, and without byte order marks at their starts."""
        raw = with_usual_lines(b"".join(self._blocks()))
        return raw if first_invalid(raw) is None else self._as_latin_1(raw)

    def _blocks(self) -> Iterator[bytes]:
        """Yield the decompressed bytes in blocks that do not end within a line end or a byte order mark."""
        if self.is_zstd:
            self._check_zstd()
            yield self.lines().str.join("\n").item().encode()
            return
        size = 0
        try:
            with gzip.open(self.path) if self.is_gzip else self.path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    for _ in range(len(_MARK)):
                        block += stream.read(1) if block[-1:] in b"\r" + _MARK else b""
                    size += len(block)
                    self._check_unpacked(size if self.is_gzip else 0)
                    yield block
        except (OSError, EOFError, zlib.error) as error:
            raise self._undecompressed(error) from error

    def _check_zstd(self) -> None:
        self._check_unpacked(zstd_size(self.path))

    def _check_unpacked(self, size: int) -> None:
        if size > max(_MOST_UNPACKED, _MOST_RATIO * self.path.stat().st_size):
            tool = "gunzip" if self.is_gzip else "unzstd"
            raise LogError(
                f"{self.path}: unpacks to more than {_MOST_RATIO} times its size, as files do that are made to fill "
                f"the memory; if it is a log, unpack it first: {tool} {shlex.quote(str(self.path))}"
            )

    def _undecompressed(self, error: Exception) -> LogError:
        """Return what to tell of a file that the system does not let read, or that is damaged."""
        if isinstance(error, OSError) and error.strerror:
            return LogError(f"{self.path}: cannot be read ({error.strerror}); check its name and permissions")
        return LogError(f"{self.path}: cannot be decompressed ({error}); it is damaged, get it again")

    def _check_first_bytes(self) -> None:
        for magic, what in _UNSUPPORTED.items():
            if self._first_bytes.startswith(magic):
                raise LogError(f"{self.path}: is {what}")
        if not self._first_bytes:
            raise LogError(f"{self.path}: is empty; a log needs at least one event")

    def _from_latin_1(self) -> bytes:
        if self.is_zstd:
            raise LogError(f"{self.path}: contains text that is not UTF-8; save it as UTF-8")
        return self._as_latin_1(b"".join(self._blocks()).removeprefix(_MARK))

    def _as_latin_1(self, raw: bytes) -> bytes:
        line = raw.count(b"\n", 0, first_invalid(raw) or 0) + 1
        self.notes += (latin_1_note(line),)
        return raw.decode("latin-1").encode()


def latin_1_note(line: int) -> str:
    """Say which line is not UTF-8."""
    return f"encoding: line {line:,} is not UTF-8, so the file is read as Latin-1"


def with_usual_lines(raw: bytes) -> bytes:
    r"""Return whole lines with ``\n`` at their ends, and without byte order marks at their starts."""
    raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return re.sub(rb"^(?:\xef\xbb\xbf)+", b"", raw, flags=re.MULTILINE)


def first_invalid(raw: bytes) -> int | None:
    """Return the position of the first byte that is not UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def zstd_size(path: Path) -> int:
    """Return the most bytes that the blocks of a zstd file can unpack to (RFC 8878)."""
    size = 0
    with path.open("rb") as stream:
        while (magic := stream.read(4)) and len(magic) == 4:
            if magic != _ZSTD:  # A skippable frame, or none.
                stream.seek(int.from_bytes(stream.read(4), "little"), 1)
                continue
            flags = int.from_bytes(stream.read(1), "little")
            single, checksum = bool(flags & 0x20), bool(flags & 0x04)
            stream.seek((0 if single else 1) + (0, 1, 2, 4)[flags & 3] + ((1 if single else 0), 2, 4, 8)[flags >> 6], 1)
            last = False
            while not last and len(head := stream.read(3)) == 3:
                number = int.from_bytes(head, "little")
                last, kind, length = bool(number & 1), number >> 1 & 3, number >> 3
                size += length if kind < 2 else _ZSTD_BLOCK  # Raw, and one repeated byte; else compressed.
                stream.seek(1 if kind == 1 else length, 1)
            stream.seek(4 if checksum else 0, 1)
    return size


def non_blank(lines: pl.Series) -> Int64[np.ndarray, "_"]:
    """Return the line numbers (from 1) of the lines that are not blank."""
    return rows_where(lines.str.strip_chars() != "") + 1


def read_first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises:
        LogError: it cannot be read, or not more than once.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise LogError(
                f"{path}: must be a file, which can be read more than once, got a pipe or a device; write the rows to "
                "a file first, for example: zcat log.csv.gz > log.csv (segue itself reads .gz and .zst files)"
            )
        with path.open("rb") as stream:
            return stream.read(1 << 16)
    except OSError as error:
        raise LogError(f"{path}: cannot be read ({error.strerror}); check its name and permissions") from error
