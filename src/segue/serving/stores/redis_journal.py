"""The journal of several processes: rows wait in Redis until one of the processes writes them to a file."""

import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import msgspec
import redis

from segue.errors import ParameterError, StorageError
from segue.serving.journal import SCHEMAS, Journal, Row, event_row
from segue.serving.secrets import KeyedHash
from segue.serving.sessions import Event
from segue.serving.stores.redis_scripts import DELETE, DELETIONS, FOLDER, FORGET, SECRET, Keys, row_name, stream
from segue.storage import make_folder, write_errors
from segue.storage.locks import Lock

_MAX_PART = 50_000
_CHUNK = 5_000
_SECONDS = 5.0
_POLL_SECONDS = 0.01
_PER_MILLISECOND = 10**6
"""An id of a stream has a time in milliseconds and a number within it."""

_decode_event = msgspec.msgpack.Decoder(Event).decode


def shown(url: str) -> str:
    """Return an address without its password."""
    parts = urlsplit(url)
    if not parts.scheme:
        return url
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_url(url: str) -> None:
    """Check the address of a server.

    Raises:
        ParameterError: it is none.
    """
    try:
        redis.Redis.from_url(url).close()
    except (ValueError, redis.RedisError) as error:
        raise ParameterError(
            "--store: must be memory, sqlite or an address such as redis://127.0.0.1:6379/0, got "
            f"{shown(url)!r} ({error})"
        ) from error


