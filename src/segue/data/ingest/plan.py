"""Which columns of a source are parsed as what: decided by their names, before any value is parsed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from segue.data.events import PARTS, SESSION, TIME, USER
from segue.data.ingest.columns import COLUMN_ALIASES, how_to_choose, quoted, resolve_columns
from segue.data.ingest.options import ReadOptions, differences
from segue.data.ingest.problems import Problems, Source
from segue.data.ingest.times import parse_times
from segue.data.ingest.values import ParsedColumn, parse_feature, parse_ids, parse_numbers, rows_where
from segue.data.reading import Reading, Unit

_OTHER_FORMAT = (
    "this was the format of the log of the model; if it is not that of this log, give its own with --time-format "
    "(time_format= in Python)"
)


@dataclass(frozen=True)
class ColumnPlan:
    """The columns of a log.

    Attributes:
        roles: column of the source by role.
        names: the columns of the source.
        unit: what one session is, judging by the columns.
        reading: how the source is read, as a later log is to be.
        is_text: whether integers may be text.
        types: types of columns that the format declares.
        time_format: format of the times; detected if None.
        is_time_format_usual: whether this is the format of an earlier log, and none is requested.
        differences: roles that have another column than in an earlier log.
    """

    roles: Mapping[str, str]
    names: Sequence[str]
    unit: Unit
    reading: Reading
    is_text: bool = True
    types: Mapping[str, str] = field(default_factory=dict)
    time_format: str | None = None
    is_time_format_usual: bool = False
    differences: Sequence[str] = ()

    @property
    def sources(self) -> dict[str, str]:
        """The column of the source of each column of the log, in order."""
        return {**self.roles, **{name: name for name in self.features}}

    @property
    def features(self) -> list[str]:
        """The columns without a role, except those called like one."""
        return [name for name in self._free() if name not in COLUMN_ALIASES]

    def _free(self) -> list[str]:
        used = set(self.roles.values())
        return [name for name in self.names if name not in used]

    def parse(self, name: str, raw: pl.Series) -> ParsedColumn:
        """Parse a column of the log."""
        match name if name in self.roles else "":
            case "session" | "user" | "item":
                return parse_ids(raw, text=self.is_text)
            case "time":
                times = parse_times(raw, self.time_format)
                return replace(times, remedy=_OTHER_FORMAT) if self.is_time_format_usual else times
            case "rating":
                return parse_numbers(raw)
            case "part":
                parts = raw.cast(pl.String)
                invalid = rows_where(~parts.is_in(PARTS).fill_null(False))
                rule = f"must be one of {', '.join(PARTS)}"
                return ParsedColumn(parts, invalid, rule, "correct them, or rename the column")
        return parse_feature(raw, self.types.get(raw.name))

    def notes(self, descriptions: Mapping[str, str]) -> list[str]:
        """Say which column has which role, and which have none.

        Args:
            descriptions: how each column was interpreted, by its name in the log; empty if that is no news.
        """
        found = [
            f"{role} is '{name}'" + (f" ({descriptions[role]})" if descriptions[role] else "")
            for role, name in self.roles.items()
        ]
        notes = []
        if found != [f"{role} is '{role}'" for role in self.roles]:  # Names assigned by a reader are no news.
            notes.append("columns: " + ", ".join(found))
        if self.differences:
            notes.append(f"not as in the log of the model: {', '.join(self.differences)}")
        notes += [
            f"column '{name}' is left out: its name is taken by another one"
            for name in self._free()
            if name in COLUMN_ALIASES
        ]
        return [*notes, f"features: {quoted(self.features)}"] if self.features else notes

    def remarks(self, descriptions: Mapping[str, str], warnings: Mapping[str, str]) -> list[str]:
        """Say how features were interpreted, and what is doubtful about columns with a role."""
        remarks = [f"column '{name}': {descriptions[name]}" for name in self.features if descriptions[name]]
        return remarks + [f"column '{name}': {warnings[role]}" for role, name in self.roles.items() if warnings[role]]


def plan_columns(
    schema: Mapping[str, Any],
    given: Mapping[str, str],
    options: ReadOptions,
    source: Source,
    *,
    is_text: bool,
    types: Mapping[str, str],
) -> ColumnPlan:
    """Find the columns of a source.

    Args:
        schema: names and types of the columns of the source.
        given: column by role: ``options.columns_in(names)``, and the finest of several times.
        options: the user's description of the log.
        source: the source.
        is_text: whether integers may be text.
        types: types of columns that the format declares.

    Raises:
        LogError: a column is missing or ambiguous.
    """
    names, like, time_format = list(schema), options.like, options.time_format
    roles, problems = resolve_columns(names, given, options.by_column, source), Problems(source)
    key = SESSION if like and SESSION in like.columns else USER
    if like and options.leaves_sessions_open and key not in roles.sources:
        free = [name for name in names if name not in roles.columns.values()]
        problems.add(
            f"has no column for the {key}, which is '{like.columns[key]}' in the log of the model; it has "
            f"{quoted(names)}; {how_to_choose(key, (free or names)[0])}"
        )
    if time_format and TIME not in roles.columns:
        problems.add(
            f"has no column for the time, which --time-format (time_format=) describes; it has "
            f"{quoted(names)}; {how_to_choose(TIME, names[0])}"
        )
    problems.raise_if_any()
    usual = like.time_format if like and roles.columns.get(TIME) == like.columns.get(TIME) else None
    reading = options.reading(roles, time_format or usual)
    is_usual = time_format is None and usual is not None and not schema[roles.columns[TIME]].is_temporal()
    used = usual if is_usual else time_format
    plan = ColumnPlan(roles.columns, names, roles.unit, reading, is_text, types, used, is_usual)
    return replace(plan, differences=differences(reading, like)) if like else plan
