"""Sessions in Redis or Valkey, for several processes and machines."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from redis import RedisError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError

from segue.errors import ParameterError, SegueError, StorageError
from segue.serving import sessions
from segue.serving.journal import Exposure, Journal, Seen, shown_row
from segue.serving.secrets import KeyedHash
from segue.serving.sessions import Event, Status
from segue.serving.stores import Lifetimes, SessionStore, StoreUnavailableError
from segue.serving.stores.loops import Loop, described
from segue.serving.stores.redis_journal import RedisJournal, shown
from segue.serving.stores.redis_scripts import (
    APPEND,
    ARRIVAL_DIGITS,
    DELETE,
    EXPOSE,
    FOLDER,
    NUMBERS,
    SECRET,
    Keys,
    stream,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT_SECONDS = 0.5
COMMAND_SECONDS = 0.8
"""Less than a request may take by default, so that its answer says what is wrong."""

START_SECONDS = 30.0
"""Time that the server has to come up when both start at once."""

_CHECK_SECONDS = 0.5
_EXPOSE_SECONDS = 0.05
_CLOSE_SECONDS = 8.0
_MAX_EXPOSURES = 20_000
_CHUNK = 500
_MAX_CONNECTIONS = 1000
_OLDEST = (6, 2)

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Event).decode


class RedisStore(SessionStore):
    """Sessions on a server that several processes share. Each change is one script, which nothing can interrupt.

    The lifetimes are kept by the server. An unreachable server is asked again twice a second; until it answers, calls
    fail at once. Exposures are sent every 50 ms.

    Args:
        url: the server, such as ``redis://127.0.0.1:6379/0``.
        lifetimes: how long sessions live.
        hashed: hash with the key of the state folder; the first process gives its key to all.
        journal: where accepted events go; None keeps no journal. All processes have the same folder.
        journal_seconds: time between two files of the journal; until then its rows are on the server.
    """

    def __init__(
        self,
        url: str,
        lifetimes: Lifetimes,
        hashed: KeyedHash,
        journal: Journal | None,
        journal_seconds: float,
    ) -> None:
        self._shown, self.lifetimes, self._journaled = shown(url), lifetimes, journal is not None
        self._journal = RedisJournal(url, hashed, journal)
        self._hashed = hashed
        self._client: Any = Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=COMMAND_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=_MAX_CONNECTIONS,
        )
        self._append, self._delete, self._expose = map(self._client.register_script, (APPEND, DELETE, EXPOSE))
        self._memory = _milliseconds(lifetimes.session + lifetimes.event_ids)
        self._exposures: list[Exposure | Seen] = []
        self._thread = ThreadPoolExecutor(1, "segue-journal")
        work = ((self._watch, 0.0), (self._send_in_time, _EXPOSE_SECONDS), (self._write, journal_seconds))
        self._loops = [Loop(one, seconds) for one, seconds in work]
        self._check, self._sending = asyncio.Event(), asyncio.Lock()
        self._problem: str | None = None
        self._warning: str | None = None
        self._journal_failure: str | None = None

    async def open(self) -> None:
        """Wait for the server and check how it is set; see ``SessionStore.open``."""
        try:
            await self._reach_server()
            self._hashed = await self._in_thread(self._journal.prepare)
        except BaseException:
            await self._end()
            raise
        for loop in self._loops:
            loop.start()

    async def close(self) -> None:
        """Send the last exposures, write the journal, and close."""
        async with self._sending:
            for loop in self._loops:
                loop.cancel()
        with suppress(StoreUnavailableError, SegueError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._send()
                await self._in_thread(self._journal.write)
        await self._end()

    async def _end(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        await self._client.aclose()
        self._journal.close()

    async def append(self, session_id: str, events: Sequence[Event]) -> tuple[list[Status], Sequence[Event]]:
        """Add events; see ``SessionStore.append``."""
        arguments: list[Any] = [session_id, _milliseconds(self.lifetimes.session), self._memory]
        arguments += [sessions.MAX_EVENTS, sessions.MAX_EVENT_IDS, int(self._journaled)]
        for event in events:
            arguments += (event.time, event.event_id or "", event.digest, _encode(event))
        keys = [*self._keys(session_id), NUMBERS, stream("events")]
        answer = await self._ask(self._append(keys, arguments))
        if answer is None:
            return ["deleted"] * len(events), ()
        statuses, stored = answer
        return [status.decode() for status in statuses], [_event(one) for one in stored]

    async def read(self, session_id: str) -> Sequence[Event]:
        """Return the events of a session; see ``SessionStore.read``."""
        return [_event(one) for one in await self._ask(self._client.zrange(self._keys(session_id).events, 0, -1))]

    async def delete(self, session_id: str) -> None:
        """Delete a session; see ``SessionStore.delete``."""
        await self._send()  # Also rows on what was seen that do not name the session.
        until = _milliseconds(self.lifetimes.tombstone)
        await self._ask(self._delete(list(self._keys(session_id)), [session_id, until, int(self._journaled)]))
        try:
            await self._in_thread(self._journal.finish_deletions)
        except SegueError as error:
            raise StoreUnavailableError(str(error)) from error

    def expose(self, shown: Exposure | Seen) -> bool:
        """Note what was recommended; see ``SessionStore.expose``. It is not noted while too much waits."""
        if noted := self._journaled and len(self._exposures) < _MAX_EXPOSURES:
            self._exposures.append(shown)
        return noted

    async def committed(self) -> None:
        """Return at once: what was accepted is on the server."""
        if self._problem is not None:
            raise StoreUnavailableError(self._problem)

    @property
    def problem(self) -> str | None:
        """Why the server does not answer; see ``SessionStore.problem``."""
        return self._problem

    @property
    def warning(self) -> str | None:
        """How the server is set, or why the journal cannot be written; see ``SessionStore.warning``."""
        found = [self._warning, self._journal_failure, *(loop.problem for loop in self._loops)]
        return "; ".join(one for one in found if one is not None) or None

    def _keys(self, session_id: str) -> Keys:
        return Keys.of(self._hashed(session_id))

    async def _ask(self, command: Coroutine[Any, Any, T]) -> T:
        """Return the answer of the server."""
        if self._problem is not None:
            command.close()
            raise StoreUnavailableError(self._problem)
        try:
            return await command
        except (RedisError, OSError) as error:
            self._check.set()
            raise StoreUnavailableError(described(error)) from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _reach_server(self) -> None:
        """Wait for the server, and check it."""
        now = asyncio.get_running_loop().time
        end = now() + START_SECONDS
        while True:
            try:
                return await self._check_server()
            except AuthenticationError as error:
                raise ParameterError(f"--store: {self._shown} refuses the password ({error})") from error
            except (RedisError, OSError) as error:
                if now() > end:
                    raise StorageError(
                        f"--store: {self._shown} cannot be used ({error}); start it, or choose another store"
                    ) from error
                await asyncio.sleep(_CHECK_SECONDS)

    async def _check_server(self) -> None:
        """Check what the server is and how it is set.

        Raises:
            ParameterError: sessions would not be safe there.
        """
        about = await self._client.info("everything")
        version = str(about.get("redis_version", "0.0"))
        if about.get("cluster_enabled"):
            raise ParameterError(
                f"--store: {self._shown} is a cluster, whose nodes cannot share a journal; name a single server, which "
                "may have replicas"
            )
        if tuple(map(int, version.split(".")[:2])) < _OLDEST:
            raise ParameterError(f"--store: {self._shown} must be Redis 6.2 or newer, or Valkey, got {version}")
        policy = str(about.get("maxmemory_policy", ""))
        if policy.startswith("allkeys") and about.get("maxmemory"):
            raise ParameterError(
                f"--store: {self._shown} has the maxmemory-policy {policy}, which drops sessions and the journal when "
                "memory is short; set it to noeviction: redis-cli config set maxmemory-policy noeviction"
            )
        found = []
        if policy.startswith("volatile") and about.get("maxmemory"):
            found.append(f"the maxmemory-policy {policy} drops sessions when memory is short; set it to noeviction")
        if not about.get("aof_enabled"):
            found.append("what came after its last snapshot is lost when it stops; set appendonly to yes")
        if not self._journaled and await self._client.exists(FOLDER):
            found.append("other processes keep a journal there, and this one does not")
        self._warning = "; ".join(found) or None
        if self._warning is not None:
            logger.warning("%s: %s", self._shown, self._warning)

    async def _watch(self) -> None:
        """Ask the server whether it works, at once after an error."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._check.wait(), _CHECK_SECONDS)
        self._check.clear()
        try:
            lost = not await self._client.exists(SECRET)
        except (RedisError, OSError) as error:
            if self._problem is None:
                logger.error("%s does not answer: %s", self._shown, described(error))
            self._problem = described(error)
            return
        if self._problem is not None:
            logger.warning("%s answers again", self._shown)
        self._problem = None
        if lost:
            await self._prepare_again()

    async def _prepare_again(self) -> None:
        """Tell a server that has lost its data which journal it keeps: sessions are deleted from its files, too."""
        logger.error("%s has lost its data", self._shown)
        try:
            self._hashed = await self._in_thread(self._journal.prepare)
        except SegueError as error:
            logger.error("%s", error)

    async def _send_in_time(self) -> None:
        with suppress(StoreUnavailableError):
            await self._send()

    async def _send(self) -> None:
        """Send the exposures that wait; they are dropped if the server fails, since it may have them already."""
        async with self._sending:
            while self._exposures and self._problem is None:
                some, self._exposures = self._exposures[:_CHUNK], self._exposures[_CHUNK:]
                keys, arguments = list[str](), list[Any]()
                for kind, session, content in map(shown_row, some):
                    of = self._keys(session or "")
                    keys += (stream(kind), of.rows, of.tombstone)
                    arguments += (kind, session or "", content, self._memory)
                await self._ask(self._expose(keys, arguments))

    async def _write(self) -> None:
        failure = None
        try:
            await self._in_thread(self._journal.write)
        except SegueError as error:
            failure = str(error)
            logger.error("the journal cannot be written: %s", error)
        self._journal_failure = failure


def _event(stored: bytes) -> Event:
    return _decode(stored[ARRIVAL_DIGITS:])


def _milliseconds(seconds: float) -> int:
    return max(1, round(1000 * seconds))
