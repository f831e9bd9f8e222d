"""Convert what a reader returns into ``Events`` or metadata, or report all its problems at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from segue.data.events import ITEM, PARTS, SESSION, TIME, USER, Events, Unit
from segue.data.ingest.columns import COLUMN_ALIASES, find_column, how_to_choose, quoted, resolve_columns
from segue.data.ingest.problems import Problems, Source
from segue.data.ingest.time_columns import finest_time, unused_times
from segue.data.ingest.time_formats import check_time_format
from segue.data.ingest.times import parse_times
from segue.data.ingest.values import ParsedColumn, parse_feature, parse_ids, parse_numbers, rows_where
from segue.errors import LogError, UnknownNameError, noted

Quoting = Literal["auto", "double", "none"]
QUOTINGS: tuple[Quoting, ...] = get_args(Quoting)


_MOST_SHARED = 0.1
"""Share of session ids with several users up to which the ids count as unique."""


@dataclass(frozen=True)
class RawTable:
    """The output of a reader: the columns and values of a source, not yet converted.

    Attributes:
        frame: the rows; a text format leaves every value as text.
        source: where the rows come from.
        is_text: whether integers in ``frame`` may be text.
        notes: what the reader detected.
        types: types of columns (``"number"``, ``"category"``, ``"numbers"``), if the format declares them.
    """

    frame: pl.DataFrame
    source: Source
    is_text: bool = True
    notes: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadOptions:
    """The user's description of a log.

    Attributes:
        columns: column by role; other roles are found by their common names.
        time_format: format of the times, a name of ``time_formats.NAMES`` or strptime codes; detected if None.
        unit: what one session is; detected from the columns if None.
        quoting: how double quotes in delimited text are read.

    Raises:
        ParameterError: the format of the times is not known.
        UnknownNameError: a unit or a way of quoting is not known.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    time_format: str | None = None
    unit: Unit | None = None
    quoting: Quoting = "auto"

    def __post_init__(self) -> None:
        if self.time_format is not None:
            check_time_format(self.time_format)
        if self.unit is not None and self.unit not in (SESSION, USER):
            raise UnknownNameError("unit", self.unit, (SESSION, USER))
        if self.quoting not in QUOTINGS:
            raise UnknownNameError("quoting", self.quoting, QUOTINGS)


def ingest(table: RawTable, options: ReadOptions) -> Events:
    """Validate and convert a table.

    A missing value becomes null; the cleaning later drops it and reports that. A value that is present but cannot be
    parsed is a problem. Blank lines are skipped.

    Raises:
        LogError: the missing columns, or else all invalid values.
    """
    notes = list(table.notes)
    with noted(notes):
        return _ingest(table, options, notes)


def _ingest(table: RawTable, options: ReadOptions, notes: list[str]) -> Events:
    problems = Problems(table.source)
    if table.frame.is_empty():
        problems.add("has no events; a log needs at least one row of them")
        problems.raise_if_any()
    finest = finest_time(table.frame, options.columns)
    given = {**options.columns, TIME: finest} if finest else options.columns
    roles = resolve_columns(table.frame.columns, given, options.unit, table.source)
    if options.time_format and TIME not in roles.columns:
        problems.add(
            f"has no column for the time, which --time-format (time_format=) describes; it has "
            f"{quoted(table.frame.columns)}; {how_to_choose(TIME, table.frame.columns[0])}"
        )
        problems.raise_if_any()
    columns, found, warnings = [], [], []
    for role, name in roles.columns.items():
        column = _parse(role, table, table.frame[name], options.time_format)
        found.append(f"{role} is '{name}'" + (f" ({column.note})" if column.note else ""))
        warnings += [f"column '{name}': {column.warning}"] if column.warning else []
        columns.append(problems.check(column, table.frame[name]).alias(role))
    if found != [f"{role} is '{role}'" for role in roles.columns]:  # Names assigned by a reader are no news.
        notes.append("columns: " + ", ".join(found))
    free = [raw for raw in table.frame.get_columns() if raw.name not in roles.columns.values()]
    notes += [
        f"column '{raw.name}' is left out: its name is taken by another one"
        for raw in free
        if raw.name in COLUMN_ALIASES
    ]
    features = [raw for raw in free if raw.name not in COLUMN_ALIASES]
    if features:
        notes.append(f"features: {quoted([raw.name for raw in features])}")
    parsed, remarks = _parse_features(table, features, problems)
    problems.raise_if_any()
    frame = pl.DataFrame(columns + parsed)
    notes += remarks + warnings + unused_times(features, frame[TIME] if TIME in frame.columns else None)
    if frame[SESSION].null_count():
        frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    if roles.unit == SESSION and USER in frame.columns:
        frame, note = _qualify_visits(frame, roles.columns)
        notes += [note] if note else []
    return Events(frame, unit=options.unit or roles.unit, notes=tuple(notes))


