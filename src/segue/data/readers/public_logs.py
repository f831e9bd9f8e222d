"""Public logs: where they are found, and readers for those that are more than a plain table.

The logs are not part of segue; most owners forbid redistribution. The environment variable ``SEGUE_DATA`` names a
folder that contains them, one sub-folder each; ``segue.read`` finds a log by the name of its sub-folder. A name never
changes how a log is read.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import polars as pl

from segue.data.ingest.columns import quoted
from segue.data.ingest.options import ReadOptions
from segue.data.ingest.tables import RawTable
from segue.data.readers.delimited import DelimitedFile, read_delimited, split_fields
from segue.data.readers.text import TextFile
from segue.errors import LogError

FOLDER_VARIABLE = "SEGUE_DATA"


MOVIELENS = {
    "movies.dat": ("item", "title", "genres"),
    "users.dat": ("user", "gender", "age", "occupation", "zip"),
}
"""Fields of MovieLens' metadata files without a header."""

_YOOCHOOSE = ("session", "time", "item", "category")
_DAY, _OFFSET = "eventdate", "timeframe"
_MOST_OFFSET = 366 * 86_400_000
"""Milliseconds of a year, which no session lasts."""


def find_log(name: str) -> Path | None:
    """Find a log in the folder that ``SEGUE_DATA`` names; None if it is not there."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder or not name.strip("./"):
        return None
    path = Path(folder) / name
    return path if path.exists() else None


def is_yoochoose(file: TextFile) -> bool:
    """Whether a file looks like ``yoochoose-clicks.dat`` or ``yoochoose-test.dat``."""
    return re.fullmatch(r"\d+,\d{4}-\d\d-\d\dT[\d:.]+Z,\d+,\w+", file.head[0]) is not None


def read_yoochoose(file: TextFile, options: ReadOptions) -> RawTable:
    """Read the clicks of the RecSys Challenge 2015: session, ISO time, item, category; no header.

    Raises:
        LogError: a line does not have these four fields.
    """
    table = DelimitedFile(file, ",", _YOOCHOOSE, header=None).read()
    return replace(table, notes=(*file.notes, f"format: YooChoose as published, {', '.join(_YOOCHOOSE)}"))


def is_diginetica(file: TextFile) -> bool:
    """Whether a file looks like ``train-item-views.csv``."""
    return {_DAY, _OFFSET} <= set(split_fields(file.head[0], ";"))


def read_diginetica(file: TextFile, options: ReadOptions) -> RawTable:
    """Read the item views of the CIKM Cup 2016: the time is a day and the milliseconds since the session began.

    Raises:
        LogError: one of the two columns is missing, or lines differ in their number of fields.
    """
    table = read_delimited(file, options, ";")
    names = table.frame.columns
    if not {_DAY, _OFFSET} <= set(names):
        raise LogError(f"{file.path}: must have the columns '{_DAY}' and '{_OFFSET}', got {quoted(names)}")
    day = pl.col(_DAY).str.to_datetime("%Y-%m-%d", time_unit="us", strict=False)
    offset = pl.col(_OFFSET).cast(pl.Int64, strict=False)
    time = day + pl.duration(milliseconds=pl.when(offset.abs() < _MOST_OFFSET).then(offset))
    invalid = pl.concat_str(_DAY, pl.lit(" + "), _OFFSET, pl.lit(" ms"))
    text = pl.coalesce(time.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f"), invalid).alias("time")
    frame = table.frame.select(pl.exclude(_DAY, _OFFSET), text)
    note = f"format: Diginetica as published, the time is '{_DAY}' plus '{_OFFSET}' milliseconds"
    return RawTable(frame, table.source, notes=(*file.notes, note))
