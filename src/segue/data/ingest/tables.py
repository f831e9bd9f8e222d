"""Convert what a reader returns into ``Events`` or metadata, or report all its problems at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from segue.data.events import ITEM, SESSION, TIME, USER, Events
from segue.data.ingest.columns import find_column
from segue.data.ingest.options import ReadOptions
from segue.data.ingest.plan import plan_columns
from segue.data.ingest.problems import Problems, Source
from segue.data.ingest.session_columns import unused_sessions
from segue.data.ingest.time_columns import finest_time, unused_times
from segue.data.ingest.values import parse_feature, parse_ids
from segue.data.ingest.visits import count_visits, qualify_visits
from segue.errors import LogError, noted


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
    given = options.columns_in(table.frame.columns)
    finest = finest_time(table.frame, given)
    given = {**given, TIME: finest} if finest else given
    plan = plan_columns(table.frame.schema, given, options, table.source, is_text=table.is_text, types=table.types)
    raw = {name: table.frame[source] for name, source in plan.sources.items()}
    parsed = {name: plan.parse(name, one) for name, one in raw.items()}
    read = pl.DataFrame([problems.check(column, raw[name]).alias(name) for name, column in parsed.items()])
    frame = without_blank_rows(read)
    descriptions = {name: column.describe(read.height - frame.height) for name, column in parsed.items()}
    notes += plan.notes(descriptions)
    problems.raise_if_any()
    notes += plan.remarks(descriptions, {name: column.warning for name, column in parsed.items()})
    notes += unused_times([raw[name] for name in plan.features], read[TIME] if TIME in read.columns else None)
    if options.leaves_histories_open(plan.unit):
        notes += unused_sessions(frame, plan.features, plan.roles[SESSION])
    if plan.unit == SESSION and USER in frame.columns:
        visits = count_visits(frame)
        notes += visits.notes(plan.roles)
        frame = qualify_visits(frame) if visits.are_numbered_anew else frame
    return Events(frame, unit=plan.reading.unit, notes=tuple(notes), reading=plan.reading)


def without_blank_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop the rows without any value, which were blank lines."""
    return frame.filter(~pl.all_horizontal(pl.all().is_null())) if frame[SESSION].null_count() else frame


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


def _parse_features(table: RawTable, columns: list[pl.Series], problems: Problems) -> tuple[list[pl.Series], list[str]]:
    parsed = [parse_feature(raw, table.types.get(raw.name)) for raw in columns]
    values = [problems.check(column, raw).alias(raw.name) for column, raw in zip(parsed, columns, strict=True)]
    notes = [f"column '{raw.name}': {one.note}" for one, raw in zip(parsed, columns, strict=True) if one.note]
    return values, notes
