"""What the API does, without HTTP: events of sessions in, recommendations out."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec import UNSET

from segue.errors import ArtifactError
from segue.serving.experiments import Experiments, Part
from segue.serving.explaining import Explainer
from segue.serving.journal import Exposure, owner
from segue.serving.models import ModelSet
from segue.serving.queries import mask_of, query_of
from segue.serving.ranking import Ranked
from segue.serving.schema.answers import EventResult, EventsAnswer, Ignored, Recommendation, SessionAnswer, StoredEvent
from segue.serving.schema.fields import id_of, ids_of, problems_of, time_of
from segue.serving.schema.messages import EventsRequest, Mistake, NewEvent, RecommendRequest, Refused, invalid, rfc3339
from segue.serving.served_model import ServedModel
from segue.serving.sessions import Event, Status, digest
from segue.serving.stores import SessionStore
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
        experiments: the experiment that divides the traffic; None gives all of it to the default model.
    """

    def __init__(
        self,
        models: ModelSet,
        store: SessionStore,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.time,
        experiments: Experiments | None = None,
    ) -> None:
        self.models, self.store, self.telemetry, self._clock = models, store, telemetry, clock
        self.experiments = experiments
        self._explainer = Explainer()

    def now(self) -> int:
        """Return the time in milliseconds since 1970."""
        return int(self._clock() * 1000)

    async def recommend(self, request: RecommendRequest, *, may_write: bool) -> Recommendation:
        """Add the events of a request to its session, and rank items for it.

        Raises:
            Refused: the request is wrong, or cannot be answered now.
            StoreUnavailableError: the store does not work.
        """
        start = time.perf_counter()
        now = self.now()
        part = None if self.experiments is None else self.experiments.part_of(request, self.store.pseudonym)
        rankers = [self.models.ranker(request.model)] if part is None else part.rankers(self.models, request.model)
        problems = problems_of(request)
        session_id = None if request.session_id is None else id_of(request.session_id, "/session_id", problems)
        if request.append and not may_write:
            raise Refused(403, "forbidden", "append needs a token with the scope write")
        appended = [self._arrival(one, f"/append/{row}", now, problems) for row, one in enumerate(request.append)]
        arrivals = [event for event, _ in appended]
        exclude = ids_of(request.exclude, "/exclude", problems)
        if request.user_id is not None:
            id_of(request.user_id, "/user_id", problems)
        masks = [mask_of(one.served, request, problems) for one in rankers]
        given = None if request.items is None else self._given(request, problems)
        if problems:
            raise invalid(problems)
        if request.explain:
            self._explainer.require_room()
        statuses: list[Status] | None = None
        events: Sequence[Event] = arrivals if given is None else given
        if request.consent and session_id is not None:
            statuses, events = await self._session(session_id, arrivals)
        known = session_id if request.consent else None
        found: list[tuple[Recommendation, Ranked]] = []
        for ranker, allowed in zip(rankers, masks, strict=True):
            served = ranker.served
            query = query_of(served, request, events, exclude, allowed, now, known)
            try:
                ranked = await ranker.rank(query)
                explained = request.explain and len(rankers) == 1
                explanation = await self._explainer.explain(served, query, ranked) if explained else UNSET
            except ArtifactError as error:
                raise Refused(500, "damaged-model", str(error)) from error
            self.telemetry.ranked(served.name, ranked.fallback, len(ranked.unknown))
            found.append((self._answer(served, ranked, known), ranked))
            found[0][0].explanation = explanation
        answer, ranked = found[0]
        answer.events = _results(appended, statuses)
        if self.experiments is not None:
            answer.arm = None if part is None else part.arm
        if part is not None and len(found) > 1:
            answer.items = part.merge(answer.items, found[1][0].items, request.k, answer.recommendation_id)
        if part is not None and (arms := part.arm or " + ".join(part.interleaved)):
            self.telemetry.arm(part.split.experiment.name, arms)
        if request.consent:
            self._expose(answer, ranked, session_id, now, part)
        answer.took_ms = round(1000 * (time.perf_counter() - start), 3)
        return answer

    async def _session(self, session_id: str, arrivals: list[Event]) -> tuple[list[Status], Sequence[Event]]:
        """Add events to a session and return what became of them, and all its events."""
        start = time.perf_counter()
        statuses: list[Status] = []
        if arrivals:
            statuses, events = await self.store.append(session_id, arrivals)
        else:
            events = await self.store.read(session_id)
        self.telemetry.stored(time.perf_counter() - start)
        self.telemetry.events(statuses)
        return statuses, events

    def _given(self, request: RecommendRequest, problems: list[Mistake]) -> list[Event]:
        """Return the session that a request carries."""
        items = ids_of(request.items or [], "/items", problems)
        times = [time_of(moment, f"/times/{row}", problems) for row, moment in enumerate(request.times or [])]
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

    def _expose(
        self, answer: Recommendation, ranked: Ranked, session_id: str | None, now: int, part: Part | None
    ) -> None:
        exposure = Exposure(
            answer.recommendation_id,
            session_id,
            now,
            answer.model,
            answer.version,
            ranked.fallback,
            [one.item for one in answer.items],
            ranked.scores,
        )
        self.store.expose(exposure if part is None else part.noted(exposure, answer.items))

    def _answer(self, served: ServedModel, ranked: Ranked, session_id: str | None) -> Recommendation:
        ignored = [Ignored(item, "unknown") for item in dict.fromkeys(ranked.unknown)]
        ignored += [Ignored(item, "cold") for item in dict.fromkeys(ranked.cold)]
        return Recommendation(
            secrets.token_hex(16),
            session_id,
            served.name,
            served.version,
            ranked.fallback,
            served.listed(ranked.indices, ranked.scores, fallback=ranked.fallback is not None, moved=ranked.moved),
            ignored,
            [],
            0.0,
        )

    async def events(self, request: EventsRequest, wrong: Mapping[int, list[Mistake]]) -> EventsAnswer:
        """Add events to their sessions.

        Args:
            request: the events.
            wrong: mistakes of further events by their row; they are refused.

        Raises:
            StoreUnavailableError: nothing can be accepted now, or it cannot be committed.
        """
        now = self.now()
        count = len(request.events) + len(wrong)
        results = {row: EventResult("refused", None, mistakes[0].detail, mistakes) for row, mistakes in wrong.items()}
        by_session: dict[str, list[tuple[int, Event, bool]]] = {}
        for row, one in zip((row for row in range(count) if row not in wrong), request.events, strict=True):
            mistakes: list[Mistake] = []
            session_id = id_of(one.session_id, f"/events/{row}/session_id", mistakes)
            event, clamped = self._arrival(one, f"/events/{row}", now, mistakes)
            if mistakes:
                results[row] = EventResult("refused", event.event_id, mistakes[0].detail, mistakes)
            elif not one.consent:
                results[row] = EventResult("ignored", event.event_id, _NO_CONSENT)
            else:
                by_session.setdefault(session_id, []).append((row, event, clamped))
        for session_id, arrivals in by_session.items():
            statuses, _ = await self.store.append(session_id, [event for _, event, _ in arrivals])
            self.telemetry.events(statuses)
            for (row, event, clamped), status in zip(arrivals, statuses, strict=True):
                results[row] = _result(event.event_id, status, clamped)
        if request.durable:
            await self.store.committed()
        found = [results[row] for row in range(count)]
        accepted, duplicate = (sum(one.status == status for one in found) for status in ("accepted", "duplicate"))
        refused = sum(one.status in ("refused", "conflict") for one in found)
        return EventsAnswer(accepted, duplicate, refused, request.durable, found)

    def _arrival(self, one: NewEvent, place: str, now: int, mistakes: list[Mistake]) -> tuple[Event, bool]:
        """Return an event as a store keeps it, and whether its time was ahead of the clock."""
        item = id_of(one.item, f"{place}/item", mistakes)
        event_id = None if one.event_id is None else id_of(one.event_id, f"{place}/event_id", mistakes)
        moment = now if one.time is None else time_of(one.time, f"{place}/time", mistakes)
        ahead = moment > now + AHEAD_MS
        led = one.recommendation_id
        led_by = None if led is None else id_of(led, f"{place}/recommendation_id", mistakes)
        said = b"" if event_id is None else digest(item, one.type, one.time, led_by, one.context)
        event = Event(now if ahead else moment, item, one.type, event_id, led_by, one.context, said)
        return event, ahead

    async def session(self, session_id: str) -> SessionAnswer:
        """Return the events of a session.

        Raises:
            Refused: there is no such session.
            StoreUnavailableError: the store does not work.
        """
        events = await self.store.read(session_id)
        if not events:
            raise Refused(404, "not-found", "there is no such session")
        stored = [
            StoredEvent(one.item, one.type, rfc3339(one.time), one.event_id, one.recommendation_id) for one in events
        ]
        return SessionAnswer(session_id, stored)

    async def forget(self, session_id: str) -> None:
        """Delete a session from the store and the journal; it takes no events afterwards.

        Raises:
            StoreUnavailableError: it cannot be deleted now.
        """
        self.models.forget(session_id)
        await self.store.delete(session_id)
        self.models.forget(session_id)  # A request under way may have kept its state again.

    async def forget_user(self, user_id: str) -> None:
        """Delete what was recommended to a user, and seen of it, from the journal; sessions are deleted by their ids.

        Raises:
            StoreUnavailableError: it cannot be deleted now.
        """
        await self.store.delete(owner(self.store.pseudonym(user_id)))


_NO_CONSENT = "without consent nothing is stored"


def _results(appended: Sequence[tuple[Event, bool]], statuses: Sequence[Status] | None) -> list[EventResult]:
    if statuses is None:
        return [EventResult("ignored", event.event_id, _NO_CONSENT) for event, _ in appended]
    return [
        _result(event.event_id, status, clamped) for (event, clamped), status in zip(appended, statuses, strict=True)
    ]


_DETAILS = {
    "conflict": "the session has another event with this id",
    "deleted": "the session was deleted",
}


def _result(event_id: str | None, status: Status, clamped: bool) -> EventResult:
    if status == "deleted":
        return EventResult("refused", event_id, _DETAILS[status])
    return EventResult(status, event_id, _DETAILS.get(status), clamped=clamped and status == "accepted")
