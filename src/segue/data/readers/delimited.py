"""Delimited text: CSV, TSV and the like, and RecBole's atomic files."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from segue.data.ingest.columns import is_alias, quoted
from segue.data.ingest.options import ReadOptions
from segue.data.ingest.problems import MAX_SHOWN, Source, format_rows
from segue.data.ingest.tables import RawTable
from segue.data.readers.text import POLARS_ERRORS, TextFile
from segue.data.reading import Quoting
from segue.errors import LogError

csv.field_size_limit(1 << 30)  # Python refuses fields of more than 128 KB by default; the lines are in memory anyway.

SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma", " ": "space"}

_PLAIN_QUOTES = "if quotes are plain text, add --quoting none (in Python quoting='none')"

RECBOLE_TYPES = {"token": "category", "token_seq": "category", "float": "number", "float_seq": "numbers"}
"""RecBole's column types -> ours. A sequence of tokens stays one text, so that a title remains readable."""


@dataclass(frozen=True)
class DelimitedFile:
    """A delimited text file, whose fields may be enclosed in double quotes as Python's ``csv`` module reads them.

    Attributes:
        file: the file.
        separator: the character between two fields.
        names: column names.
        header: the fields of the first line if they are the names, else None.
        quoting: ``"double"``; ``"none"`` if quotes are plain text, so that each line is one row; ``"auto"`` is
            ``"double"``, but refuses a quoted field that contains whole rows.
    """

    file: TextFile
    separator: str
    names: Sequence[str]
    header: Sequence[str] | None
    quoting: Quoting = "auto"

    def read(self) -> RawTable:
        """Read the rows, every value as text.

        Raises:
            LogError: a line does not have one field per column, repeats the header, or has a quote that is not closed.
        """
        kind = f"fields separated by {SEPARATORS[self.separator]}"
        source = Source(str(self.file.path), "line", self._locate)
        frame = self._read_records() if self._needs_csv() else self._read_lines(kind)
        if self.header is not None:
            self._check_header(frame, source)
            frame = frame[1:]
        note = f"format: {kind}, {'without' if self.header is None else 'with'} a header"
        return RawTable(frame, source, notes=(*self.file.notes, note))

    @property
    def _quoted(self) -> bool:
        return self.quoting != "none" and self.file.has_quotes

    def _needs_csv(self) -> bool:
        if not self._quoted:
            return False
        return has_unusual_quotes(self.file, self.separator) if self.file.spans_lines is None else self.file.spans_lines

    def _read_lines(self, kind: str) -> pl.DataFrame:
        """Read rows of one line each, with the header as a row, so that its number of fields is checked."""
        schema = dict.fromkeys(self.names, pl.String)
        quote = '"' if self._quoted else None
        try:
            frame = self.file.parse(
                lambda source: pl.read_csv(
                    source, has_header=False, separator=self.separator, quote_char=quote, schema=schema
                )
            )
        except POLARS_ERRORS as error:
            self._check_widths()
            reason = str(error).splitlines()[0]
            raise LogError(f"{self.file.path}: cannot be read as {kind} ({reason})") from error
        if self._may_have_short_lines(frame):
            self._check_widths()
        return frame

    def _read_records(self) -> pl.DataFrame:
        """Read rows of any number of lines, slowly."""
        self._check_widths()
        blank = [None] * len(self.names)
        rows = [[field or None for field in fields] or blank for _, _, fields in self._records()]
        return pl.DataFrame(rows, schema=dict.fromkeys(self.names, pl.String), orient="row")

    def _may_have_short_lines(self, frame: pl.DataFrame) -> bool:
        """Whether a line may lack its last fields, which polars silently reads as null."""
        last = frame[self.names[-1]]
        if not last.null_count():
            return False
        line = pl.col("line").str.strip_suffix("\r")
        unfinished = ((line != "") & ~line.str.ends_with(self.separator)).sum()
        count = self.file.parse(lambda source: pl.scan_lines(source).select(unfinished).collect())
        return int(count.item()) > len(last) - last.null_count()

    def _records(self) -> Iterator[tuple[int, int, list[str]]]:
        """Yield the first line, the last line and the fields of each record, slowly."""
        lines = self.file.lines()
        records = csv.reader((f"{line}\n" for line in lines), delimiter=self.separator, quoting=_csv(self._quoted))
        start = 1
        try:
            for fields in records:
                end = records.line_num
                if end > start:
                    self._check_span(lines[start - 1 : end].to_list(), start)
                yield start, end, fields
                start = end + 1
        except csv.Error as error:
            raise LogError(f"{self.file.path}: line {start}: cannot be read ({error}); {_PLAIN_QUOTES}") from error

    def _check_span(self, lines: Sequence[str], start: int) -> None:
        """Refuse a quoted field that is never closed, or that contains lines which are rows themselves.

        Args:
            lines: the lines of one record.
            start: number of the first.
        """
        end = start + len(lines) - 1
        if not re.search(rf'"({re.escape(self.separator)}|$)', lines[-1]):
            raise LogError(f"{self.file.path}: line {start}: a quote opens here and is never closed; {_PLAIN_QUOTES}")
        if self.quoting == "auto" and all(self._is_row(line) for line in lines):
            raise LogError(
                f"{self.file.path}: lines {start} to {end}: a quote opens on line {start} and closes on line {end}, "
                f"but each of these lines is a row of {len(self.names)} fields by itself; {_PLAIN_QUOTES}, or "
                "--quoting double if the field does contain all these lines"
            )

    def _is_row(self, line: str) -> bool:
        widths = {len(split_fields(line, self.separator, quoted=quoted)) for quoted in (False, True)}
        return len(self.names) in widths

    def _locate(self, rows: Sequence[int]) -> list[int]:
        wanted = {row + (self.header is not None) for row in rows}
        records = islice(self._records(), max(wanted) + 1)
        return [line for record, (line, _, _) in enumerate(records) if record in wanted]

    def _check_header(self, frame: pl.DataFrame, source: Source) -> None:
        """Refuse lines that repeat the header."""
        assert self.header is not None
        found = np.arange(1, len(frame))
        for name, cell in zip(self.names, self.header, strict=True):
            if len(found) and cell.strip():
                equal = frame[name].gather(found).str.strip_chars() == cell.strip()
                found = found[equal.fill_null(False).to_numpy()]
        if len(found):
            found -= 1
            raise LogError(
                f"{self.file.path}: {source.describe_rows(found)}: repeats the header, as joined files do; remove it"
            )

    def _check_widths(self) -> None:
        """Report the first lines whose number of fields differs from that of the columns, if there are any."""
        width = len(self.names)
        counted = ((line, len(fields)) for line, _, fields in self._records())
        wrong = ((line, count) for line, count in counted if count != width and (count or line == 1))
        found = list(islice(wrong, MAX_SHOWN))
        if found:
            lines, counts = zip(*found, strict=True)
            more = " (and maybe more)" if len(found) == MAX_SHOWN else ""
            quotes = "; if quotes are plain text, add --quoting none" if self._quoted else ""
            raise LogError(
                f"{self.file.path}: {format_rows('line', lines, len(lines))}{more}: must have {width} fields "
                f"({quoted(self.names)}) separated by {SEPARATORS[self.separator]}, got "
                f"{', '.join(map(str, dict.fromkeys(counts)))}; correct the line, or give another format if all lines "
                f"are like that{quotes}"
            )


