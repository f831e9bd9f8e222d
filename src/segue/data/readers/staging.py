"""``stage``: a log of any size -> tables in file order that together are what ``segue.read`` returns.

Each piece of the log is parsed by the functions that parse a log in memory. Where the pieces of a column agree on how
it is read, they are its values; where they do not, the column is read again in the way of all its values, or parsed as
a whole. A log with a mistake is read as a whole, so that its message is that of ``segue.read``.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from segue.data.events import ITEM, PART, SESSION, TIME, TIME_DTYPE, USER, Events
from segue.data.ingest.options import ReadOptions
from segue.data.ingest.tables import attach_metadata
from segue.data.partitions import Engine, OnDisk, Table, load
from segue.data.readers.folder import LogFiles, find_metadata_files
from segue.data.readers.formats import read_metadata
from segue.data.readers.item_vectors import attach_item_vectors
from segue.data.readers.raw_pieces import cut_files
from segue.data.readers.read import (
    any_table,
    concatenate_parts,
    items_table,
    read,
    read_options,
    resolve_path,
    select_files,
    with_time_note,
)
from segue.data.readers.staged_pieces import distinct_ids, hash_pieces, part_piece, slice_piece
from segue.data.readers.staged_tables import ParsedPieces, parse_pieces
from segue.data.readers.text import POLARS_ERRORS
from segue.data.reading import Quoting, Reading, Unit
from segue.errors import LogError, StorageError

_ANY_ERROR = (LogError, *POLARS_ERRORS, OSError, EOFError, ValueError)
"""Errors of one piece, after which the whole log is read to say what is wrong with it."""


@dataclass(frozen=True)
class StagedLog:
    """A log in pieces.

    Attributes:
        pieces: tables in file order, which together have the rows, columns and types of ``Events.frame``.
        schema: names and types of the columns.
        items: as in ``Events``.
        users: as in ``Events``.
        unit: as in ``Events``.
        notes: as in ``Events``.
        fingerprint: of ``Events.frame``, see ``segue.data.fingerprint``.
        reading: as in ``Events``.
    """

    pieces: tuple[Table, ...]
    schema: Mapping[str, Any]
    items: pl.DataFrame | None
    users: pl.DataFrame | None
    unit: Unit
    notes: tuple[str, ...]
    fingerprint: str
    reading: Reading | None = None

    def __len__(self) -> int:
        """Number of events."""
        return sum(piece.height for piece in self.pieces)

    @property
    def has_time(self) -> bool:
        """Whether events have a time."""
        return TIME in self.schema

    @property
    def has_parts(self) -> bool:
        """Whether the log comes with a split."""
        return PART in self.schema


def stage(
    source: str | Path,
    engine: Engine,
    *,
    piece_bytes: int,
    format: str | None = None,  # noqa: A002
    columns: Mapping[str, str] | None = None,
    time_format: str | None = None,
    unit: Unit | None = None,
    quoting: Quoting = "auto",
    like: Reading | None = None,
    items: Any | None = None,
    item_vectors: Any | None = None,
) -> StagedLog:
    """Read a log of any size.

    Memory grows with ``piece_bytes``, not with the log, except for a log with mistakes, for columns whose values must
    be seen together to be understood, and for the distinct ids of items or users with metadata.

    Args:
        source: a file, a folder, a pattern or a name, as for ``segue.read``.
        engine: runs the work on the pieces.
        piece_bytes: bytes of the text of a piece, or of its memory if the source is Parquet.
        format: as for ``segue.read``, as are the arguments that follow.
        columns: as for ``segue.read``.
        time_format: as for ``segue.read``.
        unit: as for ``segue.read``.
        quoting: as for ``segue.read``.
        like: as for ``segue.read``.
        items: as for ``segue.read``.
        item_vectors: as for ``segue.read``.

    Raises:
        LogError: as ``segue.read``.
        ParameterError: as ``segue.read``.
        UnknownNameError: as ``segue.read``.
        StorageError: an intermediate file cannot be written.
    """
    given: dict[str, Any] = {"format": format, "time_format": time_format, "unit": unit, "quoting": quoting}
    options = read_options(like, columns=columns or {}, **given)
    path = resolve_path(source)
    with _scratch(engine) as scratch:
        try:
            pieces, head = _stage_path(path, engine, piece_bytes, options, scratch)
            head = _with_metadata(head, pieces, engine, options, items, item_vectors)
        except StorageError:  # Of an intermediate file, not of the log.
            raise
        except _ANY_ERROR:
            head = read(source, columns=columns, like=like, items=items, item_vectors=item_vectors, **given)
            frames = [{"frame": frame} for frame in _slices(head.frame, piece_bytes)]
            pieces = tuple(one["frame"] for one in engine.map(slice_piece, frames))
        schema = head.frame.schema
        fingerprint = _fingerprint(pieces, engine)
        return StagedLog(pieces, schema, head.items, head.users, head.unit, head.notes, fingerprint, head.reading)


@contextmanager
def _scratch(engine: Engine) -> Iterator[Path]:
    """Yield a folder for unpacked files: that of the engine, whose finished calls refer to them."""
    if isinstance(engine, OnDisk):
        yield engine.folder / "unpacked"
        return
    with TemporaryDirectory(prefix="segue-") as folder:
        yield Path(folder)


def _stage_path(
    path: Path,
    engine: Engine,
    size: int,
    options: ReadOptions,
    scratch: Path,
) -> tuple[tuple[Table, ...], Events]:
    """Stage the files of a log; return its pieces, and the log without rows."""
    files = select_files(path, options.notes)
    parts = {}
    for part, paths in files.parts.items():
        raw = cut_files(paths, options, engine, size, scratch / (part or "log"))
        parts[part] = parse_pieces(raw, options, engine, size)
    staged = parts[""] if "" in parts else _join_parts(parts, engine)
    noted = with_time_note(_first_and_last(staged, files))
    head = replace(noted, frame=staged.schema)
    for file, role in find_metadata_files(next(iter(files.parts.values()))[0]):
        ids = _with_ids(head, SESSION if role == USER and head.unit == USER else role, staged.pieces, engine)
        head = replace(attach_metadata(ids, read_metadata(file), role, options.named), frame=staged.schema)
    return staged.pieces, head


def _with_metadata(
    head: Events, pieces: Sequence[Table], engine: Engine, options: ReadOptions, items: Any, item_vectors: Any
) -> Events:
    """Add the metadata that the user gave to a log without rows."""
    if items is None and item_vectors is None:
        return head
    ids = _with_ids(head, ITEM, pieces, engine)
    if items is not None:
        ids = attach_metadata(ids, items_table(items), ITEM, options.named)
    if item_vectors is not None:
        ids = attach_item_vectors(ids, any_table(item_vectors), options.named)
    return replace(ids, frame=head.frame)


def _join_parts(parts: Mapping[str, ParsedPieces], engine: Engine) -> ParsedPieces:
    heads = {
        part: Events(one.schema, unit=one.unit, notes=one.notes, reading=one.reading) for part, one in parts.items()
    }
    joined = concatenate_parts(heads)
    whole = [piece for one in parts.values() for piece in one.pieces]
    names = [part for part, one in parts.items() for _ in one.pieces]
    each = [{"frame": piece, "part": part} for piece, part in zip(whole, names, strict=True)]
    pieces = tuple(one["frame"] for one in engine.map(part_piece, each, schema=joined.frame))
    engine.drop(whole)
    times = [tick for one in parts.values() for tick in one.times]
    return ParsedPieces(pieces, joined.frame, joined.unit, joined.notes, tuple(times), joined.reading)


def _first_and_last(staged: ParsedPieces, files: LogFiles) -> Events:
    """Return a log of the first and the last event, if it has times."""
    ticks = [min(staged.times), max(staged.times)] if staged.times else [None]
    ids = pl.repeat(0, len(ticks), dtype=pl.Int64, eager=True)
    columns = [ids.alias(SESSION), ids.alias(ITEM)]
    if TIME in staged.schema.columns:
        columns.append(pl.Series(TIME, ticks, dtype=pl.Int64).cast(TIME_DTYPE))
    notes = (*files.notes, *staged.notes)
    return Events(pl.DataFrame(columns), unit=staged.unit, notes=notes, reading=staged.reading)


def _with_ids(head: Events, key: str, pieces: Sequence[Table], engine: Engine) -> Events:
    """Return a log with the distinct ids of a column."""
    tables = engine.map(distinct_ids, [{"frame": piece} for piece in pieces], name=key)
    ids = pl.concat([load(one["ids"]) for one in tables]).unique(maintain_order=True).to_series()
    others = [name for name in (SESSION, ITEM) if name != key]
    zeros = pl.repeat(0, len(ids), dtype=pl.Int64, eager=True)
    return replace(head, frame=pl.DataFrame([ids, *(zeros.alias(name) for name in others)]))


def _slices(frame: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    rows = max(1, int(size * frame.height / max(1, frame.estimated_size())))
    return [frame.slice(start, rows) for start in range(0, max(1, frame.height), rows)]


def _fingerprint(pieces: Sequence[Table], engine: Engine) -> str:
    sources: list[pl.DataFrame | Path] = [piece if isinstance(piece, pl.DataFrame) else piece.path for piece in pieces]
    fingerprint: str = engine.map(hash_pieces, [{"pieces": sources}])[0]["fingerprint"]
    return fingerprint
