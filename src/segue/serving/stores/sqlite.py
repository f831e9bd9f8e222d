"""Sessions in memory and in an SQLite file, which one thread writes in groups."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import msgspec

from segue.errors import ArtifactError, StorageError
from segue.serving.journal import SCHEMAS, Journal
from segue.serving.secrets import KeyedHash
from segue.serving.sessions import Session
from segue.serving.stores import Lifetimes, StoreUnavailableError
from segue.serving.stores.local import LocalStore, Row

logger = logging.getLogger(__name__)

COMMIT_SECONDS = 0.02
"""Time between two commits: what a kill loses at most, besides the commit under way."""

_MAX_PART = 50_000
"""Rows after which a file of the journal is written, however recent the last one is."""

_MAX_WAITING = 200_000
"""Rows that wait while the file cannot be written; then no more events are accepted."""

_RETRY_SECONDS = 1.0
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, touched REAL NOT NULL, content BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_touched ON sessions (touched);
CREATE TABLE IF NOT EXISTS tombstones (hash BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, session TEXT, content BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS journal_session ON journal (session);
"""

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Session).decode
_decode_row = msgspec.msgpack.Decoder().decode


class _Batch(NamedTuple):
    """What is committed together."""

    sessions: list[tuple[str, float, bytes]]
    deleted: list[tuple[str, bytes]]
    rows: list[Row]
    waiting: list[asyncio.Future[None]]
    export: bool