def has_unusual_quotes(file: TextFile, separator: str) -> bool:
    """Whether a quote is not simply at both ends of a field on one line, which is all that polars reads."""
    field = rf'(?:"(?:[^"]|"")*"|[^"{re.escape(separator)}]*)'
    simple = rf"^{field}(?:{re.escape(separator)}{field})*\r?$"
    lines = pl.col("line")
    unusual = lines.str.contains('"', literal=True) & ~lines.str.contains(simple)
    return bool(file.parse(lambda source: pl.scan_lines(source).select(unusual.any()).collect()).item())


def read_delimited(file: TextFile, options: ReadOptions, separator: str) -> RawTable:
    """Read delimited text; the first line is a header if it contains a known name, or no number.

    Raises:
        LogError: the first line does not have at least two fields, a name is repeated, or lines differ in their number
            of fields.
    """
    cells = split_fields(file.head[0], separator, quoted=options.quotes != "none")
    if len(cells) < 2:
        raise LogError(
            f"{file.path}: line 1: must have several fields separated by {SEPARATORS[separator]}, "
            f"got {file.head[0][:60]!r}; give another format, or leave format out to have it detected"
        )
    header = cells if has_header(file, options, separator) else None
    names = header_names(cells, file.path) if header else [str(number) for number in range(1, len(cells) + 1)]
    return DelimitedFile(file, separator, names, header, options.quotes).read()


