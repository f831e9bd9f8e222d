"""Where the events of sessions are kept.

| store | sessions survive | processes |
|---|---|---|
| ``MemoryStore`` | nothing | one |
| ``SQLiteStore`` | restarts and kills, up to the last 20 ms or so | one |
| ``RedisStore`` | restarts, as Redis is configured | several |
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from segue.serving.journal import Exposure, Seen
from segue.serving.secrets import KeyedHash
from segue.serving.sessions import Event, Status

DAY = 86_400.0


@dataclass(frozen=True)
class Lifetimes:
    """How long what is kept lives, in seconds.

    Attributes:
        session: a session without events for this long is over: its events are no longer read.
        event_ids: for this much longer, events that are delivered again are recognised.
        tombstone: a deleted session takes no events for this long.
    """

    session: float = 30 * DAY
    event_ids: float = DAY
    tombstone: float = 30 * DAY


class StoreUnavailableError(Exception):
    """The store cannot be read or written at the moment.

    What it was asked to do may have been done: a time-out tells nothing. Events with ids can be sent again.
    """


class SteadyClock:
    """Seconds since 1970. The wall clock is read once: if it is set while the process runs, no session ends.

    Args:
        wall: the wall clock.
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._offset = wall() - monotonic()

    def __call__(self) -> float:
        """Return the time."""
        return self._offset + self._monotonic()


class SessionStore(ABC):
    """Sessions by id. The events of a session are added one after the other, whoever sends them, and every read
    sees all events accepted before.
    """  # noqa: D205

    _hashed: KeyedHash

    @abstractmethod
    async def open(self) -> None:
        """Make the store ready; called once, in the event loop that uses it.

        Raises:
            SegueError: it cannot be used.
        """

    @abstractmethod
    async def close(self) -> None:
        """Write what is left to write, and close."""

    @abstractmethod
    async def append(self, session_id: str, events: Sequence[Event]) -> tuple[list[Status], Sequence[Event]]:
        """Add events to a session, which need not exist.

        Returns:
            What became of each event, and the events of the session afterwards, which must not be changed.

        Raises:
            StoreUnavailableError: see there.
        """

    @abstractmethod
    async def read(self, session_id: str) -> Sequence[Event]:
        """Return the events of a session, which must not be changed; none if there is no such session.

        Raises:
            StoreUnavailableError: see there.
        """

    @abstractmethod
    async def delete(self, session_id: str) -> None:
        """Delete a session from everything that this store and its journal hold; it takes no events afterwards.

        Args:
            session_id: the session; or a user, see ``segue.serving.journal.owner``, whom exposures name, and nothing
                else does.

        Raises:
            StoreUnavailableError: see there.
        """

    @abstractmethod
    def expose(self, shown: Exposure | Seen) -> bool:
        """Note what was recommended to a session or seen in it; return whether it is going to be stored."""

    def pseudonym(self, user_id: str) -> str:
        """Return a keyed hash of the id of a user, which the journal keeps in its place."""
        return self._hashed.of_user(user_id)

    @abstractmethod
    async def committed(self) -> None:
        """Wait until everything accepted so far would survive the end of the process.

        Raises:
            StoreUnavailableError: it cannot be written.
        """

    @property
    def problem(self) -> str | None:
        """Why events are refused at the moment; None if they are not."""
        return None

    @property
    def warning(self) -> str | None:
        """What an operator should mend, although the store works; None if there is nothing."""
        return None

    @property
    def lag(self) -> float:
        """Seconds since the oldest event that is accepted and not committed."""
        return 0.0
