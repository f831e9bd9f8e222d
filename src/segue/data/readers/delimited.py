"""Rows of fields: CSV, TSV and their relatives."""

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import polars as pl

from segue.data.ingest.admit import Table, Wishes
from segue.data.ingest.columns import is_usual, listed
from segue.data.ingest.mistakes import SHOWN, Place, named_rows
from segue.data.readers.text import TextFile
from segue.errors import LogError

SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma", " ": "space"}

_VALUE = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?|\d{4}-\d\d-\d\d.*")


@dataclass(frozen=True)
class Delimited:
    """A text file seen as rows of fields.

    Attributes:
        file: the file.
        separator: the character between two fields.
        names: names of the columns.
        has_header: whether the first line holds the names.
        quoted: whether a field may stand in double quotes.
    """

    file: TextFile
    separator: str
    names: Sequence[str]
    has_header: bool
    quoted: bool = True

    def table(self) -> Table:
        """Read the rows, every value as text.

        Raises:
            LogError: lines do not have one field per column.
        """
        try:
            frame = self.file.parse(self._frame)
        except pl.exceptions.PolarsError as error:
            self._raise_ragged()
            reason = str(error).splitlines()[0]
            raise LogError(f"{self.file.path}: cannot be read as {self._kind} ({reason}); check its quotes") from error
        if self._may_be_short(frame):
            self._raise_ragged()
        place = Place(str(self.file.path), "line", self._locate)
        note = f"format: {self._kind}, {'with' if self.has_header else 'without'} a header"
        return Table(frame, place, notes=(*self.file.notes, note))

    @property
    def _kind(self) -> str:
        return f"fields separated by {SEPARATORS[self.separator]}"

    def _frame(self, source: Path | bytes) -> pl.DataFrame:
        """Read all lines alike; a header is cut off afterwards, so that it is held to the same number of fields."""
        frame = pl.read_csv(
            source,
            has_header=False,
            separator=self.separator,
            quote_char='"' if self.quoted else None,
            schema=dict.fromkeys(self.names, pl.String),
        )
        return frame[1:] if self.has_header else frame

    def _may_be_short(self, frame: pl.DataFrame) -> bool:
        """Whether a line seems to lack its last fields, which polars reads as null without a word."""
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
        """Walk the rows slowly: the line on which each starts (a quoted field may span lines), and its fields."""
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

    def _raise_ragged(self) -> None:
        """Name the first lines whose number of fields is not that of the columns, if there are any."""
        width = len(self.names)
        counted = ((line, len(fields)) for line, fields in self._records())
        found = list(
            islice(((line, count) for line, count in counted if count != width and (count or line == 1)), SHOWN)
        )
        if found:
            lines, counts = zip(*found, strict=True)
            more = " (and maybe more)" if len(found) == SHOWN else ""
            raise LogError(
                f"{self.file.path}: {named_rows('line', lines, len(lines))}{more}: must have {width} fields "
                f"({listed(self.names)}) separated by {SEPARATORS[self.separator]}, got "
                f"{', '.join(map(str, dict.fromkeys(counts)))}; correct the line, or give another format if all lines "
                "are like that"
            )


def read_delimited(file: TextFile, separator: str, wishes: Wishes, *, quoted: bool = True) -> Table:
    """Read rows of fields; the first line is a header if it holds a known name, or no number.

    Raises:
        LogError: the first line does not hold at least two fields, names are there twice, or lines are ragged.
    """
    cells = split(file.head[0], separator, quoted=quoted)
    if len(cells) < 2:
        raise LogError(
            f"{file.path}: line 1: must have several fields separated by {SEPARATORS[separator]}, "
            f"got {file.head[0][:60]!r}; leave format out to have the separator recognised"
        )
    has_header = is_header(cells, wishes.columns.values())
    names = header_names(cells, file.path) if has_header else [str(number) for number in range(1, len(cells) + 1)]
    return Delimited(file, separator, names, has_header, quoted).table()


def split(line: str, separator: str, *, quoted: bool = True) -> list[str]:
    """Split one line into its fields."""
    return next(csv.reader([line], delimiter=separator, quoting=_quoting(quoted)))


def _quoting(quoted: bool) -> Literal[0, 3]:
    return csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE


def is_header(cells: Sequence[str], wanted: Collection[str]) -> bool:
    """Whether fields are names of columns rather than values."""
    names = {name for name in wanted if not name.isdigit()}
    known = any(is_usual(cell) or cell.strip() in names for cell in cells)
    return known or not any(_VALUE.fullmatch(cell.strip()) for cell in cells)


def header_names(cells: Sequence[str], path: Path) -> list[str]:
    """Return the names of a header; a column without one is called by its number.

    Raises:
        LogError: a name is there twice.
    """
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1}, key=names.index)
    if twice:
        raise LogError(
            f"{path}: line 1: columns must have different names, {listed(twice)} "
            f"{'are' if len(twice) > 1 else 'is'} there more than once; rename or remove the others"
        )
    return names
