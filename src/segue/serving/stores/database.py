"""The SQLite file of a service: sessions, tombstones, and rows of the journal until they are in files of their own.

Every thread has a connection of its own. What is deleted is overwritten, also in the write-ahead log.

A commit hands the log to the system, which a kill of the process survives. Commits are not synced one by one: the disk
may take 100 ms for it, while further events would wait in memory. Another thread syncs the log (``sync``) as often as
the disk can; those who asked for a durable event wait for that.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from segue.errors import ArtifactError, StorageError
from segue.serving.journal import SCHEMAS, Journal, Row, encode
from segue.serving.secrets import KeyedHash
from segue.serving.sessions import Session
from segue.storage.filesystem import sync_file

logger = logging.getLogger(__name__)
NAME = "sessions.sqlite"
FORMAT = 1
_APPLICATION = 0x5E60E
_MAX_PART = 50_000
"""Rows of a file of the journal at most."""

_LOG = 4 * 2**20
"""Bytes of the write-ahead log from which on it is moved into the database."""

_LONG_LOG = 32 * 2**20
"""Bytes from which on nobody writes meanwhile."""

_MAX_LOG = 256 * 2**20
"""Bytes from which on nothing is written: another program keeps a transaction open."""

_BUSY_SECONDS = 0.1
"""Time that another program is waited for; the threads of this process wait for each other by a lock."""

_AGAIN_SECONDS = 5.0
"""Time between two attempts to shorten a long log."""

_SETTINGS = ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON", "wal_autocheckpoint = 0")
_SCHEMA = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, touched REAL NOT NULL, content BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX sessions_touched ON sessions (touched);
CREATE TABLE tombstones (hash BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE deletions (session TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, session TEXT, content BLOB NOT NULL);
CREATE INDEX journal_session ON journal (session);
CREATE TABLE key (hash BLOB NOT NULL);
INSERT INTO journal (number, kind, content) VALUES (0, '', '');
DELETE FROM journal;
"""

_decode = msgspec.msgpack.Decoder(Session).decode


class Batch(NamedTuple):
    """What is committed together.

    Attributes:
        sessions: id, time of the last event, and encoded content.
        rows: rows of the journal.
        deleted: id, tombstone and its end.
    """

    sessions: Sequence[tuple[str, float, bytes]] = ()
    rows: Sequence[Row] = ()
    deleted: Sequence[tuple[str, bytes, float]] = ()


class Locks:
    """What the connections of a process wait for; without it they would poll, or take each other for other programs."""

    def __init__(self) -> None:
        self.write, self.checkpoint = threading.Lock(), threading.Lock()


