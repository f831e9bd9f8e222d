"""``segue.read``: a file, a folder or data in memory -> ``Events``."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from segue.data.events import ITEM, PART, TIME, Events
from segue.data.ingest.options import ReadOptions
from segue.data.ingest.tables import RawTable, attach_metadata, ingest, ingest_metadata
from segue.data.readers.folder import LogFiles, find_log_files, find_metadata_files, find_pieces
from segue.data.readers.formats import check_format, read_metadata, read_tables
from segue.data.readers.item_vectors import as_columns, attach_item_vectors, parse_item_vectors
from segue.data.readers.memory import from_mapping, from_pandas, from_polars, from_sparse, is_pandas, is_sparse
from segue.data.readers.public_logs import FOLDER_VARIABLE, find_log
from segue.data.reading import Quoting, Reading, Unit
from segue.errors import LogError, ParameterError, noted
from segue.manifest import DATASET
from segue.printable import short


def read(
    source: str | Path | pl.DataFrame | Any,
    *,
    format: str | None = None,  # noqa: A002
    columns: Mapping[str, str] | None = None,
    time_format: str | None = None,
    unit: Unit | None = None,
    quoting: Quoting = "auto",
    like: Reading | Mapping[str, Any] | None = None,
    items: str | Path | pl.DataFrame | Any | None = None,
    item_vectors: str | Path | pl.DataFrame | Any | None = None,
) -> Events:
    """Read a log.

    Args:
        source: a file, a folder, a pattern such as ``logs/2026-*.csv``, the name of a file or folder in the folder that
            ``SEGUE_DATA`` names, a polars or pandas frame, a dictionary of arrays, or a scipy sparse matrix. The rows
            of a matrix are users (sessions with ``unit="session"``), its columns items; each non-zero entry is one
            event with that rating.
        format: format of the files; detected from their content if None.
        columns: column by role, for example ``{"session": "sid", "item": "iid", "time": "ts"}``; common names are
            found without it. Columns without a name are called ``"1"``, ``"2"``, ...
        time_format: format of the times, detected from their values if None: the unit of numbers since 1970 (``"s"``,
            ``"ms"``, ``"us"``, ``"ns"``), ``"yyyymmdd"``, ``"mmdd"``, ``"excel"``, or strptime codes such as
            ``"%d/%m/%Y %H:%M"``.
        unit: what one session is, a visit (``"session"``) or a whole history (``"user"``); detected from the columns
            if None.
        quoting: how double quotes in delimited text are read: ``"double"`` as Python's ``csv`` module does, ``"none"``
            as plain text; ``"auto"`` is ``"double"``, but refuses a quoted field that contains whole rows.
        like: how an earlier log was read (its ``reading``, or ``model.about["reading"]``): the default of all arguments
            above. Its columns are taken where this log has them; a note names the roles that have another column here.
        items: metadata of items, a file or a frame.
        item_vectors: vectors of items, of which networks learn with ``item_vectors=`` and by which cold items are
            scored: a Parquet file or a frame with a column of ids and one of lists of numbers, or a dictionary such as
            ``{"item": ids, "vector": array}``.

    Returns:
        All events in their original order; only blank lines are dropped. ``notes`` lists what was detected.

    Raises:
        LogError: the source cannot be read or breaks a rule; lists all problems with their lines.
        ParameterError: there is no such format of times.
        UnknownNameError: there is no such format, role, unit or way of quoting.

    Examples:
        >>> import polars as pl
        >>> log = read(pl.DataFrame({"SessionId": [1, 1], "ItemId": ["a", "b"], "Time": [1700000000, 1700000060]}))
        >>> len(log), log.n_sessions, log.n_items
        (2, 1, 2)
    """
    given = {"format": format, "time_format": time_format, "unit": unit, "quoting": quoting}
    options = read_options(like, columns=columns or {}, **given)
    if isinstance(source, str | Path):
        events = _read_path(resolve_path(source), options)
    elif format is not None:
        raise ParameterError(f"format: applies to files only, got '{format}' for data in memory; leave it out")
    else:
        table = _from_matrix(source, options) if is_sparse(source) else _from_frame(source)
        earlier = options.like and options.like.model_copy(update={"format": None})  # It is that of files.
        events = with_time_note(ingest(table, replace(options, like=earlier)))
    if items is not None:
        events = attach_metadata(events, items_table(items), ITEM, options.named)
    return events if item_vectors is None else attach_item_vectors(events, any_table(item_vectors), options.named)


def read_options(like: Reading | Mapping[str, Any] | None, **given: Any) -> ReadOptions:
    """Return the description of a log by the arguments of ``read``.

    Raises:
        ParameterError: ``like`` is no reading, or an argument is wrong.
        UnknownNameError: there is no such format, unit or way of quoting.
    """
    try:
        reading = None if like is None else Reading.model_validate(like)
    except ValidationError as error:
        raise ParameterError(
            f"like: must be the reading of a log or a model, such as model.about['reading'], got {short(like)}"
        ) from error
    options = ReadOptions(**given, like=reading)
    check_format(options.file_format)
    return options


def read_items(source: object, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Read metadata of items: one row per item, with its id in the column ``item``.

    Args:
        source: a file, a polars or pandas frame, or a dictionary of arrays.
        columns: column by role, as for ``read``.

    Raises:
        LogError: the source cannot be read or breaks a rule; lists all problems with their lines.
    """
    return ingest_metadata(any_table(source), ITEM, columns or {})[0]