class RedisJournal:
    """The sessions and rows in Redis, seen by one thread of one process at a time.

    Args:
        url: the server.
        hashed: hash with the key of the state folder; the first process gives its key to all.
        journal: the files.
    """

    def __init__(self, url: str, hashed: KeyedHash, journal: Journal | None) -> None:
        check_url(url)
        self._url, self._own, self._journal = url, hashed, journal
        self._hashed = hashed
        self._client: Any = redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def prepare(self) -> KeyedHash:
        """Check that the server keeps the journal of this folder and no other; return the hash of session ids.

        A server that has lost its data is told both again.

        Raises:
            ParameterError: it keeps that of another folder.
        """
        with self._errors():
            self._client.set(SECRET, self._hashed.key, nx=True)
            if self._journal is not None:
                mine = self._own("journal").hex()
                self._client.set(FOLDER, mine, nx=True)
                if self._client.get(FOLDER).decode() != mine:
                    raise ParameterError(
                        f"--store: {shown(self._url)} keeps the journal of another state folder; give all processes "
                        "the same --state (on several machines a shared volume), add --no-journal, or choose another "
                        f"database. If that folder is gone: redis-cli -u {shown(self._url)} DEL {FOLDER}"
                    )
            self._hashed = KeyedHash(self._client.get(SECRET))
            return self._hashed

    def write(self, wait: float = 0.0) -> None:
        """Write the rows to files and delete from them what is to be deleted, unless another process does it.

        Args:
            wait: seconds to wait for the other process.

        Raises:
            ArtifactError: a file is damaged.
            StorageError: a file cannot be written, or the server cannot be used.
        """
        if self._journal is not None:
            with self._errors(), self._alone(self._journal, wait) as alone:
                if not alone:
                    return
                self._export_all(self._journal)
                self._finish_deletions(self._journal)
                self._journal.expire()

    def finish_deletions(self) -> None:
        """Delete from the files what is to be deleted.

        Raises:
            ArtifactError: a file is damaged.
            StorageError: a file cannot be written, or the server cannot be used.
        """
        if self._journal is not None:
            with self._errors(), self._alone(self._journal, _SECONDS) as alone:
                if not alone:
                    raise _busy(self._journal)
                self._finish_deletions(self._journal)

    def delete(self, session_id: str, seconds: float) -> bool:
        """Delete a session from the server and the files; return whether there was anything of it.

        Args:
            session_id: its id; or a user, see ``SessionStore.delete``.
            seconds: lifetime of the tombstone.

        Raises:
            ArtifactError: a file is damaged.
            StorageError: a file cannot be written, or the server cannot be used.
        """
        keys = Keys.of(self.prepare()(session_id))
        with self._errors():
            found = bool(self._client.exists(*keys[:-1])) or (
                self._journal is not None and self._journal.holds(session_id)
            )
            journaled = int(self._journal is not None)
            self._client.eval(DELETE, len(keys), *keys, session_id, int(1000 * seconds), journaled)
        self.finish_deletions()
        return found

    def delete_before(self, time: int) -> tuple[int, int]:
        """Delete sessions that took no event since a time in milliseconds, and rows with earlier times.

        Returns:
            The number of sessions, and of rows.

        Raises:
            ArtifactError: a file is damaged.
            StorageError: a file cannot be written, or the server cannot be used.
        """
        self.prepare()
        self.write(_SECONDS)
        sessions, forget = 0, self._client.register_script(FORGET)
        with self._errors():
            found = self._client.scan_iter("segue:session:*:touched", count=_CHUNK)
            while chunk := list(islice(found, _CHUNK)):
                keys = [key for touched in chunk for key in (touched.removesuffix(b"touched") + b"events", touched)]
                sessions += forget(keys, [time])
        if self._journal is None:
            return sessions, 0
        with self._alone(self._journal, _SECONDS) as alone:
            if not alone:
                raise _busy(self._journal)
            return sessions, self._journal.delete_before(time)

    def _export_all(self, journal: Journal) -> None:
        for kind in SCHEMAS:
            self._export(journal, kind)

    def _export(self, journal: Journal, kind: str) -> None:
        """Move rows from the server to files; a kill in between loses and doubles none.

        A file names its last row, so the rows up to it were written. Exposures of deleted sessions are written, too:
        they say which rows on what was seen are to be deleted with them.
        """
        key = stream(kind)
        while found := self._read(key):
            numbers = [_number(stream_id) for stream_id, _ in found]
            rows = [_row(kind, *content.popitem()) for _, content in found]
            keys = {session: Keys.of(self._hashed(session)) for _, session, _ in rows if session is not None}
            start = bisect_right(numbers, journal.last_row(kind))
            if start < len(numbers):
                gone = set() if kind == "exposures" else self._deleted(keys)
                kept = [content for _, session, content in rows[start:] if session not in gone]
                journal.write(kind, numbers[start], numbers[-1], kept)
            pipeline = self._client.pipeline(transaction=False)
            for (stream_id, _), (_, session, _) in zip(found, rows, strict=True):
                if session is not None:
                    pipeline.lrem(keys[session].rows, 1, row_name(kind, stream_id))
            pipeline.execute()
            self._client.xtrim(key, minid=_stream_id(numbers[-1] + 1), approximate=False)

    def _read(self, key: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        found: list[tuple[bytes, dict[bytes, bytes]]] = []
        while len(found) < _MAX_PART:
            start = "-" if not found else f"({found[-1][0].decode()}"
            chunk = self._client.xrange(key, min=start, count=_CHUNK)
            found += chunk
            if len(chunk) < _CHUNK:
                break
        return found

    def _deleted(self, keys: Mapping[str, Keys]) -> set[str]:
        pipeline = self._client.pipeline(transaction=False)
        for of in keys.values():
            pipeline.exists(of.tombstone)
        return {session for session, found in zip(keys, pipeline.execute(), strict=True) if found}

    def _finish_deletions(self, journal: Journal) -> None:
        gone = [one.decode() for one in self._client.lrange(DELETIONS, 0, -1)]
        if gone:
            self._export_all(journal)
            journal.delete(gone)
            self._client.ltrim(DELETIONS, len(gone), -1)

    @contextmanager
    def _alone(self, journal: Journal, wait: float) -> Iterator[bool]:
        """Hold the lock of the folder and say whether it is held; the system releases it when a process is killed."""
        make_folder(journal.folder)
        lock, end = Lock(journal.folder / "journal.lock"), time.monotonic() + wait
        with write_errors(lock.path):
            while not (taken := lock.acquire()) and time.monotonic() < end:
                time.sleep(_POLL_SECONDS)
        try:
            yield taken
        finally:
            lock.release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise StorageError(
                f"--store: {shown(self._url)} cannot be used ({error}); start it, or check it"
            ) from error


def _busy(journal: Journal) -> StorageError:
    return StorageError(f"{journal.folder}: another process is writing the journal; try again")


def _row(kind: str, session: bytes, content: bytes) -> Row:
    session_id = session.decode() or None
    if kind != "events":
        return kind, session_id, content
    return kind, session_id, event_row(session_id or "", _decode_event(content))


def _number(stream_id: bytes) -> int:
    time, _, number = stream_id.partition(b"-")
    return int(time) * _PER_MILLISECOND + int(number)


def _stream_id(number: int) -> str:
    time, within = divmod(number, _PER_MILLISECOND)
    return f"{time}-{within}"
