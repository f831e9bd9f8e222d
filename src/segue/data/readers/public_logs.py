"""Public logs: where their owners publish them, and readers for those that are more than a plain table.

The logs are not part of segue; most owners forbid redistribution. The environment variable ``SEGUE_DATA`` names a
folder that holds them, one sub-folder each; ``segue.read`` finds a log by the name of its sub-folder.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from segue.data.events import Unit
from segue.data.ingest.columns import quoted
from segue.data.ingest.tables import RawTable, ReadOptions
from segue.data.readers.delimited import DelimitedFile, read_delimited, split_fields
from segue.data.readers.text import TextFile
from segue.errors import LogError

FOLDER_VARIABLE = "SEGUE_DATA"


@dataclass(frozen=True)
class PublicLog:
    """A published log.

    Attributes:
        title: its full name.
        home: the owner's web page.
        licence: its terms of use.
        unit: what one session is, for files that do not tell.
    """

    title: str
    home: str
    licence: str
    unit: Unit


PUBLIC_LOGS: Mapping[str, PublicLog] = {
    "yoochoose": PublicLog(
        "YooChoose, RecSys Challenge 2015", "https://recsys.acm.org/recsys15/challenge", "CC BY-NC-ND 4.0", "session"
    ),
    "diginetica": PublicLog(
        "Diginetica, CIKM Cup 2016 track 2",
        "https://competitions.codalab.org/competitions/11161",
        "terms of the cup",
        "session",
    ),
    "otto": PublicLog("OTTO multi-objective log", "https://github.com/otto-de/recsys-dataset", "CC BY 4.0", "session"),
    "retailrocket": PublicLog(
        "Retailrocket e-commerce log",
        "https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
        "CC BY-NC-SA 4.0",
        "user",
    ),
    "ml": PublicLog(
        "MovieLens", "https://grouplens.org/datasets/movielens", "research only, not to be passed on", "user"
    ),
    "beauty": PublicLog(
        "Amazon Beauty reviews", "https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html", "research only", "user"
    ),
}
"""Public logs by the first word of their file or folder name: ``ml-1m`` is a MovieLens log."""

MOVIELENS = {
    "movies.dat": ("item", "title", "genres"),
    "users.dat": ("user", "gender", "age", "occupation", "zip"),
}
"""Fields of MovieLens' metadata files without a header."""

_YOOCHOOSE = ("session", "time", "item", "category")
_DAY, _OFFSET = "eventdate", "timeframe"


def public_log(path: Path) -> PublicLog | None:
    """Return the public log that a file or folder is named after."""
    return PUBLIC_LOGS.get(path.name.lower().replace("_", "-").partition(".")[0].partition("-")[0])


def find_log(name: str) -> Path | None:
    """Find a log in the folder that ``SEGUE_DATA`` names; None if it is not there."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder or not name.strip("./"):
        return None
    path = Path(folder) / name
    return path if path.exists() else None


def is_yoochoose(file: TextFile) -> bool:
    """Whether a file looks like ``yoochoose-clicks.dat`` or ``yoochoose-test.dat``."""
    return file.path.name.startswith("yoochoose-") and len(split_fields(file.head[0], ",")) == len(_YOOCHOOSE)


def read_yoochoose(file: TextFile, options: ReadOptions) -> RawTable:
    """Read the clicks of the RecSys Challenge 2015: session, ISO time, item, category; no header.

    Raises:
        LogError: a line does not have these four fields.
    """
    table = DelimitedFile(file, ",", _YOOCHOOSE, has_header=False).read()
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
    time = day + pl.duration(milliseconds=pl.col(_OFFSET).cast(pl.Int64, strict=False))
    invalid = pl.concat_str(_DAY, pl.lit(" + "), _OFFSET, pl.lit(" ms"))
    text = pl.coalesce(time.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f"), invalid).alias("time")
    frame = table.frame.select(pl.exclude(_DAY, _OFFSET), text)
    note = f"format: Diginetica as published, the time is '{_DAY}' plus '{_OFFSET}' milliseconds"
    return RawTable(frame, table.source, notes=(*file.notes, note))