def read_item_vectors(source: object, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Read vectors of items: one row per item, with its id in the column ``item`` and its vector in ``VECTOR``.

    Args:
        source: a file, a polars or pandas frame, or a dictionary such as ``{"item": ids, "vector": array}``.
        columns: column by role, as for ``read``.

    Raises:
        LogError: the source cannot be read or breaks a rule; lists all problems with their rows.
    """
    return parse_item_vectors(any_table(source), columns or {})


def any_table(source: object) -> RawTable:
    """Return a table of a file or a frame, or of a dictionary whose arrays may have two dimensions."""
    return items_table(as_columns(source) if isinstance(source, Mapping) else source)


def items_table(source: object) -> RawTable:
    """Return a table of a file or a frame."""
    return read_metadata(Path(source)) if isinstance(source, str | Path) else _from_frame(source)


def resolve_path(source: str | Path) -> Path:
    """Return the path of a log, which may be named like a sub-folder of the folder with public logs.

    Raises:
        LogError: there is none, or it is a prepared data set.
    """
    path = Path(source)
    found = path if path.exists() else find_log(str(source))
    if found is None and find_pieces(path):
        return path
    if found is None:
        raise LogError(
            f"{source}: no such file or folder, neither here nor in the folder that {FOLDER_VARIABLE} names; "
            "check the name"
        )
    if DATASET.is_at(found):
        raise LogError(f"{found}: is a prepared data set, not a log; open it with segue.open_dataset")
    if lost := DATASET.lost_manifest(found):
        raise LogError(f"{found}: {lost}; {DATASET.remedy}")
    return found


def _from_frame(source: object) -> RawTable:
    if isinstance(source, pl.DataFrame):
        return from_polars(source)
    if is_pandas(source):
        return from_pandas(source)
    if isinstance(source, Mapping):
        return from_mapping(source)
    raise ParameterError(
        "source: must be a path, a polars or pandas frame, a dict of arrays or a scipy sparse matrix, "
        f"got {type(source).__name__}"
    )


def _from_matrix(source: Any, options: ReadOptions) -> RawTable:
    for name, given in (("columns", options.columns), ("time_format", options.time_format)):
        if given:
            raise ParameterError(f"{name}: a matrix has no named columns and no times, got {given}; leave it out")
    return from_sparse(source, options.unit)


def _read_path(path: Path, options: ReadOptions) -> Events:
    files = select_files(path, options.notes)
    with noted(files.notes):
        parts = _read_parts(path, files, options)
    events = parts[""] if "" in parts else concatenate_parts(parts)
    events = with_time_note(replace(events, notes=(*files.notes, *events.notes)))
    for file, role in find_metadata_files(next(iter(files.parts.values()))[0]):
        events = attach_metadata(events, read_metadata(file), role, options.named)
    return events


def select_files(path: Path, notes: tuple[str, ...] = ()) -> LogFiles:
    """Select the files of a log: a file, those of a folder, or those that match a pattern.

    Args:
        path: the file, folder or pattern.
        notes: what is said before what was selected.

    Raises:
        LogError: it is a folder without a log.
    """
    found = find_log_files(path) if path.is_dir() else None if path.exists() else find_pieces(path)
    found = found or LogFiles({"": [path]})
    return replace(found, notes=(*notes, *found.notes))


def _read_parts(path: Path, files: LogFiles, options: ReadOptions) -> dict[str, Events]:
    """Read every part; the problems of all files are reported together."""
    parts, problems = {}, []
    for part, paths in files.parts.items():
        try:
            parts[part] = ingest(read_tables(path, paths, options), options)
        except LogError as error:
            problems.append(error)
    if problems:
        with noted(dict.fromkeys(note for one in problems for note in getattr(one, "__notes__", ()))):
            raise LogError(*(line for problem in problems for line in problem.lines))
    return parts


def concatenate_parts(parts: Mapping[str, Events]) -> Events:
    """Concatenate the parts of a split; a note that applies to all parts appears once.

    Ids are kept although the source may number the sessions of each part from 1; the column ``part`` keeps them apart.

    Raises:
        LogError: only some parts have times.
    """
    timed = [part for part, events in parts.items() if events.has_time]
    if timed and len(timed) < len(parts):
        raise LogError(f"the part {timed[0]} has a time column, others have none; give it to all parts or to none")
    frames = [events.frame.with_columns(pl.lit(part).alias(PART)) for part, events in parts.items()]
    shared = set.intersection(*(set(events.notes) for events in parts.values()))
    notes = [note if note in shared else f"{part}: {note}" for part, events in parts.items() for note in events.notes]
    first = next(iter(parts.values()))
    frame = pl.concat(frames, how="diagonal_relaxed")
    return Events(frame, unit=first.unit, notes=tuple(dict.fromkeys(notes)), reading=first.reading)


def with_time_note(events: Events) -> Events:
    """Add a note on when the log begins and ends, or that it has no times."""
    note = "time: no column; events and sessions keep the order of the file"
    if events.has_time:
        first, last = events.frame.select(first=pl.col(TIME).min(), last=pl.col(TIME).max()).row(0)
        if first is None:
            return events
        note = f"time: from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    return replace(events, notes=(*events.notes, note))
