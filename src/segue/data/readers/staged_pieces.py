"""What ``stage`` does with each piece of a log; the functions are called by an engine."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from segue.data.events import PART, SESSION, TIME, TIME_DTYPE, USER
from segue.data.fingerprint import fingerprint_pieces
from segue.data.ingest.pieces import describe, read_again, time_facts
from segue.data.ingest.plan import ColumnPlan
from segue.data.ingest.session_columns import count_pairs, count_users
from segue.data.ingest.tables import without_blank_rows
from segue.data.ingest.time_columns import finest_time
from segue.data.ingest.visits import count_visits, distinct_pairs, qualify_visits
from segue.data.partitions import Result
from segue.data.readers.raw_pieces import read_piece


def parse_piece(options: Mapping[str, Any], plan: Mapping[str, Any], **piece: Any) -> Result:
    """Parse the columns of a piece, and say how each was read; blank rows remain."""
    columns, facts = [], {}
    planned, frame = ColumnPlan(**plan), read_piece(options, **piece).frame
    for name, source in planned.sources.items():
        values, facts[name] = describe(planned, name, frame[source])
        columns.append(values.alias(name))
    parsed = pl.DataFrame(columns)
    return {"parsed": parsed, "schema": parsed.clear(), "facts": facts, "has_blank": parsed[SESSION].null_count() > 0}


def raw_columns(options: Mapping[str, Any], names: list[str], **piece: Any) -> Result:
    """Return some columns of a piece as they are in the source."""
    return {"raw": read_piece(options, **piece).frame.select(names)}


def raw_rows(options: Mapping[str, Any], names: list[str], first: int, count: int, every: int, **piece: Any) -> Result:
    """Return some rows of some columns of a piece: every so many from ``first``, of the first ``count``."""
    frame = read_piece(options, **piece).frame.select(names)
    return {"raw": frame.slice(first, max(0, count - first)).gather_every(every)}


def choose_time(given: Mapping[str, str], **pieces: pl.DataFrame) -> Result:
    """Choose among several columns called like a time, given all their values."""
    return {"finest": finest_time(pl.concat(pieces.values()), given)}


def parse_whole(plan: Mapping[str, Any], name: str, **pieces: pl.DataFrame) -> Result:
    """Parse a whole column, and return it in pieces."""
    planned = ColumnPlan(**plan)
    column = planned.parse(name, pl.concat(pieces.values())[planned.sources[name]])
    ends = {piece: frame.height for piece, frame in pieces.items()}
    result: dict[str, Any] = {
        "is_valid": not len(column.invalid),
        "note": column.note,
        "missing": dict(column.missing),
        "warning": column.warning,
    }
    if not result["is_valid"]:
        return result
    if name == TIME and column.values.dtype == TIME_DTYPE:
        result["times"] = time_facts(column.values)
    result["schema"] = column.values.clear().alias(name).to_frame()
    start = 0
    for piece, height in ends.items():
        result[piece] = column.values.slice(start, height).alias(name).to_frame()
        start += height
    return result


def finish_piece(
    options: Mapping[str, Any],
    plan: Mapping[str, Any],
    again: Mapping[str, str],
    parsed: pl.DataFrame,
    schema: pl.DataFrame,
    whole: list[str],
    **piece: Any,
) -> Result:
    """Replace columns of a piece by what the whole column is, and drop blank rows.

    Args:
        options: the fields of ``ReadOptions``.
        plan: the fields of ``ColumnPlan``.
        again: how to read columns again.
        parsed: the columns of the piece.
        schema: names and types of the columns of the log, without rows.
        whole: arguments that are columns which were parsed as a whole.
        **piece: these, and the arguments of ``read_piece``.
    """
    planned = ColumnPlan(**plan)
    replaced = [piece.pop(name) for name in whole]
    raw = read_piece(options, **piece).frame if again else parsed
    columns = {name: read_again(planned, raw[planned.sources[name]], way).alias(name) for name, way in again.items()}
    columns |= {name: frame[name] for frame in replaced for name in frame.columns}
    frame = parsed.with_columns(*columns.values()).cast(dict(schema.schema))  # type: ignore[arg-type]
    return {"frame": without_blank_rows(frame)}


def pair_buckets(frame: pl.DataFrame, buckets: int) -> Result:
    """Return the distinct pairs of session and user of a piece, in buckets by session."""
    pairs = distinct_pairs(frame)
    bucket = pairs[SESSION].hash() % buckets
    return {str(number): pairs.filter(bucket == number) for number in range(buckets)}


def count_bucket(**pieces: pl.DataFrame) -> Result:
    """Count the sessions and users of a bucket."""
    visits = count_visits(pl.concat(pieces.values()))
    return {"sessions": visits.sessions, "shared": visits.shared, "pairs": visits.pairs}


def session_pairs(frame: pl.DataFrame, name: str, buckets: int) -> Result:
    """Count the events of each user and value of a column; the pairs in buckets by value and in buckets by user."""
    pairs = count_pairs(frame, name)
    by_value, by_user = (pairs[column].hash() % buckets for column in (SESSION, USER))
    return {
        "events": int(pairs["events"].sum()),
        **{f"value{number}": pairs.filter(by_value == number) for number in range(buckets)},
        **{f"user{number}": pairs.filter(by_user == number) for number in range(buckets)},
    }


def count_users_of_bucket(**pieces: pl.DataFrame) -> Result:
    """Count the users of a bucket, and the numbers that their sessions may have."""
    users, span = count_users(pl.concat(pieces.values()))
    return {"users": users, "span": span}


def qualify_piece(frame: pl.DataFrame) -> Result:
    """Make a session of a user and a visit."""
    return {"frame": qualify_visits(frame)}


def part_piece(frame: pl.DataFrame, part: str, schema: pl.DataFrame) -> Result:
    """Add the part to a piece, and the columns that only other parts have."""
    return {"frame": pl.concat([schema, frame.with_columns(pl.lit(part).alias(PART))], how="diagonal_relaxed")}


def slice_piece(frame: pl.DataFrame) -> Result:
    """Keep a piece of a log that was read as a whole."""
    return {"frame": frame}


def distinct_ids(frame: pl.DataFrame, name: str) -> Result:
    """Return the distinct ids of a piece."""
    return {"ids": frame.select(pl.col(name).drop_nulls().unique())}


def hash_pieces(pieces: list[Any]) -> Result:
    """Return the fingerprint of the log, reading one column of a piece at a time."""
    return {"fingerprint": fingerprint_pieces(pieces)}
