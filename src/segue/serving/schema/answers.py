"""What the API answers, declared once."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from segue.models.why.answer import Why
from segue.serving.schema.messages import Mistake, Problem, Value


class ListedItem(msgspec.Struct, omit_defaults=True):
    """A recommended item."""

    item: str
    score: float
    name: str | None = None
    cold: str | None = None
    rule: str | None = None
    rank_by_model: int | None = None
    arm: str | None = None


class Ignored(msgspec.Struct):
    """An item of the session that was not used."""

    item: str
    why: Literal["unknown", "cold"]


class EventResult(msgspec.Struct, omit_defaults=True):
    """What became of an event."""

    status: Literal["accepted", "duplicate", "conflict", "refused", "ignored"]
    event_id: str | None = None
    detail: str | None = None
    errors: list[Mistake] = []
    clamped: bool = False


class Recommendation(msgspec.Struct):
    """An answer."""

    recommendation_id: str
    session_id: str | None
    model: str
    version: str
    fallback: Literal["empty-session", "unknown-items", "cold-items"] | None
    items: list[ListedItem]
    ignored: list[Ignored]
    events: list[EventResult]
    took_ms: float
    explanation: Why | UnsetType = UNSET
    arm: str | UnsetType | None = UNSET


class EventsAnswer(msgspec.Struct):
    """Counts of events, and what became of each."""

    accepted: int
    duplicate: int
    refused: int
    durable: bool
    results: list[EventResult]


_RESULT = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in (Recommendation, Problem)]


class BatchAnswer(msgspec.Struct):
    """An answer or a problem for each question."""

    results: list[Annotated[Any, Meta(extra_json_schema={"anyOf": _RESULT})]]


class ItemAnswer(msgspec.Struct, omit_defaults=True):
    """An item of the catalogue."""

    item: str
    name: str | None
    metadata: dict[str, Value]
    available: bool = True


class ItemsAnswer(msgspec.Struct):
    """Items of the catalogue, and where to go on."""

    items: list[ItemAnswer]
    cursor: str | None


class ChangedItem(msgspec.Struct, omit_defaults=True):
    """What became of a change of an item; ``missing`` says by model why it does not know the item."""

    status: Literal["changed", "added", "refused"]
    item: str | None = None
    detail: str | None = None
    errors: list[Mistake] = []
    missing: dict[str, str] = {}


class ItemsChanged(msgspec.Struct):
    """Counts of changes, and what became of each."""

    accepted: int
    refused: int
    results: list[ChangedItem]


class RuleAnswer(msgspec.Struct):
    """A rule: what it says, but for the ids, and how many items of each model it is for."""

    name: str
    kind: Literal["pin", "boost", "bury", "block", "availability", "diversity", "freshness"]
    rule: dict[str, Any]
    items: dict[str, int]


class RulesAnswer(msgspec.Struct):
    """The rules in use; ``problem`` says why the file as it is now is not."""

    version: str | None
    loaded: str | None
    problem: str | None
    warnings: list[str]
    rules: list[RuleAnswer]
    catalogue_items: int
    catalogue_updated: str | None


class SimilarAnswer(msgspec.Struct):
    """Items similar to one item."""

    item: str
    model: str
    version: str
    items: list[ListedItem]


class StoredEvent(msgspec.Struct):
    """An event of a session."""

    item: str
    type: str
    time: str
    event_id: str | None
    recommendation_id: str | None


class SessionAnswer(msgspec.Struct):
    """The events of a session, oldest first."""

    session_id: str
    events: list[StoredEvent]


class SearchAnswer(msgspec.Struct):
    """How a model finds the best items, as measured when it was loaded.

    ``speed_1`` and ``speed_32`` are the time of exact search divided by that of this search, for 1 and 32 sessions;
    ``recall_20`` is its share of the exact top 20; ``reason`` says why ``auto`` searches exactly.
    """

    kind: Literal["exact", "int8", "faiss"]
    speed_1: float
    speed_32: float
    recall_20: float
    reason: str | None


class ModelAnswer(msgspec.Struct):
    """A model in service."""

    name: str
    model: str
    version: str
    items: int
    default: bool
    problem: str | None
    search: SearchAnswer


class ModelsAnswer(msgspec.Struct):
    """The models in service."""

    models: list[ModelAnswer]


class HealthAnswer(msgspec.Struct):
    """Whether the service works, and what does not."""

    status: Literal["ok", "starting", "stopping", "unavailable"]
    problems: list[str]
