"""Sessions in memory, the least recently used ones first, within a bound."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

from segue.serving.sessions import Session
from segue.serving.stores import Lifetimes

_MAX_STEPS = 100
"""Sessions that are looked at when one is put in, to make room for it."""


class _Entry:
    __slots__ = ("counted", "session", "touched")

    def __init__(self, session: Session, touched: float) -> None:
        self.session = session
        self.touched = touched
        self.counted = 0


class SessionTable:
    """Sessions by id, of the same process.

    Args:
        lifetimes: when sessions are over.
        max_events: bound on the events of all sessions; beyond it the least recently used sessions are dropped.
        clock: seconds since 1970, see ``SteadyClock``.

    Attributes:
        dropped: sessions dropped because of the bound.
        is_pinned: says whether a session must not be dropped, because it is not stored elsewhere yet.
    """

    def __init__(self, lifetimes: Lifetimes, max_events: int, clock: Callable[[], float]) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lifetimes, self._max_events, self._clock = lifetimes, max_events, clock
        self._events = 0
        self.dropped = 0
        self.is_pinned: Callable[[str], bool] = lambda _: False

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, session_id: str) -> Session | None:
        """Return a session, or None; one that is over has no events."""
        entry = self._entries.get(session_id)
        if entry is None:
            return None
        idle = self._clock() - entry.touched
        if idle > self._lifetimes.session + self._lifetimes.event_ids:
            self.remove(session_id)
            return None
        if idle > self._lifetimes.session and entry.session.events:
            entry.session = Session([], entry.session.ids)
            self._count(entry)
        self._entries.move_to_end(session_id)
        return entry.session

    def put(self, session_id: str, session: Session, touched: float) -> None:
        """Put in a session that was changed, or was read from elsewhere.

        Args:
            session_id: its id.
            session: the session.
            touched: time at which it last took an event.
        """
        entry = self._entries.get(session_id)
        if entry is None:
            entry = self._entries[session_id] = _Entry(session, 0.0)
        entry.session, entry.touched = session, touched
        self._entries.move_to_end(session_id)
        self._count(entry)
        if self._events > self._max_events:
            self._drop(session_id)

    def remove(self, session_id: str) -> None:
        """Remove a session, if it is there."""
        entry = self._entries.pop(session_id, None)
        if entry is not None:
            self._events -= entry.counted

    def sweep(self, most: int = 1000) -> None:
        """Remove sessions that are over for long, at most some of them at once."""
        limit = self._clock() - self._lifetimes.session - self._lifetimes.event_ids
        for session_id, entry in list(islice(self._entries.items(), most)):
            if entry.touched >= limit:
                return
            if not self.is_pinned(session_id):
                self.remove(session_id)

    def _count(self, entry: _Entry) -> None:
        size = 1 + len(entry.session.events) + len(entry.session.ids)
        self._events += size - entry.counted
        entry.counted = size

    def _drop(self, newest: str) -> None:
        for _ in range(_MAX_STEPS):
            oldest = next(iter(self._entries))
            if self._events <= self._max_events or oldest == newest:
                return
            if self.is_pinned(oldest):
                self._entries.move_to_end(oldest)
            else:
                self.remove(oldest)
                self.dropped += 1