def _qualify_visits(frame: pl.DataFrame, columns: Mapping[str, str]) -> tuple[pl.DataFrame, str]:
    """Make a session of a user and a visit where visits are numbered anew for each user.

    A session id with several users is such a number if it is common; a few may be visitors that logged in.
    """
    pairs = frame.select(SESSION, USER).drop_nulls().unique()
    users = pairs.group_by(SESSION).len("users")
    shared, total = int((users["users"] > 1).sum()), len(users)
    if not shared:
        return frame, ""
    visit, user = f"'{columns[SESSION]}'", f"'{columns[USER]}'"
    if shared <= _MOST_SHARED * total:
        return frame, f"sessions: {shared:,} of {total:,} have events of several users; they are one session each"
    qualified = pl.format("{}/{}", USER, SESSION).alias(SESSION)
    note = (
        f"sessions: {shared:,} of {total:,} values of {visit} occur with several users, so a session is a {user} and "
        f"a {visit}: {len(pairs):,} sessions"
    )
    return frame.with_columns(
        pl.when(pl.col(USER).is_null()).then(pl.col(SESSION).cast(pl.String)).otherwise(qualified).alias(SESSION)
    ), note


def ingest_metadata(table: RawTable, role: str, columns: Mapping[str, str]) -> tuple[pl.DataFrame, list[str]]:
    """Validate and convert a table of metadata: one row per id, the first if an id is repeated.

    Args:
        table: the rows.
        role: ``"item"`` or ``"user"``, the name of the id column in the result.
        columns: the user's column by role.

    Returns:
        The metadata, and notes on how columns were interpreted.

    Raises:
        LogError: all problems in the table.
    """
    key = find_column(table.frame.columns, role, columns, table.source)
    problems = Problems(table.source)
    ids = problems.check(parse_ids(table.frame[key], text=table.is_text), table.frame[key]).alias(role)
    others = [raw for raw in table.frame.get_columns() if raw.name not in (key, role)]
    features, remarks = _parse_features(table, others, problems)
    problems.raise_if_any()
    frame = pl.DataFrame([ids, *features]).drop_nulls(role)
    return frame.unique(role, keep="first", maintain_order=True), remarks


def attach_metadata(events: Events, table: RawTable, role: str, columns: Mapping[str, str]) -> Events:
    """Add metadata to a log; a note counts the ids of the log that it describes.

    Raises:
        LogError: the table has problems, or describes no id of the log.
    """
    metadata, remarks = ingest_metadata(table, role, columns)
    key = SESSION if role == USER and events.unit == USER else role
    ids = events.frame[key].drop_nulls().unique()
    metadata = metadata.with_columns(pl.col(role).cast(ids.dtype, strict=False)).drop_nulls(role)
    known = int(ids.is_in(metadata[role].implode()).sum())
    if not known:
        raise LogError(
            f"{table.source.name}: describes none of the {len(ids):,} {role}s of the log, so it belongs to another "
            "log; pass the file with the same ids as the log"
        )
    note = f"metadata: {Path(table.source.name).name} describes {known:,} of {len(ids):,} {role}s"
    notes = (*events.notes, note, *remarks)
    if role == ITEM:
        return replace(events, items=metadata, notes=notes)
    return replace(events, users=metadata, notes=notes)


def _parse(role: str, table: RawTable, raw: pl.Series, time_format: str | None) -> ParsedColumn:
    match role:
        case "session" | "user" | "item":
            return parse_ids(raw, text=table.is_text)
        case "time":
            return parse_times(raw, time_format)
        case "rating":
            return parse_numbers(raw)
        case "part":
            parts = raw.cast(pl.String)
            invalid = rows_where(~parts.is_in(PARTS).fill_null(False))
            rule = f"must be one of {', '.join(PARTS)}"
            return ParsedColumn(parts, invalid, rule, "correct them, or rename the column")
    return parse_feature(raw, table.types.get(raw.name))


def _parse_features(table: RawTable, columns: list[pl.Series], problems: Problems) -> tuple[list[pl.Series], list[str]]:
    parsed = [parse_feature(raw, table.types.get(raw.name)) for raw in columns]
    values = [problems.check(column, raw).alias(raw.name) for column, raw in zip(parsed, columns, strict=True)]
    notes = [f"column '{raw.name}': {one.note}" for one, raw in zip(parsed, columns, strict=True) if one.note]
    return values, notes
