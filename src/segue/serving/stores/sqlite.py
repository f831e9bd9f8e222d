"""Sessions in memory and in an SQLite file: one thread writes to it, one syncs it, and one writes the journal."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple

from segue.errors import SegueError
from segue.serving.journal import encode
from segue.serving.sessions import Session
from segue.serving.stores import StoreUnavailableError
from segue.serving.stores.database import NAME, Batch, Database, Locks
from segue.serving.stores.local import MAX_HELD, LocalStore
from segue.serving.stores.loops import Loop, described

logger = logging.getLogger(__name__)

COMMIT_SECONDS = 0.02
"""Time between two commits: what a kill of the process loses, besides the commit under way."""

_RETRY_SECONDS = 0.5
_CLOSE_SECONDS = 3.0
"""Time that each of the threads has to finish."""

_Waiting = list[asyncio.Future[None]]


class _Commit(NamedTuple):
    batch: Batch
    held: int
    waiting: _Waiting


class _Task(NamedTuple):
    """Work on the journal: files of it are written, or sessions deleted from them."""

    export: bool
    waiting: _Waiting


class SQLiteStore(LocalStore):
    """Sessions in memory, written to an SQLite file every 20 ms; those that are not in memory are read from it.

    While the file cannot be written, events are held in memory and those who wait for a commit are refused; beyond a
    bound, events are refused as well.
    """

    def _begin(self) -> None:
        self._file = self._folder / NAME
        self._dirty: dict[str, tuple[Session, float]] = {}
        self._flying: frozenset[str] = frozenset()
        self._deleted: list[tuple[str, bytes, float]] = []
        self._waiting: _Waiting = []
        self._new = self._held = 0
        self._since: float | None = None
        self._flying_since: float | None = None
        self._busy, self._ended = False, threading.Event()
        self._failure: str | None = None
        self._journal_failure: str | None = None
        self._commits: SimpleQueue[_Commit | None] = SimpleQueue()
        self._syncs: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._regular = Loop(self._commit, COMMIT_SECONDS, self._refuse)
        self._exported = time.monotonic()
        self._table.is_pinned = lambda session_id: session_id in self._dirty or session_id in self._flying

    # The side of the event loop.

    async def open(self) -> None:
        """Open the file and start the threads; see ``SessionStore.open``."""
        self._loop = asyncio.get_running_loop()
        self._claim_folder()
        try:
            locks = Locks()
            self._reader, *others = (Database(self._file, locks) for _ in range(4))
            self._tombstones = self._reader.prepare(self._hashed, self._files)
        except SegueError:
            self._claim.close()
            raise
        work = {"segue-store": self._write_all, "segue-sync": self._sync_all, "segue-journal": self._keep_journal}
        self._threads = [
            threading.Thread(target=target, args=(database,), name=name, daemon=True)
            for (name, target), database in zip(work.items(), others, strict=True)
        ]
        for thread in self._threads:
            thread.start()
        self._tasks.put(_Task(export=True, waiting=[]))  # What an earlier process has left.
        self._regular.start()

    async def close(self) -> None:
        """Commit what is left, write the journal, and close, within 10 s; see ``SessionStore.close``."""
        self._regular.cancel()
        try:
            self._send()
        except Exception as error:
            logger.exception("an unexpected error")
            self._failure = described(error)
            self._refuse(self._failure)
        self._ended.set()
        self._commits.put(None)
        await asyncio.to_thread(self._threads[0].join, _CLOSE_SECONDS)
        if self._held:
            logger.error("the last %d events are lost: %s", self._held, self._reason())
        self._tasks.put(_Task(export=True, waiting=[]))
        self._tasks.put(None)
        for thread in self._threads[1:]:
            await asyncio.to_thread(thread.join, _CLOSE_SECONDS)
        self._reader.close()
        self._claim.close()

    async def committed(self) -> None:
        """Wait for the commit; see ``SessionStore.committed``."""
        if (reason := self._failure or self._regular.problem) is not None:
            raise StoreUnavailableError(reason)
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(done)
        await done

    @property
    def problem(self) -> str | None:
        """Why events are refused; see ``SessionStore.problem``."""
        return self._reason() if self._held >= MAX_HELD else self._regular.problem

    @property
    def warning(self) -> str | None:
        """Why the database or the journal cannot be written; see ``SessionStore.warning``."""
        return self._failure or self._regular.problem or self._journal_failure

    @property
    def lag(self) -> float:
        """Age of what is not committed; see ``SessionStore.lag``."""
        since = self._since if self._flying_since is None else self._flying_since
        return 0.0 if since is None else time.monotonic() - since

    def _reason(self) -> str:
        return self._failure or self._regular.problem or f"{self._file} is written too slowly"

    def _find(self, session_id: str) -> Session | None:
        session = self._table.get(session_id)
        if session is not None:
            return session
        try:
            found = self._reader.read(session_id)
        except sqlite3.Error as error:
            raise StoreUnavailableError(str(error)) from error
        if found is None:
            return None
        self._table.put(session_id, found[1], min(found[0], self._clock()))
        return self._table.get(session_id)

    def _changed(self, session_id: str, session: Session, touched: float, count: int) -> None:
        self._dirty[session_id] = session, touched
        self._new += count
        self._held += count
        if self._since is None:
            self._since = time.monotonic()

    async def _remove(self, session_id: str, tombstone: bytes, until: float) -> None:
        self._dirty.pop(session_id, None)
        self._deleted.append((session_id, tombstone, until))
        await self.committed()
        done: asyncio.Future[None] = self._loop.create_future()
        self._tasks.put(_Task(export=False, waiting=[done]))
        await done

    async def _commit(self) -> None:
        if not self._busy and (self._dirty or self._deleted or self._rows or self._waiting):
            self._send()
        if time.monotonic() - self._exported > self._journal_seconds:
            self._exported = time.monotonic()
            self._sweep()
            self._tasks.put(_Task(export=True, waiting=[]))

    def _send(self) -> None:
        """Hand what changed to the writer; sessions are encoded here, because this thread goes on changing them."""
        sessions = [(session_id, touched, encode(session)) for session_id, (session, touched) in self._dirty.items()]
        commit = _Commit(Batch(sessions, self._rows, self._deleted), self._new, self._waiting)
        self._flying |= self._dirty.keys()
        self._flying_since, self._since = self._since, None
        self._dirty, self._deleted, self._rows, self._waiting = {}, [], [], []
        self._new, self._busy = 0, True
        self._commits.put(commit)

    def _finished(self, commit: _Commit) -> None:
        if self._failure is not None:
            logger.warning("the store can be written again")
        self._busy, self._flying, self._flying_since, self._failure = False, frozenset(), None, None
        self._held -= commit.held

    def _failed(self, commit: _Commit, reason: str) -> None:
        """Refuse those who wait for the commit; the writer tries again."""
        if reason != self._failure:
            logger.error("the store cannot be written: %s", reason)
        self._failure = reason
        _settle(commit.waiting, reason)
        self._refuse(reason)

    def _refuse(self, reason: str) -> None:
        _settle(self._waiting, reason)
        self._waiting = []

    def _journal_done(self, waiting: _Waiting, reason: str | None) -> None:
        if reason is not None and reason != self._journal_failure:
            logger.error("the journal cannot be written: %s", reason)
        self._journal_failure = reason
        _settle(waiting, reason)

    # The side of the threads.

    def _write_all(self, database: Database) -> None:
        while (commit := self._commits.get()) is not None:
            last = False
            while True:
                try:
                    database.commit(commit.batch)
                except Exception as error:  # Whatever it is: nobody may wait for ever.
                    self._tell(self._failed, commit, described(error))
                    if last:
                        break
                    last = self._ended.wait(_RETRY_SECONDS)
                else:
                    self._tell(self._finished, commit)
                    self._syncs.put(commit.waiting)
                    break
        self._syncs.put(None)
        database.close()

    def _sync_all(self, database: Database) -> None:
        ended = False
        while not ended:
            found = [self._syncs.get()]
            found += [self._syncs.get() for _ in range(self._syncs.qsize())]  # What was committed meanwhile.
            ended = None in found
            reason = None
            try:
                database.sync()
            except Exception as error:
                reason = described(error)
            self._tell(_settle, [done for waiting in found if waiting is not None for done in waiting], reason)
        database.close()

    def _keep_journal(self, database: Database) -> None:
        ended = False
        while not ended:
            found = [self._tasks.get()]
            found += [self._tasks.get() for _ in range(self._tasks.qsize())]  # Sessions are deleted together.
            ended = None in found
            tasks = [task for task in found if task is not None]
            reason = None
            try:
                if any(task.export for task in tasks):
                    now = self._clock()
                    database.expire(now - self.lifetimes.session - self.lifetimes.event_ids, now)
                    database.export(self._files)
                    self._files.expire()
                database.finish_deletions(self._files)
            except Exception as error:
                reason = described(error)
            self._tell(self._journal_done, [done for task in tasks for done in task.waiting], reason)
        database.close()

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # The loop has ended: the disk was stuck for longer than it waits.
            self._loop.call_soon_threadsafe(function, *arguments)


def _settle(waiting: _Waiting, reason: str | None) -> None:
    """End the waiting of those who wait, with an error if there is a reason for one."""
    for done in waiting:
        if done.done():
            continue
        if reason is None:
            done.set_result(None)
        else:
            done.set_exception(StoreUnavailableError(reason))
