"""The table of file formats, and how a format is detected."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from segue.data.ingest.columns import is_alias, quoted
from segue.data.ingest.options import ReadOptions
from segue.data.ingest.problems import JoinedSource, Source
from segue.data.ingest.tables import RawTable
from segue.data.parquet import column_memory
from segue.data.readers.delimited import (
    differs_from_rest,
    has_header,
    is_header,
    is_recbole_header,
    read_delimited,
    read_recbole,
    split_fields,
)
from segue.data.readers.lines import (
    EVENTS,
    read_double_colons,
    read_double_colons_as,
    read_json_lines,
    read_nested_json_lines,
    read_pairs,
    read_sequences,
)
from segue.data.readers.public_logs import MOVIELENS, is_diginetica, is_yoochoose, read_diginetica, read_yoochoose
from segue.data.readers.text import POLARS_ERRORS, TextFile, read_first_bytes
from segue.errors import LogError, UnknownNameError
from segue.memory import available_memory

PARQUET = "parquet"

Reader = Callable[[TextFile, ReadOptions], RawTable]

TEXT_FORMATS: Mapping[str, Reader] = {
    "csv": partial(read_delimited, separator=","),
    "tsv": partial(read_delimited, separator="\t"),
    "semicolon": partial(read_delimited, separator=";"),
    "bar": partial(read_delimited, separator="|"),
    "space": partial(read_delimited, separator=" "),
    "dat": read_double_colons,
    "sequences": read_sequences,
    "pairs": read_pairs,
    "jsonl": read_json_lines,
    "otto": read_nested_json_lines,
    "recbole": read_recbole,
    "yoochoose": read_yoochoose,
    "diginetica": read_diginetica,
}
"""Readers of text files by format."""
FORMATS = (*TEXT_FORMATS, PARQUET)
"""Names of all formats."""

SEPARATORS_OF_FORMATS: Mapping[str, str] = {
    "csv": ",",
    "tsv": "\t",
    "semicolon": ";",
    "bar": "|",
    "space": " ",
    "yoochoose": ",",
    "diginetica": ";",
}
"""Separator of the formats whose fields may be enclosed in quotes."""
_NO_HEADER = ("sequences", "pairs", "jsonl", "otto", "yoochoose")

_SIGNATURES: Sequence[tuple[str, Callable[[TextFile, str], bool]]] = (
    ("otto", lambda file, first: _holds_events(first)),
    ("jsonl", lambda file, first: first.startswith("{")),
    ("recbole", lambda file, first: is_recbole_header(first)),
    ("yoochoose", lambda file, first: is_yoochoose(file)),
    ("diginetica", lambda file, first: is_diginetica(file)),
)
"""How to recognise each format by the file and its first line; the first match wins."""

_SEPARATED: Mapping[str, str] = {"dat": "::", "tsv": "\t", "semicolon": ";", "csv": ",", "bar": "|"}
"""Separator by format; the first of two that fit equally well wins."""


def read_table(path: Path, options: ReadOptions) -> RawTable:
    """Read one file.

    Args:
        path: the file.
        options: the user's description of the log.

    Raises:
        LogError: the file cannot be read.
    """
    if reads_as_parquet(path, options):
        return read_parquet(path, [path])
    file = TextFile(path)
    return TEXT_FORMATS[options.file_format or detect_format(file, options)](file, options)


def read_tables(path: Path, files: Sequence[Path], options: ReadOptions) -> RawTable:
    """Read the pieces of one log, in the order given.

    Args:
        path: what the user named, for messages.
        files: the files.
        options: the user's description of the log.

    Raises:
        LogError: a file cannot be read, or the files have different columns; all problems are reported together.
    """
    if len(files) == 1:
        return read_table(files[0], options)
    if reads_as_parquet(files[0], options):
        return read_parquet(path, files)
    tables, problems = [], []
    for file in files:
        try:
            tables.append(read_table(file, options))
        except LogError as error:
            problems += error.lines
    names = tables[0].frame.columns if tables else []
    problems += [
        f"{table.source.name}: must have the columns of {files[0].name} ({quoted(names)}), got "
        f"{quoted(table.frame.columns)}; it is not a piece of the same log"
        for table in tables
        if set(table.frame.columns) != set(names)
    ]
    if problems:
        raise LogError(*problems)
    source = JoinedSource(str(path), pieces=[(table.source, table.frame.height) for table in tables])
    frame = pl.DataFrame([_concatenated(path, [table.frame[name] for table in tables]) for name in names])
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    return replace(tables[0], frame=frame, source=source, notes=(joined_note(files), *notes))


def _concatenated(path: Path, columns: Sequence[pl.Series]) -> pl.Series:
    """Return the values of a column of several files, in the type that fits them all."""
    try:
        return pl.concat([column.to_frame() for column in columns], how="vertical_relaxed").to_series()
    except POLARS_ERRORS as error:
        types = ", ".join(dict.fromkeys(str(column.dtype) for column in columns))
        raise LogError(
            f"{path}: the values of '{columns[0].name}' must have one type in all files, got {types}; correct or "
            "remove the files that differ"
        ) from error


def joined_note(files: Sequence[Path]) -> str:
    """Say which files are read as one log."""
    return f"pieces: {len(files)} files read as one log, {files[0].name} to {files[-1].name}"


def read_metadata(path: Path) -> RawTable:
    """Read a table of metadata in any format.

    Raises:
        LogError: the file cannot be read.
    """
    if path.name in MOVIELENS:
        return read_double_colons_as(TextFile(path), MOVIELENS[path.name])
    return read_table(path, ReadOptions())


def read_parquet(path: Path, files: Sequence[Path]) -> RawTable:
    """Read one Parquet file, or the Parquet files of a folder, in the order given.

    Args:
        path: what the user named, for messages.
        files: the files.

    Raises:
        LogError: a file is damaged, the files have different columns, or take more memory than there is.
    """
    try:
        needed, available = sum(sum(column_memory(file, by_polars=False)) for file in files), available_memory()
        frame = pl.read_parquet(list(files), glob=False) if needed <= available else None
    except OSError as error:
        raise LogError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (*POLARS_ERRORS, ValueError) as error:
        is_panic = isinstance(error, pl.exceptions.PanicException)  # Its message names a task of polars.
        reason = "a page cannot be decoded" if is_panic else str(error).partition("\n")[0]
        raise LogError(f"{path}: cannot be read as Parquet ({reason}); it is damaged or not Parquet") from error
    if frame is None:
        raise LogError(
            f"{path}: takes {needed >> 20:,} MiB of memory once it is decoded, and {available >> 20:,} MiB are "
            "available; leave out columns that are not needed, or take part of the log"
        )
    return RawTable(frame, Source(str(path)), is_text=False, notes=(parquet_note(files),))


def parquet_note(files: Sequence[Path]) -> str:
    """Say that the files are Parquet."""
    return "format: Parquet" + (f", {len(files)} files in order of their names" if len(files) > 1 else "")


def check_format(format_name: str | None) -> None:
    """Refuse an unknown format.

    Raises:
        UnknownNameError: there is no such format.
    """
    if format_name is not None and format_name not in FORMATS:
        raise UnknownNameError("format", format_name, FORMATS)


def reads_as_parquet(path: Path, options: ReadOptions) -> bool:
    """Whether a file is to be read as Parquet."""
    return options.file_format == PARQUET or (options.file_format is None and is_parquet(path))


def is_parquet(path: Path) -> bool:
    """Whether a file starts like Parquet."""
    return read_first_bytes(path).startswith(b"PAR1")


def detect_format(file: TextFile, options: ReadOptions) -> str:
    """Detect the format of a text file from its first lines; its extension is ignored.

    Raises:
        LogError: no format matches, or two are possible.
    """
    first = file.head[0].strip()
    for name, matches in _SIGNATURES:
        if matches(file, first):
            return name
    if re.match(r"\[\s*(\{|$)", first):
        raise LogError(f"{file.path}: is a JSON array; write one object per line (JSON Lines)")
    if separated := [name for name, separator in _SEPARATED.items() if separator in first]:
        return max(separated, key=lambda name: _fit(file.head, _SEPARATED[name]))
    if " " in first:
        return _detect_spaces(file, options)
    raise LogError(
        f"{file.path}: line 1: has no separator (comma, tab, semicolon, bar, '::' or space), got {first[:60]!r}; "
        "a log needs at least a session and an item on each line"
    )


def begins_with_header(file: TextFile, format_name: str, options: ReadOptions) -> bool:
    """Whether the first line of a text file contains the names of the columns."""
    if format_name in _NO_HEADER:
        return False
    if format_name == "dat":
        return is_header([line.split("::") for line in file.head], options)
    return format_name == "recbole" or has_header(file, options, SEPARATORS_OF_FORMATS[format_name])


def _fit(lines: Sequence[str], separator: str) -> tuple[bool, float, int]:
    """Return how well a separator fits: common column names, the share of lines of equal width, the width."""
    rows = [line.split(separator) if separator == "::" else split_fields(line, separator) for line in lines]
    width = len(rows[0])
    return any(map(is_alias, rows[0])), sum(len(row) == width for row in rows) / len(rows), width


def _holds_events(line: str) -> bool:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and isinstance(value.get(EVENTS), list)


def _detect_spaces(file: TextFile, options: ReadOptions) -> str:
    """Distinguish a table with a header, pairs (two words on every line) and sequences (lines of different lengths)."""
    rows = [line.split() for line in file.head]
    lengths = set(map(len, rows))
    named = any(map(is_alias, rows[0])) or bool(options.header_names & set(rows[0]))
    if named or (len(lengths) == 1 and differs_from_rest(rows)):
        return "space"
    if lengths == {2}:
        return "pairs"
    if len(lengths) > 1 or len(rows) == 1:
        return "sequences"
    if any(name.isdecimal() for name in options.named.values()):
        return "space"
    raise LogError(
        f"{file.path}: every line has {lengths.pop()} words, so it may be a table or sequences of one length; "
        "give columns by number (--columns session=1,item=2) or format='sequences'"
    )
