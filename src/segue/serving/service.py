"""What the API does, without HTTP: events of sessions in, recommendations out."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from segue.errors import ArtifactError, ParameterError
from segue.serving.engine import Query, Ranked
from segue.serving.journal import Exposure
from segue.serving.messages import (
    MAX_ID_BYTES,
    EventResult,
    EventsAnswer,
    EventsRequest,
    Ignored,
    Mistake,
    NewEvent,
    Recommendation,
    RecommendRequest,
    Refused,
    SessionAnswer,
    StoredEvent,
    invalid,
    milliseconds,
    rfc3339,
)
from segue.serving.models import ModelSet, ServedModel
from segue.serving.sessions import Event, Status, digest
from segue.serving.stores import SessionStore, StoreUnavailableError
from segue.serving.telemetry import Telemetry

AHEAD_MS = 5_000
"""Clocks of clients may be ahead by this much; a later time is replaced by that of the server."""


class Service:
    """Recommendations for live sessions.

    Args:
        models: the models, by name.
        store: the sessions.
        telemetry: what is counted.
        clock: seconds since 1970.
    """

    def __init__(
        self, models: ModelSet, store: SessionStore, telemetry: Telemetry, clock: Callable[[], float] = time.time
    ) -> None:
        self.models, self.store, self.telemetry, self._clock = models, store, telemetry, clock

    async def recommend(self, request: RecommendRequest, recommendation_id: str, *, may_write: bool) -> Recommendation:
        """Add the events of a request to its session, and rank items for it.

        Raises:
            Refused: the request is wrong, or cannot be answered now.
        """
        start = time.perf_counter()
        now = int(self._clock() * 1000)
        ranker = self.models.ranker(request.model)
        served = ranker.served
        problems = _problems_of(request)
        session_id = None if request.session_id is None else _id(request.session_id, "/session_id", problems)
        if request.append and not may_write:
            raise Refused(403, "forbidden", "append needs a token with the scope write")
        arrivals, clamped = self._arrivals(request.append, "/append", now, problems)
        exclude = _ids(request.exclude, "/exclude", problems)
        allowed = None
        if request.filter is not None:
            try:
                allowed = served.mask(request.filter)
            except ParameterError as error:
                problems.append(Mistake("/filter", str(error)))
        given = None if request.items is None else self._given(request, problems)
        if problems:
            raise invalid(problems)
        statuses: list[Status] | None = None
        if given is not None:
            events: Sequence[Event] = given
        elif request.consent and session_id is not None:
            try:
                if arrivals:
                    statuses, events = await self.store.append(session_id, arrivals)
                    self.telemetry.events(statuses)
                else:
                    events = await self.store.read(session_id)
            except StoreUnavailableError as error:
                raise unavailable(error) from error
        else:
            events = arrivals
        read = served.rules.read(events)
        timed = given is None or request.times is not None
        query = Query(
            [event.item for event in read],
            request.k,
            [event.time // 1000 for event in read] if timed else None,
            [event.context for event in read] if served.model.context_columns else None,
            exclude,
            served.excludes_seen if request.exclude_seen is None else request.exclude_seen,
            allowed,
            now // 1000,
        )
        try:
            ranked = await ranker.rank(query)
        except ArtifactError as error:
            raise Refused(500, "damaged-model", str(error)) from error
        answer = self._answer(served, ranked, recommendation_id, session_id if request.consent else None)
        answer.events = _results(request.append, statuses, clamped, request.consent)
        self.telemetry.ranked(served, ranked)
        if request.consent:
            listed = [one.item for one in answer.items]
            scores = ranked.scores
            session = None if given is not None else session_id
            self.store.expose(
                Exposure(recommendation_id, session, now, served.name, served.version, ranked.fallback, listed, scores)
            )
        answer.took_ms = round(1000 * (time.perf_counter() - start), 3)
        return answer

    def _given(self, request: RecommendRequest, problems: list[Mistake]) -> list[Event]:
        """Return the session that a request carries."""
        items = _ids(request.items or [], "/items", problems)
        times = [_time(moment, f"/times/{row}", problems) for row, moment in enumerate(request.times or [])]
        context = request.context or []
        for name, values in (("times", times), ("context", context)):
            if values and len(values) != len(items):
                problems.append(Mistake(f"/{name}", f"must have one value per item, {len(items)}, got {len(values)}"))
        if problems:
            return []
        return [
            Event(times[row] if times else 0, item, context=context[row] if context else None)
            for row, item in enumerate(items)
        ]

    def _answer(
        self, served: ServedModel, ranked: Ranked, recommendation_id: str, session_id: str | None
    ) -> Recommendation:
        ignored = [Ignored(item, "unknown") for item in dict.fromkeys(ranked.unknown)]
        ignored += [Ignored(item, "cold") for item in dict.fromkeys(ranked.cold)]
        return Recommendation(
            recommendation_id, session_id, served.name, served.version, ranked.fallback, served.listed(ranked), ignored, [], 0.0
        )

    async def events(self, request: EventsRequest) -> EventsAnswer:
        """Add events to their sessions.

        Raises:
            Refused: nothing can be accepted now, or it cannot be committed.
        """
        now = int(self._clock() * 1000)
        results: list[EventResult | None] = [None] * len(request.events)
        by_session: dict[str, list[tuple[int, Event, bool]]] = {}
        for row, one in enumerate(request.events):
            mistakes: list[Mistake] = []
            session_id = _id(one.session_id, f"/events/{row}/session_id", mistakes)
            (event,), clamped = self._arrivals([one], "/events", now, mistakes, row) if one else ((), set())
            event_id = None if one.event_id is None else str(one.event_id)
            if mistakes:
                results[row] = EventResult("refused", event_id, mistakes[0].detail, mistakes)
            elif not one.consent:
                results[row] = EventResult("ignored", event_id, "without consent nothing is stored")
            else:
                by_session.setdefault(session_id, []).append((row, event, bool(clamped)))
        try:
            for session_id, arrivals in by_session.items():
                statuses, _ = await self.store.append(session_id, [event for _, event, _ in arrivals])
                self.telemetry.events(statuses)
                for (row, event, clamped), status in zip(arrivals, statuses, strict=True):
                    results[row] = _result(event.event_id, status, clamped)
            if request.durable:
                await self.store.committed()
        except StoreUnavailableError as error:
            raise unavailable(error) from error
        found = [result for result in results if result is not None]
        counts = {status: sum(one.status == status for one in found) for status in ("accepted", "duplicate")}
        refused = sum(one.status in ("refused", "conflict") for one in found)
        return EventsAnswer(counts["accepted"], counts["duplicate"], refused, request.durable, found)

    def _arrivals(
        self, events: Sequence[NewEvent], place: str, now: int, problems: list[Mistake], first: int = 0
    ) -> tuple[list[Event], set[int]]:
        """Return events as a store keeps them, and which of them were from the future."""
        arrivals, clamped = [], set()
        for row, one in enumerate(events, start=first):
            pointer = f"{place}/{row}"
            item = _id(one.item, f"{pointer}/item", problems)
            event_id = None if one.event_id is None else _id(one.event_id, f"{pointer}/event_id", problems)
            time_ = now if one.time is None else _time(one.time, f"{pointer}/time", problems)
            if time_ > now + AHEAD_MS:
                clamped.add(row - first)
                time_ = now
            said = b"" if event_id is None else digest(item, one.type, one.time, one.recommendation_id, one.context)
            arrivals.append(Event(time_, item, one.type, event_id, one.recommendation_id, one.context, said))
        return arrivals, clamped

    async def session(self, session_id: str) -> SessionAnswer:
        """Return the events of a session.

        Raises:
            Refused: there is no such session.
        """
        try:
            events = await self.store.read(session_id)
        except StoreUnavailableError as error:
            raise unavailable(error) from error
        if not events:
            raise Refused(404, "not-found", "there is no such session")
        stored = [
            StoredEvent(one.item, one.type, rfc3339(one.time), one.event_id, one.recommendation_id) for one in events
        ]
        return SessionAnswer(session_id, stored)

    async def forget(self, session_id: str) -> None:
        """Delete a session from the store and the journal; it takes no events afterwards.

        Raises:
            Refused: it cannot be deleted now.
        """
        try:
            await self.store.delete(session_id)
        except StoreUnavailableError as error:
            raise unavailable(error) from error


def unavailable(error: StoreUnavailableError) -> Refused:
    """Return the refusal of a request that needs the store."""
    return Refused(503, "store-unavailable", f"the session store does not work: {error}", retry_after=1)


def _problems_of(request: RecommendRequest) -> list[Mistake]:
    """Return what is wrong with the fields of a request taken together."""
    problems = []
    if request.items is not None and request.session_id is not None:
        problems.append(Mistake("/items", "cannot be combined with session_id; give one of them"))
    if request.items is not None and request.append:
        problems.append(Mistake("/append", "needs session_id; put the items at the end of items"))
    if request.items is None and request.session_id is None:
        problems.append(Mistake("/session_id", "is missing; name a session, or give the items of one in items"))
    if request.items is None:
        for name in ("times", "context"):
            if getattr(request, name) is not None:
                problems.append(Mistake(f"/{name}", "belongs to items; give it with each event of append"))
    return problems


def _id(value: str | int, pointer: str, problems: list[Mistake]) -> str:
    text = value if value.__class__ is str else str(value)
    if len(text) > MAX_ID_BYTES // 4 and (size := len(text.encode())) > MAX_ID_BYTES:
        problems.append(Mistake(pointer, f"must have 1 to {MAX_ID_BYTES} bytes, got {size}"))
    return text


def _ids(values: Sequence[str | int], place: str, problems: list[Mistake]) -> list[str]:
    return [_id(value, f"{place}/{row}", problems) for row, value in enumerate(values)]


def _time(moment: Any, pointer: str, problems: list[Mistake]) -> int:
    try:
        return milliseconds(moment)
    except (ValueError, OverflowError) as error:
        problems.append(Mistake(pointer, str(error)))
        return 0


def _results(
    events: Sequence[NewEvent], statuses: Sequence[Status] | None, clamped: set[int], consent: bool
) -> list[EventResult]:
    if statuses is None:
        return [EventResult("ignored", None, "without consent nothing is stored") for _ in events]
    return [
        _result(None if event.event_id is None else str(event.event_id), status, row in clamped)
        for row, (event, status) in enumerate(zip(events, statuses, strict=True))
    ]


_DETAILS = {
    "conflict": "the session has another event with this id",
    "deleted": "the session was deleted",
}


def _result(event_id: str | None, status: Status, clamped: bool) -> EventResult:
    if status == "deleted":
        return EventResult("refused", event_id, _DETAILS[status])
    return EventResult(status, event_id, _DETAILS.get(status), clamped=clamped and status == "accepted")