class Database:
    """A connection to the file.

    Args:
        file: the file; it is created if it does not exist.
        locks: what the connections of this process share.

    Raises:
        StorageError: it cannot be used.
    """

    def __init__(self, file: Path, locks: Locks) -> None:
        self.file, self._locks = file, locks
        self._unclean, self._again = True, 0.0
        self._log = file.with_name(f"{file.name}-wal")
        with self._usable():
            self._connection = sqlite3.connect(
                file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            for setting in _SETTINGS:
                self._connection.execute(f"PRAGMA {setting}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def prepare(self, hashed: KeyedHash, journal: Journal) -> dict[bytes, float]:
        """Check the file, or create its tables; return the tombstones and their ends.

        Args:
            hashed: hash of session ids.
            journal: where its rows go.

        Raises:
            ArtifactError: it is another file, or is damaged.
            StorageError: it cannot be used.
        """
        with self._usable():
            new = not self._all("SELECT 1 FROM sqlite_master")
            ((application,),), ((version,),) = self._all("PRAGMA application_id"), self._all("PRAGMA user_version")
            if not new and application != _APPLICATION:
                raise ArtifactError(f"{self.file}: is the database of another program; choose another folder")
            if not new and version != FORMAT:
                raise ArtifactError(
                    f"{self.file}: has format {version}, this version of segue reads {FORMAT}; choose another folder"
                )
            ((verdict,), *_) = self._all("PRAGMA quick_check(1)")
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            if new:
                settings = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {FORMAT};"
                self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {settings} COMMIT;")
            self._check_key(hashed)
            # Numbers of rows go on after those of the files, which may be older than the database.
            last = max(journal.last_row(kind) for kind in SCHEMAS)
            self._connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'journal'", (last,))
            return dict(self._all("SELECT hash, until FROM tombstones"))

    def _check_key(self, hashed: KeyedHash) -> None:
        mark = hashed("sessions")
        found = self._all("SELECT hash FROM key")
        if not found:
            self._connection.execute("INSERT INTO key VALUES (?)", (mark,))
        elif found[0][0] != mark:
            raise ArtifactError(
                f"{self.file}: belongs to another key than {self.file.with_name('key')}, so deleted sessions would not "
                f"be recognised; put the old key back, or remove {self.file.name} and all its sessions"
            )

    def read(self, session_id: str) -> tuple[float, Session] | None:
        """Return the time of the last event of a session, and the session."""
        found = self._all("SELECT touched, content FROM sessions WHERE id = ?", (session_id,))
        try:
            return (found[0][0], _decode(found[0][1])) if found else None
        except msgspec.MsgspecError as error:
            logger.error("a session is damaged in %s and begins anew: %s", self.file, error)
            return None

    def holds(self, session_id: str) -> bool:
        """Return whether there is anything of a session."""
        tables = "SELECT 1 FROM sessions WHERE id = ?1 UNION ALL SELECT 1 FROM journal WHERE session = ?1 LIMIT 1"
        return bool(self._all(tables, (session_id,)))

    def commit(self, batch: Batch) -> None:
        """Write a batch, or nothing of it."""
        if self._log_size() > _MAX_LOG:
            self.shorten_log()
        with self._transaction():
            run = self._connection.executemany
            run("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", batch.sessions)
            run("INSERT INTO journal (kind, session, content) VALUES (?, ?, ?)", batch.rows)
            ids = [(session_id,) for session_id, _, _ in batch.deleted]
            run("DELETE FROM sessions WHERE id = ?", ids)
            run("DELETE FROM journal WHERE session = ? AND kind <> 'exposures'", ids)
            run("INSERT OR IGNORE INTO deletions VALUES (?)", ids)
            run(
                "INSERT OR REPLACE INTO tombstones VALUES (?, ?)", [(hash_, until) for _, hash_, until in batch.deleted]
            )

    def sync(self) -> None:
        """Wait until what was committed is on the disk; keep the write-ahead log short."""
        with suppress(FileNotFoundError):
            sync_file(self._log)
        size = self._log_size()
        if size > _LONG_LOG and time.monotonic() > self._again:
            self._again = time.monotonic() + _AGAIN_SECONDS
            self.shorten_log()
        elif size > _LOG:
            self._checkpoint()

    def export(self, journal: Journal) -> None:
        """Move the rows of the journal to files; a kill in between loses and doubles none.

        Raises:
            StorageError: a file cannot be written.
        """
        for kind in SCHEMAS:
            while found := self._all(
                "SELECT number, content FROM journal WHERE kind = ? ORDER BY number LIMIT ?", (kind, _MAX_PART)
            ):
                written = journal.last_row(kind)
                left = [(number, content) for number, content in found if number > written]
                if left:
                    journal.write(kind, left[0][0], left[-1][0], [content for _, content in left])
                with self._transaction():
                    self._connection.execute("DELETE FROM journal WHERE kind = ? AND number <= ?", (kind, found[-1][0]))

    def expire(self, before: float, now: float) -> None:
        """Remove sessions that took no event since a time, and tombstones that have ended.

        Args:
            before: that time.
            now: the time.
        """
        with self._transaction():
            self._connection.execute("DELETE FROM tombstones WHERE until < ?", (now,))
            self._connection.execute("DELETE FROM sessions WHERE touched < ?", (before,))

    def forget(self, before: float) -> int:
        """Remove the events of sessions that took none since a time, and return the number of these sessions.

        Ids stay for their lifetime, so that events are recognised when they are sent again.
        """
        count = 0
        with self._transaction():
            for (session_id,) in self._all("SELECT id FROM sessions WHERE touched < ?", (before,)):
                found = self.read(session_id)
                if found is not None and found[1].events:
                    content = encode(Session([], found[1].ids))
                    self._connection.execute("UPDATE sessions SET content = ? WHERE id = ?", (content, session_id))
                    count += 1
        return count

    def finish_deletions(self, journal: Journal) -> None:
        """Remove deleted sessions from the files of the journal, and what is left of them in this one.

        Raises:
            ArtifactError: a file is damaged.
            StorageError: a file cannot be written.
        """
        gone = self._all("SELECT session FROM deletions")
        if gone:
            self.export(journal)  # Exposures say what was seen by whom.
            journal.delete(session_id for (session_id,) in gone)
            self._unclean = True
            with self._transaction():
                self._connection.executemany("DELETE FROM deletions WHERE session = ?", gone)
        if self._unclean:
            self.shorten_log()
        self._unclean = False

    def shorten_log(self) -> None:
        """Move the write-ahead log into the database, so that nothing deleted is left in it."""
        self._checkpoint()
        with self._locks.checkpoint, self._locks.write:
            ((busy, _, _),) = self._all("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise sqlite3.OperationalError("another program keeps reading the database; stop it")

    def _checkpoint(self) -> None:
        """Move what is in the log into the database while others write, who then start the log anew."""
        with self._locks.checkpoint:
            self._all("PRAGMA wal_checkpoint(PASSIVE)")

    def _log_size(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows at once: a query that is not read to its end would keep the log from being shortened."""
        return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._locks.write:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(
                f"{self.file}: cannot be used ({error}); make it writable, restore it, or choose another folder"
            ) from error
