"""The operations on the catalogue: items are searched, read, compared and changed; and the rules are read."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from segue.errors import StorageError
from segue.serving.http.routing import Call, Operation, Reply, cursor, encode, place_of, whole
from segue.serving.ranking import Query
from segue.serving.schema import answers, messages
from segue.serving.schema.decoding import decode_items
from segue.serving.schema.messages import Refused

logger = logging.getLogger(__name__)

_TEXT: Mapping[str, Any] = {"type": "string"}
_K: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": messages.MAX_K, "default": 20}
_LIMIT: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}


async def _list_items(call: Call) -> Reply:
    served = call.service.models.ranker(call.query.get("model")).served
    limit, start = whole(call.query, "limit", _LIMIT), place_of(call.query.get("cursor"))
    order = served.model.vocabulary.order.items
    if search := call.query.get("search", "").strip().lower():
        order = await asyncio.to_thread(served.search, search)
    end = start + limit
    found = [served.describe(index) for index in order[start:end].tolist()]
    return Reply(encode(answers.ItemsAnswer(found, cursor(end) if end < len(order) else None)))


async def _read_item(call: Call) -> Reply:
    served = call.service.models.ranker(call.query.get("model")).served
    return Reply(encode(served.describe(_known_item(call, served.index))))


async def _similar_items(call: Call) -> Reply:
    ranker = call.service.models.ranker(call.query.get("model"))
    served = ranker.served
    item = served.ids[_known_item(call, served.index)]
    ranked = await ranker.rank(Query([item], whole(call.query, "k", _K), exclude=[item]))
    listed = served.listed(ranked.indices, ranked.scores, fallback=ranked.fallback is not None, moved=ranked.moved)
    return Reply(encode(answers.SimilarAnswer(item, served.name, served.version, listed)))


async def _change_items(call: Call) -> Reply:
    request, wrong = decode_items(call.body)
    models = call.service.models
    try:
        work = asyncio.get_running_loop().run_in_executor(models.changes, models.change_items, request, wrong)
        return Reply(encode(await work))
    except StorageError as error:
        logger.error("%s", error)
        raise Refused(503, "catalogue-unavailable", "the catalogue cannot be written", retry_after=1) from error


async def _read_rules(call: Call) -> Reply:
    models = call.service.models
    served = {name: ranker.served for name, ranker in models.rankers.items()}
    return Reply(encode(await asyncio.to_thread(models.merchandise.described, served)))


def _known_item(call: Call, index: Mapping[str, int]) -> int:
    found = index.get(call.path["item"])
    if found is None:
        raise Refused(404, "not-found", "the model has no such item")
    return found


ITEM_OPERATIONS = (
    Operation(
        "GET",
        "/v1/items",
        "list_items",
        "read",
        _list_items,
        "Search the catalogue, the most popular items first.",
        answer=answers.ItemsAnswer,
        statuses=(404,),
        query={"search": _TEXT, "limit": _LIMIT, "cursor": _TEXT, "model": _TEXT},
    ),
    Operation(
        "GET",
        "/v1/items/{item}",
        "read_item",
        "read",
        _read_item,
        "Read an item and its metadata.",
        answer=answers.ItemAnswer,
        statuses=(404,),
        query={"model": _TEXT},
    ),
    Operation(
        "GET",
        "/v1/items/{item}/similar",
        "similar_items",
        "read",
        _similar_items,
        "Recommend items for a session of this item alone.",
        answer=answers.SimilarAnswer,
        statuses=(404,),
        query={"k": _K, "model": _TEXT},
    ),
    Operation(
        "POST",
        "/v1/items",
        "change_items",
        "admin",
        _change_items,
        "Change availability and metadata of items, and add items.",
        messages.ItemsRequest,
        answers.ItemsChanged,
        timed=False,
    ),
    Operation("GET", "/v1/rules", "read_rules", "read", _read_rules, "Read the rules.", answer=answers.RulesAnswer),
)
"""The operations on items and rules."""
