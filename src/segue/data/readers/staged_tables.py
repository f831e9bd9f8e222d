"""Raw pieces -> parsed pieces: every column as parsing it as a whole would read it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from segue.data.events import SESSION, TIME, USER
from segue.data.ingest.options import ReadOptions
from segue.data.ingest.pieces import Agreement, agree
from segue.data.ingest.plan import ColumnPlan, plan_columns
from segue.data.ingest.problems import Source
from segue.data.ingest.session_columns import SessionColumn, likely_sessions
from segue.data.ingest.time_columns import (
    MAX_FEATURES,
    SAMPLE,
    candidates,
    every,
    may_hold_times,
    may_miss_times,
    unused_time,
)
from segue.data.ingest.values import ParsedColumn
from segue.data.ingest.visits import Visits, add_visits
from segue.data.partitions import Engine, Table, load
from segue.data.readers.blocks import WholeLogError
from segue.data.readers.raw_pieces import RawPieces
from segue.data.readers.staged_pieces import (
    choose_time,
    count_bucket,
    count_users_of_bucket,
    finish_piece,
    pair_buckets,
    parse_piece,
    parse_whole,
    qualify_piece,
    raw_columns,
    raw_rows,
    session_pairs,
)
from segue.data.reading import Reading, Unit

_PAIR_BYTES = 64
"""Memory of a pair of ids in a set."""


@dataclass(frozen=True)
class ParsedPieces:
    """A log, or a part of it, in pieces.

    Attributes:
        pieces: its rows, in order.
        schema: names and types of the columns, as a table without rows.
        unit: as in ``Events``.
        notes: as in ``Events``.
        times: some of its times, among them the first and the last, in microseconds.
        reading: as in ``Events``.
    """

    pieces: tuple[Table, ...]
    schema: pl.DataFrame
    unit: Unit
    notes: tuple[str, ...]
    times: tuple[int, ...] = ()
    reading: Reading | None = None


@dataclass(frozen=True)
class _WholeColumn:
    """A column that was parsed as a whole: its interpretation, its values in pieces, and facts about times."""

    agreement: Agreement
    pieces: Sequence[Table]
    times: Mapping[str, Any]


def parse_pieces(raw: RawPieces, options: ReadOptions, engine: Engine, size: int) -> ParsedPieces:
    """Parse the pieces of a log.

    Args:
        raw: the pieces.
        options: the user's description of the log.
        engine: runs the work on the pieces.
        size: bytes of memory that a step may take.

    Raises:
        LogError: the log has a mistake; reading it as a whole says which.
    """
    source = Source("the log")
    given = options.columns_in(raw.schema.columns)
    if (names := candidates(raw.schema.columns, given)) and len(names) > 1:
        tables = engine.map(raw_columns, raw.pieces, options=asdict(options), names=names)
        finest = engine.map(choose_time, [_numbered([one["raw"] for one in tables])], given=given)[0]["finest"]
        given = {**given, TIME: finest} if finest else given
    plan = plan_columns(raw.schema.schema, given, options, source, is_text=raw.is_text, types=raw.types)
    shared = {"options": asdict(options), "plan": asdict(plan)}
    parsed = engine.map(parse_piece, raw.pieces, **shared)
    heights = [one["parsed"].height for one in parsed]
    if not sum(heights):
        raise WholeLogError("the log has no rows")
    schemas = [load(one["schema"]).schema for one in parsed]
    agreements, whole = {}, {}
    for name in plan.sources:
        facts = [one["facts"][name] | {"dtype": schema[name]} for one, schema in zip(parsed, schemas, strict=True)]
        found = agree(plan, name, facts)
        if found is None:
            whole[name] = _parse_whole(name, plan, raw, options, engine)
            found = whole[name].agreement
        agreements[name] = found
    schema = pl.DataFrame(schema={name: one.dtype for name, one in agreements.items()})
    pieces = _finish(parsed, agreements, whole, schema, raw, shared, engine)
    notes = _notes(plan, agreements, sum(heights) - sum(piece.height for piece in pieces))
    times = [whole[TIME].times] if TIME in whole else [one["facts"].get(TIME, {}) for one in parsed]
    times = [one for one in times if "step" in one]
    notes += _unused_times(plan, [one["step"] for one in times], heights, raw, options, engine)
    if options.leaves_histories_open(plan.unit):
        notes += _unused_sessions(plan, pieces, schema.schema, engine, size)
    if plan.unit == SESSION and USER in plan.roles:
        visits = _count_visits(pieces, engine, size)
        notes += visits.notes(plan.roles)
        if visits.are_numbered_anew:
            qualified = tuple(one["frame"] for one in engine.map(qualify_piece, [{"frame": one} for one in pieces]))
            engine.drop(pieces)
            pieces, schema = qualified, schema.with_columns(pl.col(SESSION).cast(pl.String))
    ticks = tuple(one[end] for one in times for end in ("low", "high") if one[end] is not None)
    return ParsedPieces(pieces, schema, plan.reading.unit, (*raw.notes, *notes), ticks, plan.reading)


def _numbered(tables: Sequence[Table]) -> dict[str, Table]:
    return {str(number): table for number, table in enumerate(tables)}


def _parse_whole(name: str, plan: ColumnPlan, raw: RawPieces, options: ReadOptions, engine: Engine) -> _WholeColumn:
    tables = engine.map(raw_columns, raw.pieces, options=asdict(options), names=[plan.sources[name]])
    numbered = _numbered([one["raw"] for one in tables])
    found = engine.map(parse_whole, [numbered], plan=asdict(plan), name=name)[0]
    engine.drop(list(numbered.values()))
    if not found["is_valid"]:
        raise WholeLogError(f"the column '{name}' has invalid values")
    pieces = [found[number] for number in numbered]
    dtype = load(found["schema"]).schema[name]
    agreement = Agreement(dtype, found["note"], found["missing"], found["warning"])
    return _WholeColumn(agreement, pieces, found.get("times", {}))


def _finish(
    parsed: Sequence[Mapping[str, Any]],
    agreements: Mapping[str, Agreement],
    whole: Mapping[str, _WholeColumn],
    schema: pl.DataFrame,
    raw: RawPieces,
    shared: Mapping[str, Any],
    engine: Engine,
) -> tuple[Table, ...]:
    """Return the pieces with every column as the whole column is read; those that need no change as they are."""
    pieces: list[Table] = [one["parsed"] for one in parsed]
    changed, each = [], []
    for number, one in enumerate(parsed):
        again = {name: found.again[number] for name, found in agreements.items() if number in found.again}
        if again or whole or one["has_blank"] or load(one["schema"]).schema != schema.schema:
            columns = {f"whole {name}": column.pieces[number] for name, column in whole.items()}
            changed.append(number)
            each.append({"parsed": pieces[number], "again": again, **columns, **raw.pieces[number]})
    if changed:
        names = [f"whole {name}" for name in whole]
        finished = engine.map(finish_piece, each, schema=schema, whole=names, **shared)
        engine.drop([pieces[number] for number in changed])
        engine.drop([piece for column in whole.values() for piece in column.pieces])
        for number, one in zip(changed, finished, strict=True):
            pieces[number] = one["frame"]
    return tuple(pieces)


def _notes(plan: ColumnPlan, agreements: Mapping[str, Agreement], blank_lines: int) -> list[str]:
    none = pl.Series()
    columns = {name: ParsedColumn(none, note=one.note, missing=one.missing) for name, one in agreements.items()}
    descriptions = {name: column.describe(blank_lines) for name, column in columns.items()}
    warnings = {name: one.warning for name, one in agreements.items()}
    return plan.notes(descriptions) + plan.remarks(descriptions, warnings)


def _unused_times(
    plan: ColumnPlan, steps: Sequence[int], heights: Sequence[int], raw: RawPieces, options: ReadOptions, engine: Engine
) -> list[str]:
    """Return the warnings of ``unused_times``, from the same rows of the log."""
    step = min(steps) if TIME in plan.roles else None
    names = plan.features[:MAX_FEATURES]
    if not names or not may_miss_times(step):
        return []
    starts = [sum(heights[:number]) for number in range(len(heights))]

    def rows(names: list[str], count: int, distance: int) -> pl.DataFrame:
        each = [
            {"first": -start % distance, "count": count - start, **piece}
            for start, piece in zip(starts, raw.pieces, strict=True)
            if start < count
        ]
        shared = {"options": asdict(options), "names": names, "every": distance}
        return pl.concat([load(one["raw"]) for one in engine.map(raw_rows, each, **shared)])

    likely = [head.name for head in rows(names, SAMPLE, 1).get_columns() if may_hold_times(head)]
    if not likely:
        return []
    sample = rows(likely, sum(heights), every(sum(heights)))
    return [warning for column in sample.get_columns() for warning in unused_time(column, step)]


def _unused_sessions(
    plan: ColumnPlan, pieces: Sequence[Table], schema: Mapping[str, Any], engine: Engine, size: int
) -> list[str]:
    """Return the notes of ``unused_sessions``."""
    notes = []
    buckets, rows = _n_buckets(pieces, size), sum(piece.height for piece in pieces)
    for name in likely_sessions(plan.features, schema):
        each = [{"frame": piece} for piece in pieces]
        found = engine.map(session_pairs, each, name=name, buckets=buckets)
        values, users = (
            [_numbered([one[f"{key}{number}"] for one in found]) for number in range(buckets)]
            for key in ("value", "user")
        )
        visits = add_visits([Visits(**one) for one in engine.map(count_bucket, values)])
        counts = engine.map(count_users_of_bucket, users)
        engine.drop([table for bucket in (*values, *users) for table in bucket.values()])
        column = SessionColumn(
            visits,
            users=sum(one["users"] for one in counts),
            span=sum(one["span"] for one in counts),
            events=sum(one["events"] for one in found),
        )
        notes += column.notes(name, plan.roles[SESSION], rows)
    return notes


def _n_buckets(pieces: Sequence[Table], size: int) -> int:
    return 1 + sum(piece.height for piece in pieces) * _PAIR_BYTES // size


def _count_visits(pieces: Sequence[Table], engine: Engine, size: int) -> Visits:
    """Count the sessions and users of a log in buckets of sessions, so that the pairs of all need not be in memory."""
    buckets = _n_buckets(pieces, size)
    each = [{"frame": piece} for piece in pieces]
    found = engine.map(pair_buckets, each, buckets=buckets)
    tables = [_numbered([one[str(number)] for one in found]) for number in range(buckets)]
    counts = engine.map(count_bucket, tables)
    engine.drop([table for bucket in tables for table in bucket.values()])
    return add_visits([Visits(**one) for one in counts])
