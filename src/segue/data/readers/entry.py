"""``segue.read``: any source -> Events."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from segue.data.catalog import FOLDER_VARIABLE, find
from segue.data.events import ITEM, PART, TIME, Events, Unit
from segue.data.ingest.admit import Table, Wishes, admit
from segue.data.ingest.metadata import admit_metadata, attach
from segue.data.ingest.times import TimeUnit
from segue.data.readers.companion_files import metadata_beside, read_metadata
from segue.data.readers.folder import Layout, lay_out
from segue.data.readers.formats import check_format, read_table
from segue.data.readers.frames import from_mapping, from_pandas, from_polars, from_sparse, is_pandas, is_sparse
from segue.data.readers.parquet import read_parquet
from segue.errors import LogError, ParameterError
from segue.manifest import DATASET


def read(
    source: str | Path | pl.DataFrame | Any,
    *,
    format: str | None = None,  # noqa: A002
    columns: Mapping[str, str] | None = None,
    time_unit: TimeUnit | None = None,
    unit: Unit | None = None,
    items: str | Path | pl.DataFrame | Any | None = None,
) -> Events:
    """Read a log.

    Args:
        source: a file, a folder, the name of a folder or file in the folder that ``SEGUE_DATA`` names, a polars or
            pandas frame, a dictionary of arrays, or a scipy sparse matrix. The rows of a matrix are users (sessions
            with ``unit="session"``), its columns items; each entry other than 0 is one event, whose rating it is.
        format: name of the format of the file or files; recognised from their content if None.
        columns: column by role, for example ``{"session": "sid", "item": "iid", "time": "ts"}``; the usual names are
            found without it. Columns without a name are called ``"1"``, ``"2"``, ...
        time_unit: unit of numeric times; told from their size if None.
        unit: what one session is, a visit (``"session"``) or a whole history (``"user"``); told from the columns if
            None.
        items: metadata of items, a file or a frame.

    Returns:
        The log as it is: nothing is dropped or reordered, but for blank lines. ``notes`` says what was recognised.

    Raises:
        LogError: the source cannot be read or breaks a rule; all mistakes with their lines.
        UnknownNameError: there is no such format, role or unit.

    Examples:
        >>> import polars as pl
        >>> log = read(pl.DataFrame({"SessionId": [1, 1], "ItemId": ["a", "b"], "Time": [1700000000, 1700000060]}))
        >>> len(log), log.n_sessions, log.n_items
        (2, 1, 2)
    """
    check_format(format)
    wishes = Wishes(columns or {}, time_unit, unit)
    if isinstance(source, str | Path):
        events = _read_path(_existing(source), format, wishes)
    elif format is not None:
        raise ParameterError(f"format: is that of a file, and the source is none, got '{format}'; leave it out")
    elif is_sparse(source):
        events = _time_said(admit(_matrix(source, wishes), wishes))
    else:
        events = _time_said(admit(_frame(source), wishes))
    if items is None:
        return events
    return attach(events, _items_table(items), ITEM, wishes.columns)


def read_items(source: object) -> pl.DataFrame:
    """Read metadata of items: one row per item, whose id is in the column ``item``.

    Args:
        source: a file, a polars or pandas frame, or a dictionary of arrays.

    Raises:
        LogError: the source cannot be read or breaks a rule; all mistakes with their lines.
    """
    return admit_metadata(_items_table(source), ITEM, {})


def _items_table(source: object) -> Table:
    return read_metadata(Path(source)) if isinstance(source, str | Path) else _frame(source)


def _existing(source: str | Path) -> Path:
    path = Path(source)
    found = path if path.exists() else find(str(source))
    if found is None:
        raise LogError(
            f"{source}: there is no such file or folder, nor one of this name in the folder that {FOLDER_VARIABLE} "
            "names; check the name"
        )
    if DATASET.is_at(found):
        raise LogError(f"{found}: is a prepared data set and no log; open it with segue.open_dataset")
    if DATASET.is_without_manifest(found):
        raise LogError(f"{found}: is {DATASET.noun} whose {DATASET.file} is missing; {DATASET.remedy}")
    return found


def _frame(source: object) -> Table:
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


def _matrix(source: Any, wishes: Wishes) -> Table:
    """Convert a sparse matrix.

    Raises:
        ParameterError: columns or a unit of times are named, which a matrix does not have.
    """
    for name, given in (("columns", wishes.columns), ("time_unit", wishes.time_unit)):
        if given:
            raise ParameterError(f"{name}: a matrix has no named columns and no times, got {given}; leave it out")
    return from_sparse(source, wishes.unit)


def _read_path(path: Path, format_name: str | None, wishes: Wishes) -> Events:
    layout = lay_out(path) if path.is_dir() else Layout({"": [path]})
    parts = _read_parts(path, layout, format_name, wishes)
    events = parts[""] if "" in parts else _joined(parts)
    events = _time_said(replace(events, notes=(*layout.notes, *events.notes)))
    for file, role in metadata_beside(next(iter(layout.parts.values()))[0]):
        events = attach(events, read_metadata(file), role, wishes.columns)
    return events


def _read_parts(path: Path, layout: Layout, format_name: str | None, wishes: Wishes) -> dict[str, Events]:
    """Read every part, so that the mistakes of all files are reported together."""
    parts, mistakes = {}, []
    for part, files in layout.parts.items():
        try:
            several = len(files) > 1
            table = read_parquet(path, files) if several else read_table(files[0], format_name, wishes)
            parts[part] = admit(table, wishes)
        except LogError as error:
            mistakes.append(str(error))
    if mistakes:
        raise LogError("\n".join(mistakes))
    return parts


def _joined(parts: Mapping[str, Events]) -> Events:
    """Put the parts of a split below each other; what was recognised in all of them is said once.

    Ids stay as they are, although the source may number the sessions of each part from 1; with the column ``part``
    they are clear.

    Raises:
        LogError: only some parts have times.
    """
    timed = [part for part, events in parts.items() if events.has_time]
    if timed and len(timed) < len(parts):
        raise LogError(f"the part {timed[0]} has a time column, others have none; give it to all parts or to none")
    frames = [events.frame.with_columns(pl.lit(part).alias(PART)) for part, events in parts.items()]
    shared = set.intersection(*(set(events.notes) for events in parts.values()))
    notes = [note if note in shared else f"{part}: {note}" for part, events in parts.items() for note in events.notes]
    unit = next(iter(parts.values())).unit
    return Events(pl.concat(frames, how="diagonal_relaxed"), unit=unit, notes=tuple(dict.fromkeys(notes)))


def _time_said(events: Events) -> Events:
    """Note when the log begins and ends, or that it has no times."""
    note = "time: no column; events and sessions keep the order of the file"
    if events.has_time:
        first, last = events.frame.select(first=pl.col(TIME).min(), last=pl.col(TIME).max()).row(0)
        if first is None:
            return events
        note = f"time: from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    return replace(events, notes=(*events.notes, note))
