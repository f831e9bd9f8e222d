"""Logs in the form in which their owners published them, where that needs more than a table."""

from dataclasses import replace

import polars as pl

from segue.data.ingest.admit import Table, Wishes
from segue.data.ingest.columns import listed
from segue.data.readers.delimited import Delimited, read_delimited, split
from segue.data.readers.text import TextFile
from segue.errors import LogError

_YOOCHOOSE = ("session", "time", "item", "category")
_DAY, _OFFSET = "eventdate", "timeframe"


def is_yoochoose(file: TextFile) -> bool:
    """Whether a file looks like ``yoochoose-clicks.dat`` or ``yoochoose-test.dat``."""
    return file.path.name.startswith("yoochoose-") and len(split(file.head[0], ",")) == len(_YOOCHOOSE)


def read_yoochoose(file: TextFile, wishes: Wishes) -> Table:
    """Read the clicks of the RecSys Challenge 2015: session, ISO time, item, category; no header.

    Raises:
        LogError: a line does not hold these four fields.
    """
    table = Delimited(file, ",", _YOOCHOOSE, has_header=False).table()
    return replace(table, notes=(*file.notes, f"format: YooChoose as published, {', '.join(_YOOCHOOSE)}"))


def is_diginetica(file: TextFile) -> bool:
    """Whether a file looks like ``train-item-views.csv``."""
    return {_DAY, _OFFSET} <= set(split(file.head[0], ";"))


def read_diginetica(file: TextFile, wishes: Wishes) -> Table:
    """Read the item views of the CIKM Cup 2016: the time is a day and the milliseconds since the session began.

    Raises:
        LogError: the two columns are missing, or lines are ragged.
    """
    table = read_delimited(file, ";", wishes)
    names = table.frame.columns
    if not {_DAY, _OFFSET} <= set(names):
        raise LogError(f"{file.path}: must have the columns '{_DAY}' and '{_OFFSET}', got {listed(names)}")
    day = pl.col(_DAY).str.to_datetime("%Y-%m-%d", time_unit="us", strict=False)
    moment = day + pl.duration(milliseconds=pl.col(_OFFSET).cast(pl.Int64, strict=False))
    as_given = pl.concat_str(_DAY, pl.lit(" + "), _OFFSET, pl.lit(" ms"))
    time = pl.coalesce(moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f"), as_given).alias("time")
    frame = table.frame.select(pl.exclude(_DAY, _OFFSET), time)
    note = f"format: Diginetica as published, the time is '{_DAY}' plus '{_OFFSET}' milliseconds"
    return Table(frame, table.place, notes=(*file.notes, note))
