"""The stores under test, each with a clock that the tests set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from redis_server import RedisServer

from segue.serving.journal import SCHEMAS, Exposure, Journal, Seen
from segue.serving.secrets import KeyedHash
from segue.serving.sessions import Event, digest
from segue.serving.stores import Lifetimes, SessionStore
from segue.serving.stores.local import MemoryStore
from segue.serving.stores.redis import RedisStore
from segue.serving.stores.sqlite import SQLiteStore

KINDS = ("memory", "sqlite", "small-sqlite", "redis")
LIFETIMES = Lifetimes(session=1000.0, event_ids=500.0, tombstone=3000.0)


class Clock:
    """Seconds since 1970, which go on when they are told to."""

    def __init__(self) -> None:
        self.now = 1_764_000_000.0

    def __call__(self) -> float:
        return self.now


def event(time: int, item: str = "a", event_id: str | None = None, **more: Any) -> Event:
    said = b"" if event_id is None else digest(item, time, more)
    return Event(time, item, event_id=event_id, digest=said, **more)


def exposure(session: str | None, name: str = "r1", user: str | None = None) -> Exposure:
    return Exposure(name, session, 1_764_000_000_000, "v-sknn", "1", None, ["a", "b"], [2.0, 1.0], user=user)


def seen(session: str | None, name: str = "r1") -> Seen:
    return Seen(name, session, 1_764_000_000_000, ["a"], None)


def make_store(
    kind: str,
    folder: Path,
    clock: Callable[[], float],
    server: RedisServer | None = None,
    *,
    journal: bool = True,
    seconds: float = 600.0,
    lifetimes: Lifetimes = LIFETIMES,
) -> SessionStore:
    folder.mkdir(exist_ok=True, parents=True)
    hashed = KeyedHash.of(folder / "key")
    files = Journal(folder) if journal else None
    if kind == "redis":
        assert server is not None
        return RedisStore(server.url, lifetimes, hashed, files, seconds)
    most = 6 if kind == "small-sqlite" else 10_000
    store = MemoryStore if kind == "memory" else SQLiteStore
    return store(folder, lifetimes, most, hashed, files, clock, seconds)


def journal_rows(folder: Path, kind: str = "events") -> list[dict[str, Any]]:
    """Return the rows of all files of a journal."""
    files = sorted((folder / kind).glob("*.parquet"))
    return [row for file in files for row in pl.read_parquet(file).iter_rows(named=True)]


def traces(folder: Path, text: str) -> list[str]:
    """Return the files that contain a text, also within Parquet."""
    found = [str(file) for file in folder.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]
    for kind in SCHEMAS:
        found += [f"{kind}: {row}" for row in journal_rows(folder, kind) if text in str(row)]
    return found
