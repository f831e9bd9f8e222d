"""The operations of the API: where each is, who may call it, what goes in and what comes out."""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from segue.serving import messages
from segue.serving.decoding import decode, decode_events
from segue.serving.engine import Query
from segue.serving.messages import Message, Mistake, Refused, invalid
from segue.serving.service import Service
from segue.serving.telemetry import Telemetry

encode = msgspec.json.encode


class Call(NamedTuple):
    """A request, checked as far as all requests are."""

    service: Service
    telemetry: Telemetry
    body: bytes
    path: Mapping[str, str]
    query: bytes
    request_id: str
    scopes: frozenset[str]


class Reply(NamedTuple):
    """An answer."""

    body: bytes
    status: int = 200
    media_type: bytes = b"application/json"


@dataclass(frozen=True)
class Operation:
    """An operation of the API.

    Attributes:
        method: method of HTTP.
        path: path, with parameters in braces.
        scope: scope that a token needs; None needs no token.
        handler: answers a call.
        summary: what it does.
        request: the message in the body; None for no body.
        answer: the message of a good answer; None for no body.
        statuses: status codes of refusals, besides those that every operation has.
        parameters: parameters of the query, as JSON schemas.
        shed: whether it is refused under overload.
    """

    method: str
    path: str
    scope: str | None
    handler: Callable[[Call], Awaitable[Reply]]
    summary: str
    request: type[Message] | None = None
    answer: Any = None
    statuses: tuple[int, ...] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shed: bool = True


async def _recommend(call: Call) -> Reply:
    request = decode(call.body, messages.RecommendRequest)
    answer = await call.service.recommend(request, may_write="write" in call.scopes)
    return Reply(encode(answer))


async def _recommend_batch(call: Call) -> Reply:
    request = decode(call.body, messages.BatchRequest)

    async def answer(one: messages.RecommendRequest) -> messages.Recommendation | messages.Problem:
        try:
            return await call.service.recommend(one, may_write="write" in call.scopes)
        except Refused as refused:
            return refused.problem(call.request_id)

    answers = await asyncio.gather(*map(answer, request.requests))
    return Reply(encode(messages.BatchAnswer(answers)))


async def _events(call: Call) -> Reply:
    return Reply(encode(await call.service.events(*decode_events(call.body))))


async def _session(call: Call) -> Reply:
    return Reply(encode(await call.service.session(_id_in_path(call, "session_id"))))


async def _forget(call: Call) -> Reply:
    await call.service.forget(_id_in_path(call, "session_id"))
    return Reply(b"", 204)


async def _models(call: Call) -> Reply:
    models = call.service.models
    found = [
        messages.ModelAnswer(
            name,
            ranker.served.model.name,
            ranker.served.version,
            len(ranker.served.model.vocabulary),
            name == models.default,
            models.problems.get(name),
        )
        for name, ranker in models.rankers.items()
    ]
    return Reply(encode(messages.ModelsAnswer(found)))


async def _reload(call: Call) -> Reply:
    name = call.path["name"]
    served = await asyncio.to_thread(call.service.models.load, name)
    models = call.service.models
    count = len(served.model.vocabulary)
    return Reply(
        encode(messages.ModelAnswer(name, served.model.name, served.version, count, name == models.default, None))
    )


_MAX_PAGE = 200
_DEFAULT_PAGE = 50


async def _items(call: Call) -> Reply:
    given = _parameters(call, ("search", "limit", "cursor", "model"))
    served = call.service.models.ranker(given.get("model")).served
    limit = _whole(given, "limit", _DEFAULT_PAGE, 1, _MAX_PAGE)
    start = _cursor(given.get("cursor"))
    order = served.model.vocabulary.order.items
    if search := given.get("search", "").strip().lower():
        order = order[served.search(search)[order]]
    page = order[start : start + limit].tolist()
    more = start + limit < len(order)
    cursor = base64.urlsafe_b64encode(f"{start + limit}".encode()).decode() if more else None
    return Reply(encode(messages.ItemsAnswer([served.describe(index) for index in page], cursor)))


async def _item(call: Call) -> Reply:
    given = _parameters(call, ("model",))
    served = call.service.models.ranker(given.get("model")).served
    return Reply(encode(served.describe(_known_item(call, served.index))))


async def _similar(call: Call) -> Reply:
    given = _parameters(call, ("model", "k"))
    ranker = call.service.models.ranker(given.get("model"))
    served = ranker.served
    item = served.ids[_known_item(call, served.index)]
    ranked = await ranker.rank(Query([item], _whole(given, "k", 20, 1, messages.MAX_K), exclude=[item]))
    return Reply(encode(messages.SimilarAnswer(item, served.name, served.version, served.listed(ranked))))


