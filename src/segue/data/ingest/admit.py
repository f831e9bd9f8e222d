"""A table as it stands in a source -> Events, or all its mistakes at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from segue.data.events import PARTS, SESSION, USER, Events, Unit
from segue.data.ingest.columns import USUAL_NAMES, Roles, listed, resolve
from segue.data.ingest.mistakes import Mistakes, Place
from segue.data.ingest.times import TIME_UNITS, TimeUnit, as_times
from segue.data.ingest.values import Column, as_feature, as_ids, as_numbers, rows_where
from segue.errors import UnknownNameError


@dataclass(frozen=True)
class Table:
    """What a reader hands over: columns under the names of the source, values as they stand there.

    Attributes:
        frame: the rows; a text format leaves every value as text, which is interpreted here.
        place: where the rows come from.
        is_text: whether integers may stand in ``frame`` as text.
        notes: what the reader recognised.
        types: declared types of columns (``"number"``, ``"category"``, ``"numbers"``), where the format
            declares them.
        unit: what one session is, where only the format or the data set can tell.
    """

    frame: pl.DataFrame
    place: Place
    is_text: bool = True
    notes: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    unit: Unit | None = None


@dataclass(frozen=True)
class Wishes:
    """What the user says about a log.

    Attributes:
        columns: column by role; the usual names are looked for where a role is not given.
        time_unit: unit of numeric times; told from their size if None.
        unit: what one session is; told from the columns if None.

    Raises:
        UnknownNameError: a unit is none of the known ones.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    time_unit: TimeUnit | None = None
    unit: Unit | None = None

    def __post_init__(self) -> None:
        if self.time_unit is not None and self.time_unit not in TIME_UNITS:
            raise UnknownNameError("time unit", self.time_unit, TIME_UNITS)
        if self.unit is not None and self.unit not in (SESSION, USER):
            raise UnknownNameError("unit", self.unit, (SESSION, USER))


def admit(table: Table, wishes: Wishes) -> Events:
    """Check and convert a table.

    A value that is absent becomes null and is left to the cleaning, which reports what it drops. A value that is
    present and cannot be understood is a mistake. Rows without any value (blank lines) are left out.

    Raises:
        LogError: the columns that are missing, or else all values that break a rule.
    """
    mistakes = Mistakes(table.place)
    if table.frame.is_empty():
        mistakes.add("has no events; a log needs at least one row of them")
        mistakes.raise_if_any()
    roles = resolve(table.frame.columns, wishes.columns, wishes.unit, table.place)
    notes, columns, found = list(table.notes), [], []
    for role, name in roles.columns.items():
        column = _convert(role, table, table.frame[name], wishes.time_unit)
        found.append(f"{role} is '{name}'" + (f" ({column.note})" if column.note else ""))
        columns.append(checked(column, table.frame[name], mistakes).alias(role))
    if found != [f"{role} is '{role}'" for role in roles.columns]:  # Names given by a reader tell nothing.
        notes.append("columns: " + ", ".join(found))
    columns += _features(table, roles, mistakes, notes)
    mistakes.raise_if_any()
    frame = _without_blank_rows(pl.DataFrame(columns))
    return Events(frame, unit=wishes.unit or table.unit or roles.unit, notes=tuple(notes))


def checked(column: Column, raw: pl.Series, mistakes: Mistakes) -> pl.Series:
    """Return the values of a converted column; those that break its rule are noted."""
    if len(column.bad):
        mistakes.add_values(raw, column.bad, column.rule, column.remedy)
    return column.values


def _convert(role: str, table: Table, raw: pl.Series, time_unit: TimeUnit | None) -> Column:
    match role:
        case "session" | "user" | "item":
            return as_ids(raw, text=table.is_text)
        case "time":
            return as_times(raw, time_unit)
        case "rating":
            return as_numbers(raw)
        case "part":
            return _as_part(raw)
    return as_feature(raw, table.types.get(raw.name))


def _as_part(raw: pl.Series) -> Column:
    parts = raw.cast(pl.String)
    bad = rows_where(~parts.is_in(PARTS).fill_null(False))
    return Column(parts, bad, f"must be one of {', '.join(PARTS)}", "correct them, or rename the column")


def _features(table: Table, roles: Roles, mistakes: Mistakes, notes: list[str]) -> list[pl.Series]:
    """Convert the columns without a role; they keep their names."""
    free = [raw for raw in table.frame.get_columns() if raw.name not in roles.columns.values()]
    for raw in free:
        if raw.name in USUAL_NAMES:
            notes.append(f"column '{raw.name}' is left out: its name is taken by another one")
    kept = [raw for raw in free if raw.name not in USUAL_NAMES]
    if kept:
        notes.append(f"features: {listed([raw.name for raw in kept])}")
    return [checked(as_feature(raw, table.types.get(raw.name)), raw, mistakes).alias(raw.name) for raw in kept]


def _without_blank_rows(frame: pl.DataFrame) -> pl.DataFrame:
    if not frame[SESSION].null_count():
        return frame
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))
