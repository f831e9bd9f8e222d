"""Stores of one process: sessions in memory, changed by one event loop alone, which is what keeps them in order."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from segue.serving.journal import Exposure, Journal, event_row, exposure_row
from segue.serving.secrets import KeyedHash
from segue.serving.sessions import Event, Session, Status
from segue.serving.stores import Lifetimes, SessionStore
from segue.serving.stores.table import SessionTable

Row = tuple[str, str | None, tuple[Any, ...]]
"""Kind, session and content of a row of the journal."""


class LocalStore(SessionStore):
    """The base of the stores of one process.

    Args:
        lifetimes: how long sessions live.
        max_events: bound on the events of the sessions in memory.
        hashed: hash of session ids, for tombstones.
        clock: seconds of the wall clock.
    """

    def __init__(self, lifetimes: Lifetimes, max_events: int, hashed: KeyedHash, clock: Callable[[], float]) -> None:
        self.lifetimes, self._hashed, self._clock = lifetimes, hashed, clock
        self._table = SessionTable(lifetimes, max_events)
        self._tombstones: dict[bytes, float] = {}
        self._rows: list[Row] = []
        """Rows of the journal that are not written yet."""

    async def append(self, session_id: str, events: Sequence[Event]) -> tuple[list[Status], Sequence[Event]]:
        """Add events; see ``SessionStore.append``."""
        if self._is_deleted(session_id):
            return ["deleted"] * len(events), ()
        session = self._find(session_id) or Session()
        statuses = session.add_all(events)
        accepted = [event for event, status in zip(events, statuses, strict=True) if status == "accepted"]
        if accepted:
            self._table.touch(session_id, session)
            self._rows += [("events", session_id, event_row(session_id, event)) for event in accepted]
            self._changed(session_id, session)
        return statuses, session.events

    async def read(self, session_id: str) -> Sequence[Event]:
        """Return the events of a session; see ``SessionStore.read``."""
        session = None if self._is_deleted(session_id) else self._find(session_id)
        return () if session is None else session.events

    async def delete(self, session_id: str) -> None:
        """Delete a session; see ``SessionStore.delete``."""
        tombstone = self._hashed(session_id)
        self._tombstones[tombstone] = self._clock() + self.lifetimes.tombstone
        self._table.remove(session_id)
        self._rows = [row for row in self._rows if row[1] != session_id]
        self._removed(session_id, tombstone)
        await self.committed()

    def expose(self, exposure: Exposure) -> None:
        """Note what was recommended; see ``SessionStore.expose``."""
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

    def _find(self, session_id: str) -> Session | None:
        return self._table.get(session_id)

    def _changed(self, session_id: str, session: Session) -> None:
        """Called when a session took events."""

    def _removed(self, session_id: str, tombstone: bytes) -> None:
        """Called when a session was deleted."""


class MemoryStore(LocalStore):
    """Sessions in memory: they end with the process. Its journal is written now and then.

    Args:
        lifetimes: how long sessions live.
        max_events: bound on the events of all sessions; beyond it the least recently used sessions are dropped.
        hashed: hash of session ids, for tombstones.
        journal: where accepted events go; None keeps no journal.
        clock: seconds of the wall clock.
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
        super().__init__(lifetimes, max_events, hashed, clock)
        self._journal, self._seconds = journal, journal_seconds
        self._numbers = dict.fromkeys(("events", "exposures"), 0)
        self._deleted: list[str] = []
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start to write the journal."""
        if self._journal is not None:
            self._numbers = {kind: self._journal.last_row(kind) for kind in self._numbers}
        self._task = asyncio.create_task(self._write_regularly())

    async def close(self) -> None:
        """Write the rest of the journal."""
        if self._task is not None:
            self._task.cancel()
        await self._write()

    async def committed(self) -> None:
        """Return at once: nothing of this store survives the process."""

    def _removed(self, session_id: str, tombstone: bytes) -> None:
        self._deleted.append(session_id)

    async def delete(self, session_id: str) -> None:
        """Delete a session, also from the journal; see ``SessionStore.delete``."""
        await super().delete(session_id)
        await self._write()

    async def _write_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            self._table.sweep()
            await self._write()

    async def _write(self) -> None:
        async with self._lock:
            rows, self._rows = self._rows, []
            deleted, self._deleted = self._deleted, []
            if self._journal is not None and (rows or deleted):
                await asyncio.to_thread(self._write_rows, self._journal, rows, deleted)

    def _write_rows(self, journal: Journal, rows: list[Row], deleted: list[str]) -> None:
        for kind in self._numbers:
            part = [content for one, _, content in rows if one == kind]
            first = self._numbers[kind] + 1
            self._numbers[kind] += len(part)
            journal.write(kind, first, self._numbers[kind], part)
        if deleted:
            journal.delete_sessions(deleted)
        journal.expire()
