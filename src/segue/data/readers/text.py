"""Text files, plain or compressed."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from jaxtyping import Int64

from segue.data.ingest.values import rows_where
from segue.errors import LogError

_HEAD_LINES = 200
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_MARK = b"\xef\xbb\xbf"
_BLOCK = 1 << 20
_UNSUPPORTED = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save it as CSV",
    b"BZh": "compressed by bzip2; use gzip or zstd",
    b"\xfd7zXZ": "compressed by xz; use gzip or zstd",
    b"PAR1": "Parquet; leave format out, or give format='parquet'",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}

T = TypeVar("T")


class TextFile:
    """A text file in UTF-8, or else Latin-1; plain, gzip or zstd (detected from its first bytes).

    Lines end with LF, CR LF or CR. A byte order mark at the start of a line is dropped: joined files have several.

    Args:
        path: the file.

    Raises:
        LogError: it is empty, binary, or cannot be decompressed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: tuple[str, ...] = ()
        self._source: Path | bytes = path
        self._first_bytes = _read_first_bytes(path)
        self._check_first_bytes()
        self.has_quotes = False
        """Whether there is a double quote anywhere."""
        self._survey()
        if not self.head:
            raise LogError(f"{self.path}: contains only blank lines; a log needs at least one event")

    def parse(self, read: Callable[[Path | bytes], T]) -> T:
        """Parse the file with a polars reader; decode it first if it turns out not to be UTF-8.

        Raises:
            LogError: it cannot be decompressed, or is neither UTF-8 nor Latin-1.
            polars.exceptions.PolarsError: ``read`` rejects the content.
        """
        try:
            return read(self._source)
        except OSError as error:
            raise LogError(f"{self.path}: cannot be decompressed ({error}); it is damaged, get it again") from error
        except pl.exceptions.ComputeError as error:
            if "utf" not in str(error).lower() or isinstance(self._source, bytes):
                raise
        self._source = self._from_latin_1()
        return read(self._source)

    @cached_property
    def head(self) -> list[str]:
        """The first lines that are not blank."""
        lines = self.parse(lambda source: pl.read_lines(source, n_rows=_HEAD_LINES))["line"]
        return [line.removesuffix("\r") for line in lines if line.strip()]

    def lines(self) -> pl.Series:
        """Read all lines, including blank ones."""
        return self.parse(pl.read_lines)["line"].str.strip_suffix("\r")

    def _survey(self) -> None:
        """Look at every byte once; rewrite the lines in memory where they begin or end in an unusual way."""
        has_mark = has_return = False
        for block in self._blocks():
            if b"\0" in block:
                raise LogError(f"{self.path}: is a binary file; save its rows as CSV or Parquet")
            self.has_quotes = self.has_quotes or b'"' in block
            has_mark = has_mark or _MARK in block
            has_return = has_return or (b"\r" in block and block.count(b"\r") != block.count(b"\r\n"))
        if not has_mark and not has_return:
            return
        lines = self.lines()
        if has_return:
            lines = lines.str.replace_all("\r", "\n", literal=True)
            self.notes += ("lines: some end with a carriage return (CR), which is read as the end of a line",)
        text = "\n".join(lines.to_list())
        self._source = re.sub(r"^\ufeff+", "", text, flags=re.MULTILINE).encode()

    def _blocks(self) -> Iterator[bytes]:
        """Yield the decompressed bytes in blocks that do not end within a line end or a byte order mark."""
        if self._first_bytes.startswith(_ZSTD):
            yield "\n".join(self.lines().to_list()).encode()
            return
        try:
            with gzip.open(self.path) if self._first_bytes.startswith(_GZIP) else self.path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    yield block + stream.readline() if block[-1:] in b"\r" + _MARK else block
        except (OSError, EOFError, zlib.error) as error:
            raise LogError(f"{self.path}: cannot be decompressed ({error}); it is damaged, get it again") from error

    def _check_first_bytes(self) -> None:
        for magic, what in _UNSUPPORTED.items():
            if self._first_bytes.startswith(magic):
                raise LogError(f"{self.path}: is {what}")
        if not self._first_bytes:
            raise LogError(f"{self.path}: is empty; a log needs at least one event")

    def _from_latin_1(self) -> bytes:
        if self._first_bytes.startswith(_ZSTD):
            raise LogError(f"{self.path}: contains text that is not UTF-8; save it as UTF-8")
        raw = self.path.read_bytes()
        raw = (gzip.decompress(raw) if raw.startswith(_GZIP) else raw).removeprefix(_MARK)
        line = raw.count(b"\n", 0, _first_invalid(raw)) + 1
        self.notes += (f"encoding: line {line:,} is not UTF-8, so the file is read as Latin-1",)
        return raw.decode("latin-1").encode()


def _first_invalid(raw: bytes) -> int:
    """Return the position of the first byte that is not UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def non_blank(lines: pl.Series) -> Int64[np.ndarray, "_"]:
    """Return the line numbers (from 1) of the lines that are not blank."""
    return rows_where(lines.str.strip_chars() != "") + 1


def _read_first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(1 << 16)
    except OSError as error:
        raise LogError(f"{path}: cannot be read ({error.strerror}); check its name and permissions") from error
