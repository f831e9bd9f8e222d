"""Parquet files."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from segue.data.ingest.admit import Table
from segue.data.ingest.mistakes import Place
from segue.errors import LogError


def read_parquet(path: Path, files: Sequence[Path]) -> Table:
    """Read one Parquet file, or the part files of a folder, in the order given.

    Args:
        path: what the user named, for messages.
        files: the files.

    Raises:
        LogError: a file is damaged, or the files have different columns.
    """
    try:
        frame = pl.read_parquet(list(files))
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise LogError(f"{path}: cannot be read as Parquet ({reason}); it is damaged or no Parquet") from error
    several = f", {len(files)} files in order of their names" if len(files) > 1 else ""
    return Table(frame, Place(str(path)), is_text=False, notes=(f"format: Parquet{several}",))
