"""Columns beside the arrays: what a log says of each event or session, in memory or on disk."""

from io import BytesIO
from pathlib import Path
from typing import overload

import numpy as np
import polars as pl
from jaxtyping import Int64


class StoredColumns:
    """The columns of a Parquet file; each is read when it is first used.

    Supports what the package needs of a polars frame: ``columns``, a column by name, and rows by number.

    Args:
        file: the Parquet file. It stays readable under this object when another file takes its name.

    Attributes:
        columns: names of the columns.

    Raises:
        OSError: the file cannot be read.
        polars.exceptions.PolarsError: it is no Parquet file.
    """

    def __init__(self, file: Path) -> None:
        self.columns = list(pl.read_parquet_schema(file))
        self._content = np.memmap(file, dtype=np.uint8, mode="r")
        self._read: dict[str, pl.Series] = {}

    @overload
    def __getitem__(self, chosen: str) -> pl.Series: ...

    @overload
    def __getitem__(self, chosen: Int64[np.ndarray, "_"]) -> pl.DataFrame: ...

    def __getitem__(self, chosen: str | Int64[np.ndarray, "_"]) -> pl.Series | pl.DataFrame:
        if isinstance(chosen, str):
            if chosen not in self._read:
                self._read[chosen] = pl.read_parquet(BytesIO(self._content.data), columns=[chosen])[chosen]
            return self._read[chosen]
        return pl.DataFrame([self[name].gather(chosen) for name in self.columns])


Columns = pl.DataFrame | StoredColumns
