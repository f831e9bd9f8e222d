"""Stores of one process: sessions in memory, changed by one event loop alone, which is what keeps them in order."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from segue.errors import SegueError
from segue.serving.journal import SCHEMAS, Exposure, Journal, Row, event_row, exposure_row
from segue.serving.secrets import KeyedHash
from segue.serving.sessions import Event, Session, Status
from segue.serving.stores import Lifetimes, SessionStore, StoreUnavailableError
from segue.serving.stores.table import SessionTable
from segue.storage.claims import claimed

logger = logging.getLogger(__name__)

MAX_HELD = 100_000
"""Events and exposures that wait while the disk cannot be written."""


class LocalStore(SessionStore):
    """The base of the stores of one process.

    Args:
        lifetimes: how long sessions live.
        max_events: bound on the events of the sessions in memory.
        hashed: hash of session ids, for tombstones.
        journal: where accepted events go; None keeps no journal.
        clock: seconds since 1970, see ``SteadyClock``.
    """

    def __init__(
        self,
        lifetimes: Lifetimes,
        max_events: int,
        hashed: KeyedHash,
        journal: Journal | None,
        clock: Callable[[], float],
    ) -> None:
        self.lifetimes, self._hashed, self._journal, self._clock = lifetimes, hashed, journal, clock
        self._table = SessionTable(lifetimes, max_events, clock)
        self._tombstones: dict[bytes, float] = {}
        self._rows: list[Row] = []
        """Rows of the journal that are not written yet."""
        self._claim = ExitStack()

    def _claim_folder(self, folder: Path) -> None:
        """Keep other processes from using the folder.

        Raises:
            ClaimedError: one uses it.
            StorageError: the folder cannot be written.
        """
        self._claim.enter_context(
            claimed(folder, "segue serve", lambda: None, option="--state", remedy="stop it, or choose another folder")
        )

    async def append(self, session_id: str, events: Sequence[Event]) -> tuple[list[Status], Sequence[Event]]:
        """Add events; see ``SessionStore.append``."""
        if self._is_deleted(session_id):
            return ["deleted"] * len(events), ()
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
        """Delete a session; see ``SessionStore.delete``."""
        tombstone = self._hashed(session_id)
        until = self._clock() + self.lifetimes.tombstone
        self._tombstones[tombstone] = until
        self._table.remove(session_id)
        self._rows = [row for row in self._rows if row[1] != session_id]
        await self._remove(session_id, tombstone, until)

    def expose(self, exposure: Exposure) -> None:
        """Note what was recommended; see ``SessionStore.expose``. It is not noted while too much waits for the disk."""
        if self._journal is None or len(self._rows) >= MAX_HELD:
            return
        if exposure.session is None or not self._is_deleted(exposure.session):
            self._rows.append(("exposures", exposure.session, exposure_row(exposure)))

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
    """Sessions in memory: they end with the process. Its journal is written now and then.

    Args:
        lifetimes: how long sessions live.
        max_events: bound on the events of all sessions; beyond it the least recently used sessions are dropped.
        hashed: hash of session ids, for tombstones.
        journal: where accepted events go; None keeps no journal.
        clock: seconds since 1970, see ``SteadyClock``.
        journal_seconds: time between two files of the journal.
    """

    def __init__(
        self,
        lifetimes: Lifetimes,
        max_events: int,
        hashed: KeyedHash,
        journal: Journal | None,
        clock: Callable[[], float],
        journal_seconds: float,
    ) -> None:
        super().__init__(lifetimes, max_events, hashed, journal, clock)
        self._seconds = journal_seconds
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._failure: str | None = None

    async def open(self) -> None:
        """Start to write the journal; see ``SessionStore.open``."""
        if self._journal is not None:
            self._claim_folder(self._journal.folder)
        self._task = asyncio.create_task(self._write_regularly())

    async def close(self) -> None:
        """Write the rest of the journal."""
        if self._task is not None:
            async with self._lock:  # Not while it writes.
                self._task.cancel()
        await self._write()
        self._claim.close()

    async def committed(self) -> None:
        """Return at once: nothing of this store survives the process."""

    @property
    def warning(self) -> str | None:
        """Why the journal cannot be written; see ``SessionStore.warning``."""
        return self._failure

    async def _remove(self, session_id: str, tombstone: bytes, until: float) -> None:
        if self._journal is None:
            return
        async with self._lock:
            try:
                await asyncio.to_thread(self._journal.delete_sessions, [session_id])
            except (OSError, SegueError) as error:
                raise StoreUnavailableError(str(error)) from error

    async def _write_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            self._sweep()
            await self._write()

    async def _write(self) -> None:
        """Write the rows that wait; if that fails, they wait for the next time."""
        if self._journal is None:
            return
        async with self._lock:
            rows, self._rows = self._rows, []
            left = await asyncio.to_thread(self._write_rows, self._journal, rows)
            # A session that was deleted meanwhile waits for the lock to be deleted from the files.
            left = [row for row in left if row[1] is None or not self._is_deleted(row[1])]
            self._rows = (left + self._rows)[:MAX_HELD]

    def _write_rows(self, journal: Journal, rows: list[Row]) -> list[Row]:
        """Write rows; return those that could not be written."""
        left: list[Row] = []
        self._failure = None
        for kind in SCHEMAS:
            part = [row for row in rows if row[0] == kind]
            try:
                first = journal.last_row(kind) + 1
                journal.write(kind, first, first + len(part) - 1, [content for _, _, content in part])
            except (OSError, SegueError) as error:
                self._failure = str(error)
                logger.error("the journal cannot be written: %s", error)
                left += part
        try:
            journal.expire()
        except OSError as error:
            logger.error("the journal cannot be shortened: %s", error)
        return left