async def _live(call: Call) -> Reply:
    return Reply(encode(messages.HealthAnswer("ok", [])))


def _id_in_path(call: Call, name: str) -> str:
    value = call.path[name]
    size = len(value.encode(errors="surrogatepass"))
    if not 1 <= size <= messages.MAX_ID_BYTES or not _PRINTABLE.fullmatch(value):
        raise invalid([Mistake(f"/{name}", f"must have 1 to {messages.MAX_ID_BYTES} bytes without control characters")])
    return value


_PRINTABLE = re.compile("[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def _known_item(call: Call, index: Mapping[str, int]) -> int:
    found = index.get(_id_in_path(call, "item"))
    if found is None:
        raise Refused(404, "not-found", "the model has no such item")
    return found


def _parameters(call: Call, names: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters of a query.

    Raises:
        Refused: one is unknown, or is given twice.
    """
    try:
        pairs = parse_qsl(call.query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise invalid([Mistake("", "the query must be text in UTF-8, percent-encoded")]) from None
    found = dict(pairs)
    mistakes = [
        Mistake(f"/{name[:100]}", f"is no parameter; there are {', '.join(names)}")
        for name in found
        if name not in names
    ]
    if len(found) < len(pairs):
        mistakes.append(Mistake("", "a parameter is given twice"))
    if mistakes:
        raise invalid(mistakes)
    return found


def _whole(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = given.get(name, str(default))
    if not re.fullmatch("[0-9]{1,6}", text) or not least <= int(text) <= most:
        raise invalid([Mistake(f"/{name}", f"must be between {least} and {most}, got {text[:50]!r}")])
    return int(text)


def _cursor(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(text.encode("ascii")).decode("ascii"))
    except (ValueError, UnicodeError):
        raise invalid([Mistake("/cursor", "must be a cursor of an earlier answer")]) from None


_TEXT: Mapping[str, Any] = {"type": "string"}
_K: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": messages.MAX_K, "default": 20}
_LIMIT: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": _MAX_PAGE, "default": _DEFAULT_PAGE}

OPERATIONS = (
    Operation(
        "POST",
        "/v1/recommend",
        "read",
        _recommend,
        "Add events to a session and recommend the next items.",
        messages.RecommendRequest,
        messages.Recommendation,
        (404,),
    ),
    Operation(
        "POST",
        "/v1/recommend/batch",
        "read",
        _recommend_batch,
        "Answer several requests, each of them alone.",
        messages.BatchRequest,
        messages.BatchAnswer,
    ),
    Operation(
        "POST",
        "/v1/events",
        "write",
        _events,
        "Add events to sessions.",
        messages.EventsRequest,
        messages.EventsAnswer,
    ),
    Operation(
        "GET",
        "/v1/sessions/{session_id}",
        "write",
        _session,
        "Read the events of a session.",
        None,
        messages.SessionAnswer,
        (404,),
    ),
    Operation(
        "DELETE", "/v1/sessions/{session_id}", "write", _forget, "Delete a session and all that is stored of it."
    ),
    Operation(
        "GET",
        "/v1/items",
        "read",
        _items,
        "Search the catalogue, the most popular items first.",
        None,
        messages.ItemsAnswer,
        (404,),
        {"search": _TEXT, "limit": _LIMIT, "cursor": _TEXT, "model": _TEXT},
    ),
    Operation(
        "GET",
        "/v1/items/{item}",
        "read",
        _item,
        "Read an item and its metadata.",
        None,
        messages.ItemAnswer,
        (404,),
        {"model": _TEXT},
    ),
    Operation(
        "GET",
        "/v1/items/{item}/similar",
        "read",
        _similar,
        "Recommend items for a session of this item alone.",
        None,
        messages.SimilarAnswer,
        (404,),
        {"k": _K, "model": _TEXT},
    ),
    Operation("GET", "/v1/models", "read", _models, "List the models.", None, messages.ModelsAnswer),
    Operation(
        "POST",
        "/v1/models/{name}/reload",
        "admin",
        _reload,
        "Load a model again, unless it is not valid.",
        None,
        messages.ModelAnswer,
        (404, 409),
    ),
    Operation(
        "GET", "/health/live", None, _live, "Say that the process runs.", None, messages.HealthAnswer, shed=False
    ),
)
"""All operations but those on the state of the app itself, which ``segue.serving.app`` adds."""
