"""Stores of one process: sessions in memory, changed by one event loop alone, which is what keeps them in order."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from segue.errors import SegueError
from segue.serving.journal import SCHEMAS, Exposure, Journal, Row, Seen, encode, event_row, shown_row
from segue.serving.secrets import KeyedHash
from segue.serving.sessions import Event, Session, Status
from segue.serving.stores import Lifetimes, SessionStore, StoreUnavailableError
from segue.serving.stores.loops import Loop, described
from segue.serving.stores.table import SessionTable
from segue.storage.claims import claimed

logger = logging.getLogger(__name__)

MAX_HELD = 100_000
"""Events and exposures that wait while the disk cannot be written."""

MAX_WAITING = 50_000
"""Rows from which on a file of the journal is written before its time, if the sessions are in memory."""

_CHECK_SECONDS = 1.0
_RETRY_SECONDS = 10.0
"""Time after a failure: to make a large file, and not to write it, takes time from the requests."""


class LocalStore(SessionStore):
    """The base of the stores of one process.

    Args:
        folder: the state folder.
        lifetimes: how long sessions live.
        max_events: bound on the events of the sessions in memory.
        hashed: hash of session ids, for tombstones.
        journal: where accepted events go; None keeps no journal.
        clock: seconds since 1970, see ``SteadyClock``.
        journal_seconds: time between two files of the journal.
    """

    def __init__(
        self,
        folder: Path,
        lifetimes: Lifetimes,
        max_events: int,
        hashed: KeyedHash,
        journal: Journal | None,
        clock: Callable[[], float],
        journal_seconds: float = 600.0,
    ) -> None:
        self.lifetimes, self._hashed, self._journal, self._clock = lifetimes, hashed, journal, clock
        self._folder, self._journal_seconds = folder, journal_seconds
        self._files = journal or Journal(folder)
        """Sessions are deleted from files that are there already, too."""
        self._table = SessionTable(lifetimes, max_events, clock)
        self._tombstones: dict[bytes, float] = {}
        self._rows: list[Row] = []
        """Rows of the journal that are not written yet."""
        self._claim = ExitStack()
        self._begin()

    def _begin(self) -> None:
        """Called once, for what a store has besides."""

    def _claim_folder(self) -> None:
        """Keep other processes from using the folder.

        Raises:
            ClaimedError: one uses it.
            StorageError: the folder cannot be written.
        """
        command, remedy = f"segue serve, started by process {os.getppid()},", "stop it, or choose another folder"
        self._claim.enter_context(claimed(self._folder, command, lambda: None, option="--state", remedy=remedy))

    async def append(self, session_id: str, events: Sequence[Event]) -> tuple[list[Status], Sequence[Event]]:
        """Add events; see ``SessionStore.append``."""
        if self.problem is not None:
            raise StoreUnavailableError(self.problem)
        if self._is_deleted(session_id):
            return ["deleted"] * len(events), ()
        encode(events)  # What cannot be written fails here, alone.
        session = self._find(session_id) or Session()
        statuses = session.add_all(events)
        accepted = [event for event, status in zip(events, statuses, strict=True) if status == "accepted"]
        if accepted:
            now = self._clock()
            self._table.put(session_id, session, now)
            if self._journal is not None:
                self._rows += [("events", session_id, event_row(session_id, event)) for event in accepted]
            self._changed(session_id, session, now, len(accepted))
        return statuses, session.events

    async def read(self, session_id: str) -> Sequence[Event]:
        """Return the events of a session; see ``SessionStore.read``."""
        session = None if self._is_deleted(session_id) else self._find(session_id)
        return () if session is None else session.events

    async def delete(self, session_id: str) -> None:
        """Delete a session; see ``SessionStore.delete``.

        Its exposures are deleted from the files, where they say which rows on what was seen belong to it.
        """
        tombstone = self._hashed(session_id)
        until = self._clock() + self.lifetimes.tombstone
        self._tombstones[tombstone] = until
        self._table.remove(session_id)
        self._rows = [row for row in self._rows if row[1] != session_id or row[0] == "exposures"]
        await self._remove(session_id, tombstone, until)

    def expose(self, shown: Exposure | Seen) -> bool:
        """Note what was recommended; see ``SessionStore.expose``. It is not noted while too much waits for the disk."""
        if self._journal is None or len(self._rows) >= MAX_HELD or self.problem is not None:
            return False
        if shown.session is not None and self._is_deleted(shown.session):
            return False
        self._rows.append(shown_row(shown))
        return True

    def _is_deleted(self, session_id: str) -> bool:
        if not self._tombstones:
            return False
        tombstone = self._hashed(session_id)
        until = self._tombstones.get(tombstone)
        if until is not None and until <= self._clock():
            del self._tombstones[tombstone]
            return False
        return until is not None

    def _sweep(self) -> None:
        """Forget sessions and tombstones that are over."""
        self._table.sweep()
        now = self._clock()
        self._tombstones = {tombstone: until for tombstone, until in self._tombstones.items() if until > now}

    def _find(self, session_id: str) -> Session | None:
        return self._table.get(session_id)

    def _changed(self, session_id: str, session: Session, touched: float, count: int) -> None:
        """Called when a session took events."""

    async def _remove(self, session_id: str, tombstone: bytes, until: float) -> None:
        """Delete a session from what is kept elsewhere."""


class MemoryStore(LocalStore):
    """Sessions in memory: they end with the process. Its journal is written now and then, and earlier if much waits.

    While the journal cannot be written, its rows are held in memory; beyond a bound, events are refused.
    """

    def _begin(self) -> None:
        self._flying = 0
        """Rows that are being written."""
        self._failure: str | None = None
        self._lock = asyncio.Lock()
        self._loop = Loop(self._write_in_time, min(_CHECK_SECONDS, self._journal_seconds))

    async def open(self) -> None:
        """Start to write the journal; see ``SessionStore.open``."""
        self._claim_folder()
        self._written = time.monotonic()
        self._loop.start()

    async def close(self) -> None:
        """Write the rest of the journal; see ``SessionStore.close``."""
        async with self._lock:  # Not while it writes.
            self._loop.cancel()
        await self._write()
        if self._rows:
            logger.error("the last %d rows of the journal are lost: %s", len(self._rows), self._reason())
        self._claim.close()

    async def committed(self) -> None:
        """Return at once: nothing of this store survives the process."""

    @property
    def problem(self) -> str | None:
        """Why events are refused; see ``SessionStore.problem``."""
        return self._reason() if len(self._rows) + self._flying >= MAX_HELD else self._loop.problem

    @property
    def warning(self) -> str | None:
        """Why the journal cannot be written; see ``SessionStore.warning``."""
        return self._failure or self._loop.problem

    def _reason(self) -> str:
        return self.warning or f"{self._folder} is written too slowly"

    async def _remove(self, session_id: str, tombstone: bytes, until: float) -> None:
        await self._write()
        if self._failure is not None:
            raise StoreUnavailableError(self._failure)
        async with self._lock:
            try:
                await asyncio.to_thread(self._files.delete, [session_id])
            except (OSError, SegueError) as error:
                raise StoreUnavailableError(str(error)) from error

    async def _write_in_time(self) -> None:
        wait = self._journal_seconds
        if len(self._rows) >= MAX_WAITING:
            wait = 0.0 if self._failure is None else min(wait, _RETRY_SECONDS)
        if time.monotonic() - self._written >= wait:
            self._sweep()
            await self._write()

    async def _write(self) -> None:
        """Write the rows that wait; if that fails, they wait for the next time."""
        async with self._lock:
            rows, self._rows = self._rows, []
            self._flying, self._written = len(rows), time.monotonic()
            left = await asyncio.to_thread(self._write_rows, rows)
            # A session that was deleted meanwhile waits for the lock to be deleted from the files.
            left = [row for row in left if row[1] is None or row[0] == "exposures" or not self._is_deleted(row[1])]
            self._rows, self._flying = left + self._rows, 0

    def _write_rows(self, rows: list[Row]) -> list[Row]:
        """Write rows; return those that could not be written."""
        left: list[Row] = []
        failure = None
        for kind in SCHEMAS:
            part = [row for row in rows if row[0] == kind]
            try:
                first = self._files.last_row(kind) + 1
                self._files.write(kind, first, first + len(part) - 1, [content for _, _, content in part])
            except Exception as error:  # Whatever it is: the rows are kept.
                failure = described(error)
                left += part
        try:
            if self._journal is not None:
                self._journal.expire()
        except Exception as error:
            failure = failure or described(error)
        if failure is not None and self._failure is None:
            logger.error("the journal cannot be written: %s", failure)
        self._failure = failure
        return left
