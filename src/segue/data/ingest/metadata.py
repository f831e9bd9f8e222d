"""Metadata of items and users, brought to the ids of a log."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from segue.data.events import ITEM, SESSION, USER, Events
from segue.data.ingest.admit import Table, checked
from segue.data.ingest.columns import find_key
from segue.data.ingest.mistakes import Mistakes
from segue.data.ingest.values import as_feature, as_ids
from segue.errors import LogError


def admit_metadata(table: Table, role: str, columns: Mapping[str, str]) -> pl.DataFrame:
    """Check and convert a table of metadata: one row per id, the first if there are several.

    Args:
        table: the rows.
        role: ``"item"`` or ``"user"``, the column that the ids get.
        columns: column by role, as told by the user.

    Raises:
        LogError: all mistakes of the table.
    """
    key = find_key(table.frame.columns, role, columns, table.place)
    mistakes = Mistakes(table.place)
    ids = checked(as_ids(table.frame[key], text=table.is_text), table.frame[key], mistakes).alias(role)
    others = [
        checked(as_feature(raw, table.types.get(raw.name)), raw, mistakes).alias(raw.name)
        for raw in table.frame.get_columns()
        if raw.name not in (key, role)
    ]
    mistakes.raise_if_any()
    return pl.DataFrame([ids, *others]).drop_nulls(role).unique(role, keep="first", maintain_order=True)


def attach(events: Events, table: Table, role: str, columns: Mapping[str, str]) -> Events:
    """Add metadata to a log; the note says how many of the log's ids have some.

    Raises:
        LogError: mistakes in the table, or no id of the log is in it.
    """
    metadata = admit_metadata(table, role, columns)
    ids = events.frame[_column_of(role, events)].drop_nulls().unique()
    metadata = metadata.with_columns(pl.col(role).cast(ids.dtype, strict=False)).drop_nulls(role)
    known = int(ids.is_in(metadata[role].implode()).sum())
    if not known:
        raise LogError(
            f"{table.place.name}: holds none of the {len(ids):,} {role}s of the log, so it belongs to another one; "
            "give the file whose ids are those of the log"
        )
    note = f"metadata: {Path(table.place.name).name} describes {known:,} of {len(ids):,} {role}s"
    notes = (*events.notes, note)
    return (
        replace(events, items=metadata, notes=notes) if role == ITEM else replace(events, users=metadata, notes=notes)
    )


def _column_of(role: str, events: Events) -> str:
    return SESSION if role == USER and events.unit == USER else role