def has_header(file: TextFile, options: ReadOptions, separator: str) -> bool:
    """Whether the first line of delimited text contains the names of the columns."""
    rows = [split_fields(line, separator, quoted=options.quotes != "none") for line in file.head]
    return is_header(rows, options)


def read_recbole(file: TextFile, options: ReadOptions) -> RawTable:
    """Read an atomic file of RecBole: tab-separated, with the type of each column in the header.

    Raises:
        LogError: the header has no types, a name is repeated, or lines differ in their number of fields.
    """
    if not is_recbole_header(file.head[0]):
        raise LogError(
            f"{file.path}: line 1: must be names with types such as user_id:token (types {', '.join(RECBOLE_TYPES)}) "
            f"separated by tabs, got {file.head[0][:60]!r}; give another format or none if it is not a RecBole file"
        )
    cells = split_fields(file.head[0], "\t", quoted=False)
    names = header_names([cell.rpartition(":")[0] for cell in cells], file.path)
    if lists := [name for name in names if name.endswith("_list") and name.removesuffix("_list") in names]:
        raise LogError(
            f"{file.path}: line 1: has the column '{lists[0]}', so a row is a prefix with its next item and not an "
            "event; give the log that the prefixes were made from"
        )
    types = {name: RECBOLE_TYPES[cell.rpartition(":")[2]] for name, cell in zip(names, cells, strict=True)}
    table = DelimitedFile(file, "\t", names, cells, quoting="none").read()
    return replace(table, types=types, notes=(*file.notes, "format: RecBole atomic file"))


def is_recbole_header(line: str) -> bool:
    """Whether a line is a header such as ``user_id:token<tab>item_id:token``."""
    cells = split_fields(line, "\t", quoted=False)
    return all(cell.rpartition(":")[2] in RECBOLE_TYPES and ":" in cell for cell in cells)


def split_fields(line: str, separator: str, *, quoted: bool = True) -> list[str]:
    """Split a line into its fields."""
    return next(csv.reader([line], delimiter=separator, quoting=_csv(quoted)))


def _csv(quoted: bool) -> Literal[0, 3]:
    return csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE


def is_header(rows: Sequence[Sequence[str]], options: ReadOptions) -> bool:
    """Whether the first row contains column names rather than values.

    Args:
        rows: the fields of the first rows.
        options: the user's description of the log.
    """
    columns, cells = options.columns, [cell.strip() for cell in rows[0]]
    if columns and all(re.fullmatch(r"[0-9]{1,9}", name) for name in columns.values()):
        by_number = [(role, cells[int(n) - 1]) for role, n in columns.items() if 0 < int(n) <= len(cells)]
        return any(is_alias(cell, role) for role, cell in by_number)
    named = sum(is_alias(cell) for cell in cells) > 1 or bool(options.header_names & set(cells))
    if named or differs_from_rest(rows):
        return True
    return any(map(is_alias, cells)) if options.like_has_no_header else not any(map(_is_value, cells))


def differs_from_rest(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a column begins with a word and continues with numbers or dates."""
    first, *others = rows
    rest = [row for row in others if len(row) == len(first)]
    columns = zip(first, *rest, strict=True)
    return bool(rest) and any(not _is_value(cell) and all(map(_is_value, values)) for cell, *values in columns)


def _is_value(cell: str) -> bool:
    """Whether a field is a number, a date or the like, which no column is called."""
    return re.match(r"\s*[-+]?\d", cell) is not None


def header_names(cells: Sequence[str], path: Path) -> list[str]:
    """Return the names of a header; a column without a name is called by its number.

    Raises:
        LogError: a name is repeated.
    """
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, start=1)]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise LogError(
            f"{path}: line 1: columns must have different names, got {quoted(repeated)} more than once; "
            "rename or remove the others"
        )
    return names
