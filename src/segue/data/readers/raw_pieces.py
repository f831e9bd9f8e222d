"""The files of a log as pieces in file order: blocks of text files, and rows of Parquet files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from segue.data.ingest.options import ReadOptions
from segue.data.ingest.problems import Source
from segue.data.ingest.tables import RawTable
from segue.data.parquet import column_memory
from segue.data.partitions import Engine, Result, Table, load
from segue.data.readers.blocks import (
    TextBlock,
    WholeLogError,
    cut_lines,
    cut_records,
    has_unusual_block,
    key_types,
    unpack,
)
from segue.data.readers.formats import (
    SEPARATORS_OF_FORMATS,
    TEXT_FORMATS,
    begins_with_header,
    detect_format,
    joined_note,
    parquet_note,
    reads_as_parquet,
)

_KEYED = ("jsonl", "otto")
"""Formats whose columns have the type that fits all their values."""


@dataclass(frozen=True)
class RawPieces:
    """The pieces of a log, which ``read_piece`` reads.

    Attributes:
        pieces: the arguments of ``read_piece`` for each.
        schema: names and types of the raw columns, as a table without rows.
        is_text: as in ``RawTable``.
        types: as in ``RawTable``.
        notes: as in ``RawTable``.
    """

    pieces: Sequence[Mapping[str, Any]]
    schema: pl.DataFrame
    is_text: bool
    types: Mapping[str, str]
    notes: tuple[str, ...]


def cut_files(files: Sequence[Path], options: ReadOptions, engine: Engine, size: int, scratch: Path) -> RawPieces:
    """Cut the files of a log into pieces.

    Args:
        files: the files, in order.
        options: the user's description of the log.
        engine: runs the work that looks at whole files.
        size: bytes of a piece.
        scratch: a folder for unpacked files.

    Raises:
        LogError: a file cannot be read, or only as a whole.
    """
    of_parquet = reads_as_parquet(files[0], options)
    if of_parquet:
        first, *others = (_cut_parquet(file, size) for file in files)
        cut = [first, *(pieces for pieces in others if pieces[0]["stop"])]  # Files without rows may have other columns.
    else:
        each = [{"path": file, "target": scratch / f"{number}.txt"} for number, file in enumerate(files)]
        texts = engine.map(unpack, each)
        cut = [_cut_text(text, options, engine, size) for text in texts]
    looks = engine.map(look, [pieces[0] for pieces in cut], options=asdict(options))
    schemas = [load(one["schema"]) for one in looks]
    names = schemas[0].columns
    if any(set(one.columns) != set(names) for one in schemas):
        raise WholeLogError("the files have different columns")
    schema = pl.concat([one.select(names) for one in schemas], how="vertical_relaxed")
    agree = all(one.schema[name] == dtype for one in schemas for name, dtype in schema.schema.items())
    if of_parquet and not _agree_as_parquet(schemas):
        raise WholeLogError("the files have different types")
    notes = tuple(dict.fromkeys(note for one in looks for note in one["notes"]))
    if of_parquet:
        notes = (parquet_note(files),)
    elif len(files) > 1:
        notes = (joined_note(files), *notes)
    pieces = [piece if agree else {**piece, "joined": schema} for pieces in cut for piece in pieces]
    return RawPieces(pieces, schema, looks[0]["is_text"], looks[0]["types"], notes)


def read_piece(
    options: Mapping[str, Any],
    text: dict[str, Any] | None = None,
    file: Path | None = None,
    start: int = 0,
    stop: int = 0,
    keys: pl.DataFrame | None = None,
    joined: pl.DataFrame | None = None,
) -> RawTable:
    """Read a piece.

    Args:
        options: the fields of ``ReadOptions``.
        text: what is known of a text file, of which the piece is a block; None for Parquet.
        file: a Parquet file, of which the piece is some rows.
        start: the first byte or row.
        stop: the byte or row after the last.
        keys: names and types of the keys of JSON Lines, as a table without rows.
        joined: names and types of the columns of all files, as a table without rows, where those of one file differ.
    """
    if text is not None:
        table = TEXT_FORMATS[text["format"]](TextBlock(text, start, stop, keys), ReadOptions(**options))
    else:
        assert file is not None
        frame = pl.scan_parquet(file, glob=False).slice(start, stop - start).collect()
        table = RawTable(frame, Source(str(file)), is_text=False)
    if joined is None:
        return table
    return replace(table, frame=pl.concat([joined, table.frame.select(joined.columns)], how="vertical_relaxed"))


def look(options: Mapping[str, Any], **piece: Any) -> Result:
    """Read a piece and tell what is equal in all pieces of its file."""
    table = read_piece(options, **piece)
    return {
        "schema": table.frame.clear(),
        "notes": list(table.notes),
        "is_text": table.is_text,
        "types": dict(table.types),
    }


def _cut_parquet(file: Path, size: int) -> list[dict[str, Any]]:
    height = pl.scan_parquet(file, glob=False).select(pl.len()).collect().item()
    rows = max(1, int(size * height / max(1, sum(column_memory(file, by_polars=False)))))
    return [
        {"file": file, "start": start, "stop": min(start + rows, height)} for start in range(0, max(1, height), rows)
    ]


def _agree_as_parquet(schemas: Sequence[pl.DataFrame]) -> bool:
    """Whether all files have the types of the first; a column without any value may have none."""
    first, *others = (one.schema for one in schemas)
    return all(one[name] in (dtype, pl.Null) for one in others for name, dtype in first.items())


def _cut_text(text: dict[str, Any], options: ReadOptions, engine: Engine, size: int) -> list[dict[str, Any]]:
    file, head = Path(text["file"]), TextBlock(text, 0, 0)
    name = options.file_format or detect_format(head, options)
    text = {**text, "format": name, "has_header": begins_with_header(head, name, options)}
    if text["begins_blank"] and text["has_header"]:
        raise WholeLogError(f"{file}: has a blank line before the header")
    shared: dict[str, Table] = {}
    cuts = cut_lines(file, size)
    separator = SEPARATORS_OF_FORMATS.get(name)
    if separator and text["has_quotes"] and (options.quotes != "none" or name == "yoochoose"):
        blocks = [{"start": start, "stop": stop} for start, stop in pairwise(cuts)]
        found = engine.map(has_unusual_block, blocks, text=text, separator=separator)
        text["spans_lines"] = any(one["found"] for one in found)
        if text["spans_lines"]:
            cuts = engine.map(cut_records, [{"file": file}], separator=separator, size=size)[0]["cuts"]
    if name in _KEYED:
        shared = {"keys": engine.map(key_types, [{"file": file}])[0]["schema"]}
    return [{"text": text, "start": start, "stop": stop, **shared} for start, stop in pairwise(cuts)]
