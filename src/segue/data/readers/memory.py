"""Data in memory: polars and pandas frames, dictionaries of arrays, scipy sparse matrices."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segue.data.events import ITEM, RATING, SESSION, USER
from segue.data.ingest.columns import quoted
from segue.data.ingest.problems import Source
from segue.data.ingest.tables import RawTable
from segue.data.reading import Unit
from segue.errors import LogError

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix


def is_pandas(source: object, kind: str = "DataFrame") -> bool:
    """Whether an object is a pandas frame, or another pandas type; does not import pandas."""
    return _is_from("pandas", source) and type(source).__name__ == kind


def is_sparse(source: object) -> bool:
    """Whether an object is a scipy sparse matrix or array; does not import scipy."""
    return _is_from("scipy", source) and hasattr(source, "tocsr")


def _is_from(package: str, source: object) -> bool:
    return type(source).__module__.partition(".")[0] == package


def from_polars(frame: pl.DataFrame) -> RawTable:
    """Wrap a polars frame; rows are counted from 0."""
    return RawTable(frame, Source("the frame"), is_text=False)


def from_pandas(frame: "pd.DataFrame") -> RawTable:
    """Convert a pandas frame column by column (without pyarrow); its index is ignored, rows are counted from 0.

    Raises:
        LogError: two columns have the same name.
    """
    names = [str(name) for name in frame.columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise LogError(f"the frame: columns must have different names, got {quoted(repeated)} more than once")
    columns = [_from_pandas_series(name, frame.iloc[:, position]) for position, name in enumerate(names)]
    return RawTable(pl.DataFrame(columns), Source("the frame"), is_text=False)


def from_mapping(columns: Mapping[Any, Any]) -> RawTable:
    """Convert a dictionary of one array, list or series per column; rows are counted from 0.

    Raises:
        LogError: a column has no name, columns differ in length, or values in type.
    """
    problems, found = [], []
    for name, values in columns.items():
        if not isinstance(name, str):
            problems.append(f"the dict: column names must be text, got {name!r}")
            continue
        try:
            found.append(_to_series(name, values))
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            reason = " ".join(str(error).split())
            problems.append(f"the dict, column '{name}': must be a list or one-dimensional array ({reason})")
    lengths = {series.name: len(series) for series in found}
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"'{name}' {length:,}" for name, length in lengths.items())
        problems.append(f"the dict: columns must have the same length, got {got}")
    if problems:
        raise LogError(*problems)
    return RawTable(pl.DataFrame(found), Source("the dict"), is_text=False)


def from_sparse(matrix: "csr_matrix", unit: Unit | None) -> RawTable:
    """Convert each non-zero entry of a scipy matrix to one event: row, column and value are user, item and rating.

    Args:
        matrix: a sparse matrix or array with two dimensions.
        unit: ``"session"`` if its rows are sessions.

    Raises:
        LogError: it does not have two dimensions, or a value is not a finite number.
    """
    if matrix.ndim != 2:
        raise LogError(f"the matrix: must have two dimensions (rows and items), got {matrix.ndim}")
    rows = matrix.tocsr(copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    values = rows.data.astype(np.int8) if rows.dtype == bool else rows.data
    if values.dtype.kind not in "iuf":
        raise LogError(f"the matrix: must contain finite numbers, got {values.dtype}; convert it")
    if invalid := np.count_nonzero(~np.isfinite(values)):
        raise LogError(f"the matrix: must contain finite numbers, got {invalid:,} others; remove or correct them")
    owner = SESSION if unit == "session" else USER
    owners = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    frame = pl.DataFrame({owner: owners, ITEM: rows.indices.astype(np.int64), RATING: values})
    note = (
        f"matrix: each non-zero entry is one event, with {owner} = row, item = column (from 0) and rating = value; "
        "the order of the events of a row is unknown, so they are in column order"
    )
    return RawTable(frame, Source("the matrix"), is_text=False, notes=(note,))


def _to_series(name: str, values: Any) -> pl.Series:
    if isinstance(values, pl.Series):
        return values.alias(name)
    if is_pandas(values, "Series"):
        return _from_pandas_series(name, values)
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise TypeError(f"got {type(values).__name__}")
    array = values if isinstance(values, list | tuple) else np.asarray(values)
    if isinstance(array, np.ndarray) and array.ndim != 1:
        raise TypeError(f"got {array.ndim} dimensions")
    if isinstance(array, np.ndarray) and array.dtype.kind in "iufM":
        return _from_array(name, array)
    return pl.Series(name, array.tolist() if isinstance(array, np.ndarray) else array)


def _from_pandas_series(name: str, series: Any) -> pl.Series:
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    if getattr(series.dtype, "kind", "O") in "iufM" and not series.hasnans:
        return _from_array(name, series.to_numpy())
    if series.dtype.kind == "f":
        return pl.Series(name, series.to_numpy(dtype=float), nan_to_null=True)
    values = series.astype(object).where(series.notna(), None).tolist()
    return pl.Series(name, values, strict=False)


def _from_array(name: str, array: np.ndarray) -> pl.Series:
    """Convert numbers or times; NaN becomes null, and times in a unit that polars lacks become microseconds."""
    if array.dtype.kind == "M" and np.datetime_data(array.dtype)[0] not in ("ms", "us", "ns"):
        array = array.astype("datetime64[us]")
    return pl.Series(name, array, nan_to_null=True)
