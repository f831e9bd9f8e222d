"""Delimited text: CSV, TSV and the like, and RecBole's atomic files."""

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import polars as pl

from segue.data.ingest.columns import is_alias, quoted
from segue.data.ingest.problems import MAX_SHOWN, Source, format_rows
from segue.data.ingest.tables import RawTable, ReadOptions
from segue.data.readers.text import TextFile
from segue.errors import LogError

SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma", " ": "space"}

RECBOLE_TYPES = {"token": "category", "token_seq": "category", "float": "number", "float_seq": "numbers"}
"""RecBole's column types -> ours. A sequence of tokens stays one text, so that a title remains readable."""

_VALUE = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?|\d{4}-\d\d-\d\d.*")


@dataclass(frozen=True)
class DelimitedFile:
    """A delimited text file.

    Attributes:
        file: the file.
        separator: the character between two fields.
        names: column names.
        has_header: whether the first line holds the names.
        quoted: whether a field may be enclosed in double quotes.
    """

    file: TextFile
    separator: str
    names: Sequence[str]
    has_header: bool
    quoted: bool = True

    def read(self) -> RawTable:
        """Read the rows, every value as text.

        Raises:
            LogError: a line does not have one field per column.
        """
        kind = f"fields separated by {SEPARATORS[self.separator]}"
        try:
            frame = self.file.parse(self._read_frame)
        except pl.exceptions.PolarsError as error:
            self._check_widths()
            reason = str(error).splitlines()[0]
            raise LogError(f"{self.file.path}: cannot be read as {kind} ({reason}); check its quotes") from error
        if self._may_have_short_lines(frame):
            self._check_widths()
        source = Source(str(self.file.path), "line", self._locate)
        note = f"format: {kind}, {'with' if self.has_header else 'without'} a header"
        return RawTable(frame, source, notes=(*self.file.notes, note))

    def _read_frame(self, source: Path | bytes) -> pl.DataFrame:
        """Read all lines, the header as a row that is dropped afterwards, so that its number of fields is checked."""
        frame = pl.read_csv(
            source,
            has_header=False,
            separator=self.separator,
            quote_char='"' if self.quoted else None,
            schema=dict.fromkeys(self.names, pl.String),
        )
        return frame[1:] if self.has_header else frame

    def _may_have_short_lines(self, frame: pl.DataFrame) -> bool:
        """Whether a line may lack its last fields, which polars silently reads as null."""
        last = frame[self.names[-1]]
        if not last.null_count():
            return False
        line = pl.col("line").str.strip_suffix("\r")
        unfinished = ((line != "") & ~line.str.ends_with(self.separator)).sum()
        count = self.file.parse(
            lambda source: pl.scan_lines(source).slice(self.has_header).select(unfinished).collect()
        )
        return int(count.item()) > len(last) - last.null_count()

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the first line (a quoted field may span lines) and the fields of each record, slowly."""
        records = csv.reader(self.file.lines(), delimiter=self.separator, quoting=_quoting(self.quoted))
        start = 1
        try:
            for fields in records:
                yield start, fields
                start = records.line_num + 1
        except csv.Error as error:
            raise LogError(f"{self.file.path}: line {start}: cannot be read ({error}); check its quotes") from error

    def _locate(self, rows: Sequence[int]) -> list[int]:
        wanted = {row + self.has_header for row in rows}
        records = islice(self._records(), max(wanted) + 1)
        return [line for record, (line, _) in enumerate(records) if record in wanted]

    def _check_widths(self) -> None:
        """Report the first lines whose number of fields differs from that of the columns, if there are any."""
        width = len(self.names)
        counted = ((line, len(fields)) for line, fields in self._records())
        wrong = ((line, count) for line, count in counted if count != width and (count or line == 1))
        found = list(islice(wrong, MAX_SHOWN))
        if found:
            lines, counts = zip(*found, strict=True)
            more = " (and maybe more)" if len(found) == MAX_SHOWN else ""
            raise LogError(
                f"{self.file.path}: {format_rows('line', lines, len(lines))}{more}: must have {width} fields "
                f"({quoted(self.names)}) separated by {SEPARATORS[self.separator]}, got "
                f"{', '.join(map(str, dict.fromkeys(counts)))}; correct the line, or give another format if all lines "
                "are like that"
            )


def read_delimited(file: TextFile, options: ReadOptions, separator: str) -> RawTable:
    """Read delimited text; the first line is a header if it contains a known name, or no number.

    Raises:
        LogError: the first line does not have at least two fields, a name is repeated, or lines differ in their number
            of fields.
    """
    cells = split_fields(file.head[0], separator)
    if len(cells) < 2:
        raise LogError(
            f"{file.path}: line 1: must have several fields separated by {SEPARATORS[separator]}, "
            f"got {file.head[0][:60]!r}; leave format out to have the separator detected"
        )
    has_header = is_header(cells, options.columns.values())
    names = header_names(cells, file.path) if has_header else [str(number) for number in range(1, len(cells) + 1)]
    return DelimitedFile(file, separator, names, has_header).read()


def read_recbole(file: TextFile, options: ReadOptions) -> RawTable:
    """Read an atomic file of RecBole: tab-separated, with the type of each column in the header.

    Raises:
        LogError: the header has no types, a name is repeated, or lines differ in their number of fields.
    """
    if not is_recbole_header(file.head[0]):
        raise LogError(
            f"{file.path}: line 1: must be names with types such as user_id:token (types {', '.join(RECBOLE_TYPES)}) "
            f"separated by tabs, got {file.head[0][:60]!r}; leave format out if it is not a RecBole file"
        )
    cells = split_fields(file.head[0], "\t", quoted=False)
    names = header_names([cell.rpartition(":")[0] for cell in cells], file.path)
    types = {name: RECBOLE_TYPES[cell.rpartition(":")[2]] for name, cell in zip(names, cells, strict=True)}
    table = DelimitedFile(file, "\t", names, has_header=True, quoted=False).read()
    return replace(table, types=types, notes=(*file.notes, "format: RecBole atomic file"))


def is_recbole_header(line: str) -> bool:
    """Whether a line is a header such as ``user_id:token<tab>item_id:token``."""
    cells = split_fields(line, "\t", quoted=False)
    return all(cell.rpartition(":")[2] in RECBOLE_TYPES and ":" in cell for cell in cells)


def split_fields(line: str, separator: str, *, quoted: bool = True) -> list[str]:
    """Split a line into its fields."""
    return next(csv.reader([line], delimiter=separator, quoting=_quoting(quoted)))


def _quoting(quoted: bool) -> Literal[0, 3]:
    return csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE


def is_header(cells: Sequence[str], wanted: Collection[str]) -> bool:
    """Whether fields are column names rather than values."""
    names = {name for name in wanted if not name.isdigit()}
    known = any(is_alias(cell) or cell.strip() in names for cell in cells)
    return known or not any(_VALUE.fullmatch(cell.strip()) for cell in cells)


def header_names(cells: Sequence[str], path: Path) -> list[str]:
    """Return the names of a header; a column without a name is called by its number.

    Raises:
        LogError: a name is repeated.
    """
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, start=1)]
    if repeated := sorted({name for name in names if names.count(name) > 1}, key=names.index):
        raise LogError(
            f"{path}: line 1: columns must have different names, got {quoted(repeated)} more than once; "
            "rename or remove the others"
        )
    return names
