"""JSON Lines: one event per line, or one session per line with its events inside (OTTO)."""

import json
from collections.abc import Sequence
from itertools import islice

import numpy as np
import polars as pl

from segue.data.ingest.admit import Table, Wishes
from segue.data.ingest.mistakes import SHOWN, Place, named_rows
from segue.data.readers.text import TextFile, filled
from segue.errors import LogError

EVENTS = "events"
"""Key of the list of events of a session."""


def read_json_lines(file: TextFile, wishes: Wishes) -> Table:
    """Read one event per line.

    Raises:
        LogError: a line is no JSON object.
    """
    place = Place(str(file.path), "line", lambda rows: filled(file.lines())[list(rows)].tolist())
    return Table(_objects(file), place, is_text=False, notes=(*file.notes, "format: JSON Lines, one event per line"))


def read_nested_json_lines(file: TextFile, wishes: Wishes) -> Table:
    """Read one session per line: ``{"session": 1, "events": [{"aid": 7, "ts": 1661119200, "type": "clicks"}]}``.

    Raises:
        LogError: a line is no JSON object, or holds no list of events.
    """
    frame = _objects(file)
    dtype = frame.schema.get(EVENTS)
    if not (isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct)):
        raise LogError(f"{file.path}: each line must hold a list of objects under '{EVENTS}', got {dtype}")
    outer = [name for name in frame.columns if name != EVENTS]
    inner = [field.name for field in dtype.inner.fields]
    if twice := sorted(set(outer) & set(inner)):
        raise LogError(f"{file.path}: '{twice[0]}' is there for the session and for its events; rename one of them")
    lengths = frame[EVENTS].list.len().fill_null(0).to_numpy()
    events = frame.filter(pl.col(EVENTS).list.len() > 0).explode(EVENTS).unnest(EVENTS)

    def locate(rows: Sequence[int]) -> list[int]:
        return list(np.repeat(filled(file.lines()), lengths)[list(rows)].tolist())

    note = "format: JSON Lines, one session per line with its events inside"
    return Table(events, Place(str(file.path), "line", locate), is_text=False, notes=(*file.notes, note))


def _objects(file: TextFile) -> pl.DataFrame:
    """Read all lines; the type of a key is the one that holds all its values."""
    try:
        return file.parse(lambda source: pl.read_ndjson(source, infer_schema_length=None))
    except pl.exceptions.PolarsError as error:
        _raise_broken(file)
        reason = str(error).splitlines()[0]
        raise LogError(f"{file.path}: the values of a key must have one type on all lines ({reason})") from error


def _raise_broken(file: TextFile) -> None:
    """Name the first lines that are no JSON objects, if there are any."""
    lines = enumerate(file.lines(), start=1)
    broken = list(islice(((number, text) for number, text in lines if text.strip() and not _is_object(text)), SHOWN))
    if broken:
        raise LogError(
            f"{file.path}: {named_rows('line', [number for number, _ in broken], len(broken))}: must be a JSON object "
            f"on one line, got {', '.join(repr(text[:60]) for _, text in broken)}; correct or remove it"
        )


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except json.JSONDecodeError:
        return False
