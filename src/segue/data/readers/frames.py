"""Polars and pandas frames."""

from typing import TYPE_CHECKING, Any

import polars as pl

from segue.data.door.admit import Table
from segue.data.door.columns import listed
from segue.data.door.mistakes import Place
from segue.errors import LogError

if TYPE_CHECKING:
    import pandas as pd


def is_pandas(source: object) -> bool:
    """Whether an object is a pandas frame; pandas is not imported for it."""
    kind = type(source)
    return kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame"


def from_polars(frame: pl.DataFrame) -> Table:
    """Wrap a polars frame; rows are counted from 0."""
    return Table(frame, Place("the frame"), is_text=False)


def from_pandas(frame: "pd.DataFrame") -> Table:
    """Convert a pandas frame column by column (pyarrow is not needed); its index is not read, rows count from 0.

    Raises:
        LogError: two columns have one name.
    """
    names = [str(name) for name in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LogError(f"the frame: columns must have different names, {listed(twice)} is there more than once")
    columns = [_column(name, frame.iloc[:, position]) for position, name in enumerate(names)]
    return Table(pl.DataFrame(columns), Place("the frame"), is_text=False)


def _column(name: str, series: Any) -> pl.Series:
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    if getattr(series.dtype, "kind", "O") in "iufM" and not series.hasnans:
        return pl.Series(name, series.to_numpy())
    if series.dtype.kind == "f":
        return pl.Series(name, series.to_numpy(dtype=float), nan_to_null=True)
    values = series.astype(object).where(series.notna(), None).tolist()
    return pl.Series(name, values, strict=False)
