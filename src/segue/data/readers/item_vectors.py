"""Read a table of item vectors: one vector of numbers per item, from any model of texts, images or sounds."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from segue.data.events import ITEM, Events
from segue.data.ingest.columns import find_column, quoted
from segue.data.ingest.problems import Problems
from segue.data.ingest.tables import RawTable
from segue.data.ingest.values import ParsedColumn, parse_feature, parse_ids, rows_where
from segue.data.vocabulary import VECTOR
from segue.errors import LogError

_WRITE = "pl.DataFrame({'item': ids, 'vector': array}).write_parquet('vectors.parquet')"
"""How a table of vectors is written with polars, for messages."""


def parse_item_vectors(table: RawTable, columns: Mapping[str, str]) -> pl.DataFrame:
    """Validate a table of one id and one vector per row.

    Args:
        table: a column of ids, and one column of lists or arrays of numbers; any other columns are ignored.
        columns: the user's column by role.

    Returns:
        The columns ``item`` and ``VECTOR``, an array of float32.

    Raises:
        LogError: all problems in the table, with their rows.
    """
    problems = Problems(table.source)
    key = find_column(table.frame.columns, ITEM, columns, table.source)
    raw = _vector_column(table, problems)
    problems.raise_if_any()
    ids = problems.check(parse_ids(table.frame[key], text=table.is_text), table.frame[key]).alias(ITEM)
    no_id = ParsedColumn(ids, rows_where(ids.is_null()), "must have an id", "add it, or remove the row")
    problems.check(no_id, table.frame[key])
    repeated = rows_where(ids.is_not_null() & ~ids.is_first_distinct())
    twice = ParsedColumn(ids, repeated, "must have each id once", "keep one vector per item")
    problems.check(twice, table.frame[key])
    size = _common_length(raw, problems)
    lists = raw.cast(pl.List(pl.Float32))
    finite = lists.list.eval(pl.element().is_finite()).list.all().fill_null(True)
    rule = "must have finite numbers within the range of 32-bit floats"
    problems.check(ParsedColumn(lists, rows_where(~finite), rule), raw)
    problems.raise_if_any()
    return pl.DataFrame([ids, lists.list.to_array(size).alias(VECTOR)])


def attach_item_vectors(events: Events, table: RawTable, columns: Mapping[str, str]) -> Events:
    """Add the vectors of items to a log, as a column of its metadata; a note counts the items that have one.

    Raises:
        LogError: the table has problems, or vectors of no item of the log.
    """
    vectors = parse_item_vectors(table, columns)
    ids = events.frame[ITEM].drop_nulls().unique()
    vectors = vectors.with_columns(pl.col(ITEM).cast(ids.dtype, strict=False)).drop_nulls(ITEM)
    known = int(ids.is_in(vectors[ITEM].implode()).sum())
    if not known:
        example = f", such as {ids.min()!r}" if len(ids) else ""
        raise LogError(
            f"{table.source.name}: has vectors of none of the {len(ids):,} items of the log; its ids must be those of "
            f"the log{example}"
        )
    note = (
        f"item vectors: {Path(table.source.name).name} has {_size(vectors[VECTOR]):,} numbers for each of {known:,} of "
        f"{len(ids):,} items, and for {len(vectors) - known:,} other items"
    )
    items = events.items
    joined = vectors if items is None else items.join(vectors, on=ITEM, how="full", coalesce=True)
    return replace(events, items=joined, notes=(*events.notes, note))


def as_columns(source: Mapping[str, object]) -> dict[str, object]:
    """Return a dictionary of columns whose arrays of two dimensions are columns of vectors."""
    return {
        name: pl.Series(name, values) if isinstance(values, np.ndarray) and values.ndim == 2 else values
        for name, values in source.items()
    }


def _vector_column(table: RawTable, problems: Problems) -> pl.Series:
    """Return the column of lists of numbers; a problem is that there is none, or several."""
    parsed = [parse_feature(raw, "numbers") if table.types.get(raw.name) == "numbers" else None for raw in table.frame]
    columns = [raw if one is None else one.values.alias(raw.name) for raw, one in zip(table.frame, parsed, strict=True)]
    found = [raw for raw in columns if _holds_numbers(raw)]
    if not found:
        problems.add(
            f"has no column of lists of numbers, only {quoted(table.frame.columns)}; write one with polars: {_WRITE}"
        )
    elif len(found) > 1:
        names = quoted([raw.name for raw in found])
        problems.add(f"must have one column of vectors, got {names}; leave out all but one")
    elif table.frame.is_empty():
        problems.add("has no rows; a table of vectors needs one row per item")
    return found[0] if found else pl.Series(dtype=pl.List(pl.Float32))


def _holds_numbers(raw: pl.Series) -> bool:
    return isinstance(raw.dtype, pl.List | pl.Array) and pl.Series(dtype=raw.dtype.inner).dtype.is_numeric()


def _common_length(raw: pl.Series, problems: Problems) -> int:
    """Return the length that most vectors have; rows without a vector, or with another length, are problems."""
    lists = raw.cast(pl.List(raw.dtype.inner))  # type: ignore[attr-defined]
    lengths = lists.list.len()
    absent = rows_where(lists.is_null())
    problems.check(ParsedColumn(raw, absent, "must have a vector", "remove the rows of items without one"), raw)
    size = int(lengths.drop_nulls().mode().max() or 0)  # type: ignore[arg-type]
    if not size and not len(absent):
        problems.check(ParsedColumn(raw, rows_where(lengths == 0), "must have at least one number"), raw)
    other = rows_where((lengths != size).fill_null(False))
    rule = f"must have {size:,} numbers as the other vectors"
    problems.check(ParsedColumn(raw, other, rule, "vectors of one model have one length"), raw)
    if lists.explode().null_count() > int((lists.is_null() | (lengths == 0)).sum()):
        holes = lists.list.eval(pl.element().is_null()).list.any().fill_null(False)
        problems.check(ParsedColumn(raw, rows_where(holes), "must have no missing number"), raw)
    return size


def _size(vectors: pl.Series) -> int:
    size: int = vectors.dtype.shape[0]  # type: ignore[attr-defined]
    return size
