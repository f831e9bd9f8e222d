"""The events of one session on the server: their order, and repeated and contradictory deliveries.

These functions are the whole meaning of a session; the stores only keep sessions.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

import msgspec

MAX_EVENTS = 1000
"""Most events that a session keeps: the most recent ones."""

MAX_EVENT_IDS = 2 * MAX_EVENTS
"""Event ids that a session remembers, so that events delivered again are recognised."""

Status = Literal["accepted", "duplicate", "conflict", "deleted"]
"""What became of an event. ``conflict``: its id belongs to another event of the session. ``deleted``: its session was
deleted and takes no events."""

Value = str | int | float | bool | None
"""A value of a column of an event."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event of a session.

    Attributes:
        time: milliseconds since 1970, UTC.
        item: raw item id, as text.
        type: kind of event, such as ``view``.
        event_id: id that the sender gave it; None if it gave none.
        recommendation_id: the answer that led to it.
        context: values of further columns.
        digest: hash of what the sender said, by which a repeated delivery is recognised.
    """

    time: int
    item: str
    type: str = "view"
    event_id: str | None = None
    recommendation_id: str | None = None
    context: Mapping[str, Value] | None = None
    digest: bytes = b""


class Session(msgspec.Struct, array_like=True, gc=False):
    """The events of a session, in order of their times; events with equal times in order of their arrival.

    Attributes:
        events: the last ``MAX_EVENTS`` of them.
        ids: digest by event id, also of events that are no longer kept.
    """

    events: list[Event] = msgspec.field(default_factory=list)
    ids: dict[str, bytes] = msgspec.field(default_factory=dict)

    def add(self, event: Event) -> Status:
        """Put an event in its place, unless it is already there."""
        if event.event_id is not None:
            known = self.ids.get(event.event_id)
            if known is not None:
                return "duplicate" if known == event.digest else "conflict"
            self.ids[event.event_id] = event.digest
            if len(self.ids) > MAX_EVENT_IDS:
                del self.ids[next(iter(self.ids))]
        events = self.events
        if not events or events[-1].time <= event.time:
            events.append(event)
        else:
            events.insert(bisect_right(events, event.time, key=_time), event)
        if len(events) > MAX_EVENTS:
            del events[0]
        return "accepted"

    def add_all(self, events: Sequence[Event]) -> list[Status]:
        """Add events in the order of their arrival."""
        return [self.add(event) for event in events]


def _time(event: Event) -> int:
    return event.time


_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def digest(*said: Any) -> bytes:
    """Return a hash of what a sender said about an event."""
    return blake2b(_encode(said), digest_size=8).digest()
