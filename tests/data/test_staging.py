"""A log in pieces equals the log that ``segue.read`` returns, and what it refuses is refused in the same words."""

import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from segue.data.fingerprint import fingerprint
from segue.data.partitions import Engine, InMemory, OnDisk, load
from segue.data.readers import staging
from segue.data.readers.read import read
from segue.data.readers.staging import stage
from segue.errors import LogError

LOGS = Path(__file__).parents[1] / "fixtures" / "logs"


def equal(left: pl.DataFrame | None, right: pl.DataFrame | None) -> bool:
    if left is None or right is None:
        return left is right
    key = left.columns[0]
    return left.sort(key).equals(right.sort(key)) and left.schema == right.schema


def check(source: Path, engine: Engine, piece_bytes: int, **given: Any) -> int:
    """Compare a staged log with one that is read; return the number of pieces."""
    try:
        events = read(source, **given)
    except LogError as error:
        with pytest.raises(LogError) as caught:
            stage(source, engine, piece_bytes=piece_bytes, **given)
        assert caught.value.lines == error.lines
        assert getattr(caught.value, "__notes__", []) == getattr(error, "__notes__", [])
        return 0
    staged = stage(source, engine, piece_bytes=piece_bytes, **given)
    frame = pl.concat([load(piece) for piece in staged.pieces])
    assert staged.schema == events.frame.schema == frame.schema
    assert frame.columns == events.frame.columns
    assert frame.equals(events.frame)
    assert staged.notes == events.notes
    assert staged.unit == events.unit
    assert equal(staged.items, events.items)
    assert equal(staged.users, events.users)
    assert (len(staged), staged.has_time, staged.has_parts) == (len(events), events.has_time, events.has_parts)
    assert staged.fingerprint == fingerprint(events.frame)
    return len(staged.pieces)


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a log be read in pieces only."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the log was read as a whole")

    monkeypatch.setattr(staging, "read", refuse)


@pytest.mark.parametrize("path", sorted(LOGS.iterdir()), ids=lambda path: path.name)
@pytest.mark.parametrize("on_disk", [False, True], ids=["in memory", "on disk"])
@pytest.mark.usefixtures("in_pieces")
def test_every_format(path: Path, tmp_path: Path, on_disk: bool) -> None:
    engine = OnDisk(tmp_path / "work") if on_disk else InMemory()
    given = {"format": "space"} if "space" in path.name else {}
    assert check(path, engine, piece_bytes=60, **given) > 2
