"""A large text file in blocks of whole rows, each of which the reader of its format reads like a small file.

What a reader decides by looking at the whole file is decided once and handed to the blocks: the encoding, the ends of
lines, whether there are quotes, and the first lines, by which formats and headers are recognised.
"""

import csv
import glob
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from segue.data.partitions import Result
from segue.data.readers.delimited import has_unusual_quotes
from segue.data.readers.text import (
    HEAD_LINES,
    POLARS_ERRORS,
    TextFile,
    first_invalid,
    latin_1_note,
    with_usual_lines,
)
from segue.errors import LogError
from segue.storage import make_folder, replacing_file


class WholeLogError(LogError):
    """A log that cannot be read in pieces; reading it as a whole says what is wrong, if anything."""


class TextBlock(TextFile):
    """Some lines of a text file.

    Args:
        text: what ``unpack`` found in the file, and what has been decided since: ``has_header`` and ``spans_lines``.
        start: position of its first byte in the unpacked file.
        stop: position after its last byte.
        schema: types of the keys of JSON Lines.
    """

    def __init__(self, text: dict[str, Any], start: int, stop: int, schema: pl.DataFrame | None = None) -> None:
        self.path = Path(text["path"])
        self.notes = tuple(text["notes"])
        self.has_quotes = text["has_quotes"]
        self.spans_lines = text.get("spans_lines")
        self.schema = None if schema is None else schema.schema
        self.head = text["head"]
        with Path(text["file"]).open("rb") as stream:
            header = stream.readline() if start and text.get("has_header") else b""
            stream.seek(start)
            self._source = header + stream.read(stop - start)


def unpack(path: Path, target: Path) -> Result:
    """Look at a text file, and write it to ``target`` if it is compressed, not in UTF-8, or its lines are unusual.

    Returns:
        What ``TextBlock`` needs: the path, the unpacked file, notes, whether there are quotes, and the first lines; and
        whether there is a blank line before them.

    Raises:
        LogError: the file is binary, damaged, or begins with blank lines only.
    """
    make_folder(target.parent)
    packed = _WholeText(path)
    text = packed if packed.copy_unpacked(target) is None else _WholeText(target)
    file = text.rewrite(target) or text.path
    lines = pl.read_lines(_literal(file), n_rows=HEAD_LINES)["line"].str.strip_suffix("\r").to_list()
    head = [line for line in lines if line.strip()]
    if not head:
        raise WholeLogError(f"{path}: begins with blank lines only")
    return {
        "path": str(path),
        "file": str(file),
        "notes": list(text.notes),
        "has_quotes": text.has_quotes,
        "head": head,
        "begins_blank": not lines[0].strip(),
    }


class _WholeText(TextFile):
    """A text file as a stream of bytes.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._open(path)

    def copy_unpacked(self, target: Path) -> Path | None:
        """Write the decompressed content to a file; None if it is not compressed."""
        if self.is_zstd:
            self._check_zstd()
            with replacing_file(target) as scratch:
                lines = pl.scan_lines(self._source)
                try:
                    lines.sink_csv(scratch, include_header=False, quote_style="never")
                except (*POLARS_ERRORS, OSError):
                    self._check_content()
                    raise
            return target
        if not self.is_gzip:
            return None
        with replacing_file(target) as scratch, scratch.open("wb") as stream:
            stream.writelines(self._blocks())
        return target

    def _check_content(self) -> None:
        """Read everything and write nothing, to tell a damaged file from a full disk.

        Raises:
            LogError: the file is damaged.
        """
        size = pl.col("line").str.len_bytes().sum()
        try:
            self.parse(lambda source: pl.scan_lines(source).select(size).collect(engine="streaming"))
        except POLARS_ERRORS as error:
            raise WholeLogError(f"{self.path}: {error}") from error

    def rewrite(self, target: Path) -> Path | None:
        """Write the text in UTF-8 with usual lines to a file; None if it is so already."""
        is_unusual = self._survey()
        is_utf_8 = all(first_invalid(lines) is None for lines in _whole_lines(self._blocks()))
        if is_utf_8 and not is_unusual:
            return None
        count = 0
        with replacing_file(target) as scratch, scratch.open("wb") as stream:
            for raw in _whole_lines(self._blocks()):
                lines = with_usual_lines(raw) if is_unusual else raw
                if not is_utf_8 and count >= 0:
                    place = first_invalid(lines)
                    count += lines.count(b"\n", 0, place)
                    if place is not None:
                        self.notes += (latin_1_note(count + 1),)
                        count = -1
                stream.write(lines if is_utf_8 else lines.decode("latin-1").encode())
        return target


def _whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file in blocks of whole lines."""
    rest: list[bytes] = []
    for block in blocks:
        end = max(block.rfind(b"\n"), block.rfind(b"\r", 0, len(block) - 1)) + 1
        if end:
            yield b"".join([*rest, block[:end]])
            rest = []
        rest.append(block[end:])
    if any(rest):
        yield b"".join(rest)


def _literal(file: Path) -> Path:
    return Path(glob.escape(str(file)))


def cut_lines(file: Path, size: int) -> list[int]:
    """Return where blocks of about ``size`` bytes begin, and the end of the file; none begins with a blank line."""
    end = file.stat().st_size
    cuts = [0]
    with file.open("rb") as stream:
        while cuts[-1] + size < end:
            stream.seek(cuts[-1] + size)
            stream.readline()
            place = stream.tell()
            while (line := stream.readline()) and not line.strip():
                place = stream.tell()
            if place >= end:
                break
            cuts.append(place)
    return [*cuts, end]


def cut_records(file: Path, separator: str, size: int) -> Result:
    """Return the same between records of delimited text, whose fields may contain ends of lines; slowly.

    Raises:
        WholeLogError: the text is not valid.
    """
    cuts, place = [0], 0

    def lines() -> Iterator[str]:
        nonlocal place
        with file.open("rb") as stream:
            for line in stream:
                place += len(line)
                yield line.decode().removesuffix("\n").removesuffix("\r") + "\n"

    try:
        for _ in csv.reader(lines(), delimiter=separator):
            if place - cuts[-1] >= size:
                cuts.append(place)
    except csv.Error as error:
        raise WholeLogError(f"{file}: {error}") from error
    end = file.stat().st_size
    return {"cuts": [*(cut for cut in cuts if cut < end), end]}


def has_unusual_block(text: dict[str, Any], start: int, stop: int, separator: str) -> Result:
    """Tell whether a block contains quotes that only ``csv`` reads."""
    return {"found": has_unusual_quotes(TextBlock(text, start, stop), separator)}


def key_types(file: Path) -> Result:
    """Return the types of the keys of JSON Lines, as a table without rows.

    Raises:
        WholeLogError: a line is not valid.
    """
    try:
        schema = pl.scan_ndjson(_literal(file), infer_schema_length=None).collect_schema()
    except POLARS_ERRORS as error:
        raise WholeLogError(f"{file}: {error}") from error
    return {"schema": pl.DataFrame(schema=schema)}
