"""What a model reads of a live session: the cleaning of its protocol, as far as it concerns single events.

A model is trained on cleaned sessions, so it has to be asked about cleaned sessions. Steps that need the whole log have
no equivalent for a live session: an item that was too rare for training is an unknown item.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segue.data.events import TYPE
from segue.serving.sessions import Event

_Step = Callable[[Sequence[Event]], Sequence[Event]]


class SessionRules:
    """The steps that turn the events of a session into those that the model reads, in the order of the protocol.

    Args:
        cleaning: the section ``cleaning`` of the protocol, as the manifest of a model stores it; empty for none.

    Attributes:
        gap: milliseconds without an event after which a new session begins; None if the log has sessions of its own.
    """

    def __init__(self, cleaning: Mapping[str, Any]) -> None:
        minutes = cleaning.get("session_gap")
        self.gap = None if minutes is None else int(minutes * 60_000)
        types = (cleaning.get("value_among") or {}).get(TYPE)
        revisits = cleaning.get("revisits", "all")
        steps: dict[str, _Step | None] = {
            "sessionise": self._current if self.gap is not None else None,
            "consecutive-repeats": _without_repeats if cleaning.get("drop_consecutive_repeats") else None,
            "revisits": {"first": _first_visits, "last": _last_visits}.get(revisits),
            "values": _of_types(frozenset(types)) if types else None,
        }
        self._all_steps = tuple(steps)
        order = cleaning.get("order", self._all_steps)
        self._steps = [step for name in order if (step := steps.get(name)) is not None]

    def read(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events that the model reads.

        Args:
            events: the events of a session in their order.
        """
        for step in self._steps:
            events = step(events)
        return events

    def _current(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events after the last gap; training measures gaps between events, not from the last one to now."""
        assert self.gap is not None
        start = len(events) - 1
        while start > 0 and events[start].time - events[start - 1].time <= self.gap:
            start -= 1
        return events[max(0, start) :]


def _without_repeats(events: Sequence[Event]) -> Sequence[Event]:
    return [event for place, event in enumerate(events) if not place or event.item != events[place - 1].item]


def _first_visits(events: Sequence[Event]) -> Sequence[Event]:
    firsts: dict[str, Event] = {}
    for event in events:
        firsts.setdefault(event.item, event)
    return list(firsts.values())


def _last_visits(events: Sequence[Event]) -> Sequence[Event]:
    return _first_visits(events[::-1])[::-1]


def _of_types(types: frozenset[str]) -> _Step:
    return lambda events: [event for event in events if event.type in types]
