"""Running sessions as a caller tells them -> prefixes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Int32, Int64

from segue.data.door.times import as_times
from segue.data.events import SECOND, TIME
from segue.data.sessions import Prefixes
from segue.errors import ParameterError

Told = Mapping[str, Any]
"""What a caller says of the events of sessions: values by the name of their column."""


def running_sessions(
    sessions: Sequence[Int32[np.ndarray, "_"]],
    readable: Bool[np.ndarray, "M"],
    told: Told,
) -> Prefixes:
    """Encode running sessions, without the events on items that a model cannot read.

    Args:
        sessions: the item indices of each.
        readable: for each item index whether the model can read it.
        told: for each session the value of each event, or one value for all of them, by the name of the column: those
            of ``time`` are dates, ISO 8601 texts or numbers since 1970, as in a log.

    Raises:
        ParameterError: there is not one value per event, or a time is none.
    """
    items = np.concatenate([np.zeros(0, dtype=np.int32), *sessions])
    kept = readable[items]
    lengths = np.array([int(readable[one].sum()) for one in sessions], dtype=np.int64)
    ends = np.cumsum(lengths)
    sizes = [len(one) for one in sessions]
    columns = {name: _flat(name, values, sizes) for name, values in told.items()}
    times = _seconds(columns.pop(TIME))[kept] if TIME in columns else None
    others = pl.DataFrame(columns).filter(kept) if columns else None
    return Prefixes(items[kept], ends - lengths, ends, times, others)


def _flat(name: str, values: Sequence[Any], sizes: list[int]) -> pl.Series:
    if len(values) != len(sizes):
        raise ParameterError(f"context.{name}: must hold one entry per session, {len(sizes)}, got {len(values)}")
    spread = [one if isinstance(one, list | tuple) else [one] * size for one, size in zip(values, sizes, strict=True)]
    got = [len(one) for one in spread]
    if got != sizes:
        raise ParameterError(f"context.{name}: must hold one value per item of each session, {sizes}, got {got}")
    return pl.Series(name, [value for one in spread for value in one], strict=False)


def _seconds(times: pl.Series) -> Int64[np.ndarray, "n"]:
    column = as_times(times)
    absent = column.values.null_count() > 0
    if len(column.bad) or absent:
        rule = "must be there for every event" if absent and not len(column.bad) else column.rule
        raise ParameterError(f"context.{TIME}: {rule}, got {times.to_list()}")
    seconds: np.ndarray = column.values.to_physical().to_numpy() // SECOND
    return seconds
