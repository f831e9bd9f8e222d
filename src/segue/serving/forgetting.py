"""Deleting sessions by hand: from the folder of a service that does not run, or from Redis."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segue.errors import ArtifactError, StorageError
from segue.serving.journal import Journal, owner
from segue.serving.secrets import KeyedHash
from segue.serving.stores import DAY, Lifetimes
from segue.serving.stores.database import NAME, Batch, Database, Locks
from segue.storage.claims import claimed

if TYPE_CHECKING:
    from segue.serving.stores.redis_journal import RedisJournal

_COMMAND = "segue sessions"
_SECONDS = 5.0
"""Time to wait for another process that writes the journal."""


def forget(state: Path, name: str, redis: str | None = None, *, user: bool = False, remedy: str) -> bool:
    """Delete a session from the store and the journal, where it takes no events for 30 days; or a user.

    Args:
        state: folder of the service.
        name: the session, or the user.
        redis: server that keeps the sessions; None if they are in the folder.
        user: whether it is a user, of whom only the journal has something: see ``Service.forget_user``.
        remedy: what to do if a service uses the folder.

    Returns:
        Whether there was anything of the session or the user.

    Raises:
        SegueError: a service uses the folder, or it cannot be written.
    """
    tombstone = Lifetimes().tombstone
    if redis is not None:
        with closing(_on_server(redis, state)) as server:
            hashed = server.prepare()
            if user:
                server.write(_SECONDS)  # Waiting rows name users only inside.
            return server.delete(owner(hashed.of_user(name)) if user else name, tombstone)
    with _database(state, remedy) as (database, hashed, journal):
        session_id = owner(hashed.of_user(name)) if user else name
        if database is not None and user:
            database.export(journal)
        found = journal.holds(session_id) or (database is not None and database.holds(session_id))
        if database is None:
            journal.delete([session_id])
        else:
            database.commit(Batch(deleted=[(session_id, hashed(session_id), time.time() + tombstone)]))
            database.finish_deletions(journal)
        return found


def forget_older(state: Path, days: float, redis: str | None = None, *, remedy: str) -> tuple[int, int]:
    """Delete the events of sessions that took none for some days, and rows of the journal with earlier times.

    Args:
        state: folder of the service.
        days: the number of days.
        redis: server that keeps the sessions; None if they are in the folder.
        remedy: what to do if a service uses the folder.

    Returns:
        The number of sessions in the store, and of rows of the journal.

    Raises:
        SegueError: a service uses the folder, or it cannot be written.
    """
    before = time.time() - days * DAY
    if redis is not None:
        with closing(_on_server(redis, state)) as server:
            return server.delete_before(int(1000 * before))
    with _database(state, remedy) as (database, _, journal):
        count = 0
        if database is not None:
            count = database.forget(before)
            database.export(journal)
            database.shorten_log()
        return count, journal.delete_before(int(1000 * before))


def _check(state: Path) -> None:
    if not (state / "key").is_file():
        raise ArtifactError(f"--state: {state} must be the folder of a service, such as segue-state; it has no key")


@contextmanager
def _database(state: Path, remedy: str) -> Iterator[tuple[Database | None, KeyedHash, Journal]]:
    with claimed(state, _COMMAND, lambda: _check(state), option="--state", remedy=remedy):
        hashed, journal, file = KeyedHash.of(state / "key"), Journal(state), state / NAME
        if not file.exists():  # Its sessions were in memory.
            yield None, hashed, journal
            return
        database = Database(file, Locks())
        try:
            database.prepare(hashed, journal)
            yield database, hashed, journal
        except sqlite3.Error as error:
            raise StorageError(f"{file}: cannot be written ({error}); free some disk space, and try again") from error
        finally:
            database.close()


def _on_server(url: str, state: Path) -> "RedisJournal":
    from segue.serving.stores.redis_journal import RedisJournal  # noqa: PLC0415 (only this store needs the package)

    _check(state)
    return RedisJournal(url, KeyedHash.of(state / "key"), Journal(state))