class SQLiteStore(LocalStore):
    """Sessions in memory, written to an SQLite file every 20 ms; those that are not in memory are read from it.

    Args:
        file: the database.
        lifetimes: how long sessions live.
        max_events: bound on the events of the sessions in memory.
        hashed: hash of session ids, for tombstones.
        journal: where accepted events go; None keeps no journal.
        clock: seconds of the wall clock.
        journal_seconds: time between two files of the journal; until then its rows are in the database.
    """

    def __init__(
        self,
        file: Path,
        lifetimes: Lifetimes,
        max_events: int,
        hashed: KeyedHash,
        journal: Journal | None,
        clock: Callable[[], float] = time.time,
        journal_seconds: float = 600.0,
    ) -> None:
        super().__init__(lifetimes, max_events, hashed, clock)
        self._file, self._journal, self._journal_seconds = file, journal, journal_seconds
        self._dirty: dict[str, Session] = {}
        self._deleted: dict[str, bytes] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._flying: set[str] = set()
        self._table.is_pinned = self._is_pinned
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._problem: str | None = None
        self._oldest: float | None = None
        self._ended = False

    # The side of the event loop.

    async def open(self) -> None:
        """Open the file and start the writer; see ``SessionStore.open``."""
        self._loop = asyncio.get_running_loop()
        try:
            self._reader = _connect(self._file)
            self._reader.executescript(_SCHEMA)
            (version,) = self._reader.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise ArtifactError(
                    f"{self._file}: has format {version}, this version of segue reads {_VERSION}; choose another folder"
                )
            self._reader.execute(f"PRAGMA user_version = {_VERSION}")
            self._tombstones = dict(self._reader.execute("SELECT hash, until FROM tombstones"))
        except sqlite3.Error as error:
            raise StorageError(f"{self._file}: cannot be used ({error}); choose another folder") from error
        self._thread = threading.Thread(target=self._write_all, name="segue-store", daemon=True)
        self._thread.start()
        self._task = asyncio.create_task(self._commit_regularly())

    async def close(self) -> None:
        """Commit what is left, write the journal, and close; see ``SessionStore.close``."""
        self._task.cancel()
        self._send(export=True)
        self._ended = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()

    async def append(self, session_id: str, events: Any) -> Any:
        """Add events; see ``SessionStore.append``."""
        if self._problem is not None and len(self._rows) + len(self._dirty) > _MAX_WAITING:
            raise StoreUnavailableError(self._problem)
        return await super().append(session_id, events)

    async def committed(self) -> None:
        """Wait for the commit; see ``SessionStore.committed``."""
        if self._problem is not None:
            raise StoreUnavailableError(self._problem)
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(done)
        await done

    @property
    def problem(self) -> str | None:
        """What keeps the file from being written; see ``SessionStore.problem``."""
        return self._problem

    @property
    def lag(self) -> float:
        """Age of what is not committed; see ``SessionStore.lag``."""
        oldest = self._oldest
        return 0.0 if oldest is None else time.monotonic() - oldest

    def _is_pinned(self, session_id: str) -> bool:
        return session_id in self._dirty or session_id in self._flying

    def _find(self, session_id: str) -> Session | None:
        session = self._table.get(session_id)
        if session is not None:
            return session
        try:
            found = self._reader.execute("SELECT touched, content FROM sessions WHERE id = ?", (session_id,)).fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailableError(str(error)) from error
        if found is None:
            return None
        session = _decode(found[1])
        self._table.touch(session_id, session, idle=max(0.0, self._clock() - found[0]))
        return self._table.get(session_id)

    def _changed(self, session_id: str, session: Session) -> None:
        self._dirty[session_id] = session
        if self._oldest is None:
            self._oldest = time.monotonic()

    def _removed(self, session_id: str, tombstone: bytes) -> None:
        self._dirty.pop(session_id, None)
        self._deleted[session_id] = tombstone

    async def _commit_regularly(self) -> None:
        exported = time.monotonic()
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            due = time.monotonic() - exported > self._journal_seconds
            if due:
                exported = time.monotonic()
                self._table.sweep()
            if (self._dirty or self._deleted or self._rows or self._waiting or due) and not self._busy:
                self._send(export=due)

    _busy = False

    def _send(self, *, export: bool) -> None:
        """Hand what changed to the writer; sessions are encoded here, because this thread goes on changing them."""
        now = self._clock()
        sessions = [(session_id, now, _encode(session)) for session_id, session in self._dirty.items()]
        batch = _Batch(sessions, list(self._deleted.items()), self._rows, self._waiting, export)
        self._flying = set(self._dirty)
        self._dirty, self._deleted, self._rows, self._waiting = {}, {}, [], []
        self._busy = True
        self._queue.put(batch)

    def _finished(self, batch: _Batch) -> None:
        self._busy, self._flying = False, set()
        self._oldest = time.monotonic() if self._dirty else None
        self._problem = None
        for done in batch.waiting:
            if not done.done():
                done.set_result(None)

    def _failed(self, batch: _Batch, reason: str) -> None:
        """Refuse those who wait for the commit; the writer tries again."""
        self._problem = reason
        for done in batch.waiting:
            if not done.done():
                done.set_exception(StoreUnavailableError(reason))

    # The side of the writer.

    def _write_all(self) -> None:
        connection = _connect(self._file)
        while (batch := self._queue.get()) is not None:
            committed = False
            while True:
                try:
                    if not committed:
                        self._commit(connection, batch)
                        committed = True
                    self._tidy(connection, batch)
                except (sqlite3.Error, OSError) as error:
                    logger.error("the store cannot be written: %s", error)
                    self._loop.call_soon_threadsafe(self._failed, batch, str(error))
                    if self._ended:
                        break
                    time.sleep(_RETRY_SECONDS)
                else:
                    self._loop.call_soon_threadsafe(self._finished, batch)
                    break
        connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: _Batch) -> None:
        rows = [(kind, session, _encode(content)) for kind, session, content in batch.rows]
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", batch.sessions)
            if self._journal is not None:
                connection.executemany("INSERT INTO journal (kind, session, content) VALUES (?, ?, ?)", rows)
            for session_id, tombstone in batch.deleted:
                connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
                connection.execute("DELETE FROM journal WHERE session = ?", (session_id,))
                until = self._clock() + self.lifetimes.tombstone
                connection.execute("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", (tombstone, until))

    def _tidy(self, connection: sqlite3.Connection, batch: _Batch) -> None:
        """Do after a commit what may take longer; all of it can be done again."""
        if batch.export:
            now = self._clock()
            over = now - self.lifetimes.session - self.lifetimes.event_ids
            connection.execute("DELETE FROM sessions WHERE touched < ?", (over,))
            connection.execute("DELETE FROM tombstones WHERE until < ?", (now,))
            if self._journal is not None:
                self._export(connection, self._journal)
        if batch.deleted:
            if self._journal is not None:
                self._journal.delete_sessions(session_id for session_id, _ in batch.deleted)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _export(self, connection: sqlite3.Connection, journal: Journal) -> None:
        """Move the rows of the journal from the database to files; a kill in between loses and doubles none."""
        for kind in SCHEMAS:
            written = journal.last_row(kind)
            found = connection.execute(
                "SELECT number, content FROM journal WHERE kind = ? ORDER BY number LIMIT ?", (kind, _MAX_PART)
            ).fetchall()
            rows = [(number, _decode_row(content)) for number, content in found if number > written]
            if rows:
                journal.write(kind, rows[0][0], rows[-1][0], [tuple(content) for _, content in rows])
            if found:
                with connection:
                    connection.execute("DELETE FROM journal WHERE kind = ? AND number <= ?", (kind, found[-1][0]))
        journal.expire()


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=5.0, isolation_level=None, check_same_thread=False)
    for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "wal_autocheckpoint = 1000"):
        connection.execute(f"PRAGMA {setting}")
    return connection
