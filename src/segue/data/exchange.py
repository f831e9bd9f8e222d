"""Exchange the rows of a log between partitions: from the order of the file to the order of ``sort_events``."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from segue.data.events import ROW, SESSION, TIME
from segue.data.partitions import Engine, PartitionedLog, Table, load, slice_table

_SAMPLES_PER_PARTITION = 200


def sort_partitioned(engine: Engine, pieces: Sequence[Table], partitions: int) -> PartitionedLog:
    """Sort a log into partitions of whole sessions; laid end to end, they are what ``sort_events`` returns.

    Partitions are ranges of session ids with about equally many events. A session is never divided, so that a long one
    makes a long partition.

    Args:
        engine: runs the work on each piece and each partition.
        pieces: the log in the order of the file.
        partitions: how many partitions to make; there may be fewer if sessions are few.
    """
    least = max(1, sum(piece.height for piece in pieces) // (partitions * _SAMPLES_PER_PARTITION))
    each: list[dict[str, Any]] = [{"piece": piece} for piece in pieces]
    samples = [load(one["sample"]) for one in engine.map(_sample, each, step=least)] if partitions > 1 else []
    cuts = _quantiles(samples, partitions)
    first, starts = 0, []
    for piece in pieces:
        starts.append(first)
        first += piece.height
    each = [{"piece": piece, "first_row": start} for piece, start in zip(pieces, starts, strict=True)]
    scattered = engine.map(_scatter, each, cuts=cuts)
    each = [
        {"tables": [slice_table(one["rows"], *one["bounds"][p : p + 2]) for one in scattered]}
        for p in range(cuts.height + 1)
    ]
    merged = engine.map(_merge, each)
    engine.drop([one["rows"] for one in scattered])
    return PartitionedLog(engine, tuple(one["log"] for one in merged))


def _quantiles(samples: Sequence[pl.DataFrame], partitions: int) -> pl.DataFrame:
    """Return the first session id of each partition but the first."""
    if not samples:
        return pl.DataFrame({SESSION: []})
    sorted_ids = pl.concat(samples)[SESSION].drop_nulls().sort()
    places = [len(sorted_ids) * number // partitions for number in range(1, partitions)]
    cuts = sorted_ids.gather([place for place in places if place < len(sorted_ids)]).unique().sort()
    return cuts.to_frame()


def _sample(piece: pl.DataFrame, step: int) -> dict[str, Any]:
    """Return the session id of every ``step``-th event."""
    return {"sample": piece.select(pl.col(SESSION).gather_every(step, step // 2))}


def _scatter(piece: pl.DataFrame, first_row: int, cuts: pl.DataFrame) -> dict[str, Any]:
    """Number the rows of a piece and order them by partition; ``bounds`` are the first rows of the partitions."""
    ordered = piece.with_row_index(ROW, first_row).sort(SESSION, maintain_order=True)
    inner = [] if cuts.is_empty() else ordered[SESSION].search_sorted(cuts[SESSION], side="left").to_list()
    return {"rows": ordered, "bounds": [0, *inner, ordered.height]}


def _merge(tables: Sequence[Table]) -> dict[str, Any]:
    """Sort the rows of one partition, which come in the order of the pieces."""
    log = pl.concat([load(table) for table in tables])
    keys = [SESSION, TIME] if TIME in log.columns else [SESSION]
    return {"log": log.sort(keys, maintain_order=True)}
