"""The operations of the API: where each is, who may call it, what goes in and what comes out."""

import asyncio

from segue.models.measured_search import BATCHES
from segue.serving.http import experiment_operations
from segue.serving.http.item_operations import ITEM_OPERATIONS
from segue.serving.http.routing import Call, Operation, Reply, encode
from segue.serving.schema import answers, messages
from segue.serving.schema.decoding import decode, decode_batch, decode_events
from segue.serving.schema.messages import Refused
from segue.serving.stores import StoreUnavailableError


def unavailable(error: StoreUnavailableError) -> Refused:
    """Return the refusal of a request that needs the store."""
    return Refused(503, "store-unavailable", f"the session store does not work: {error}", retry_after=1)


_TOGETHER = 16
"""Requests of a batch that are answered without a pause."""


async def _recommend(call: Call) -> Reply:
    call.logged = False  # Before it is read, nobody has given consent.
    request = decode(call.body, messages.RecommendRequest)
    call.logged = request.consent
    return Reply(encode(await call.service.recommend(request, may_write="write" in call.scopes)))


async def _recommend_batch(call: Call) -> Reply:
    call.logged = False
    request, wrong = decode_batch(call.body)
    call.logged = not wrong and all(one.consent for one in request.requests)
    if sum(one.k for one in request.requests) > messages.MAX_BATCH_ITEMS:
        rule = f"must ask for at most {messages.MAX_BATCH_ITEMS:,} items together; lower k, or send fewer requests"
        raise messages.invalid([messages.Mistake("/requests", rule)])

    async def answer(one: messages.RecommendRequest) -> answers.Recommendation | messages.Problem:
        try:
            return await call.service.recommend(one, may_write="write" in call.scopes)
        except Refused as refused:
            return refused.problem(call.request_id)
        except StoreUnavailableError as error:
            return unavailable(error).problem(call.request_id)

    given: list[answers.Recommendation | messages.Problem] = []
    for start in range(0, len(request.requests), _TOGETHER):
        given += await asyncio.gather(*map(answer, request.requests[start : start + _TOGETHER]))
        await asyncio.sleep(0)  # Other requests are answered in between, and the deadline holds.
    right = iter(given)
    results: list[answers.Recommendation | messages.Problem] = []
    for row in range(len(given) + len(wrong)):
        mistakes = [
            messages.Mistake(one.pointer.removeprefix(f"/requests/{row}"), one.detail) for one in wrong.get(row, ())
        ]
        results.append(messages.invalid(mistakes).problem(call.request_id) if mistakes else next(right))
    return Reply(encode(answers.BatchAnswer(results)))


async def _add_events(call: Call) -> Reply:
    call.logged = False
    request, wrong = decode_events(call.body)
    call.logged = not wrong and all(one.consent for one in request.events)
    return Reply(encode(await call.service.events(request, wrong)))


async def _read_session(call: Call) -> Reply:
    return Reply(encode(await call.service.session(call.path["session_id"])))


async def _delete_session(call: Call) -> Reply:
    await call.service.forget(call.path["session_id"])
    return Reply(b"", 204)


async def _delete_user(call: Call) -> Reply:
    await call.service.forget_user(call.path["user_id"])
    return Reply(b"", 204)


def _described(call: Call, name: str) -> answers.ModelAnswer:
    models = call.service.models
    served = models.rankers[name].served
    count, found = len(served.model.vocabulary), served.model.search_report
    alone, together = (found.speed.get(batch, 1.0) for batch in BATCHES)
    search = answers.SearchAnswer(found.search, alone, together, found.recall, found.reason)
    return answers.ModelAnswer(
        name, served.model.name, served.version, count, name == models.default, models.problems.get(name), search
    )


async def _list_models(call: Call) -> Reply:
    return Reply(encode(answers.ModelsAnswer([_described(call, name) for name in call.service.models.rankers])))


async def _reload_model(call: Call) -> Reply:
    await asyncio.to_thread(call.service.models.load, call.path["name"])
    call.service.models.announce()
    return Reply(encode(_described(call, call.path["name"])))


async def _live(call: Call) -> Reply:
    return Reply(encode(answers.HealthAnswer("ok", [])))


OPERATIONS = (
    Operation(
        "POST",
        "/v1/recommend",
        "recommend",
        "read",
        _recommend,
        "Add events to a session and recommend the next items.",
        messages.RecommendRequest,
        answers.Recommendation,
        statuses=(404,),
    ),
    Operation(
        "POST",
        "/v1/recommend/batch",
        "recommend_batch",
        "read",
        _recommend_batch,
        "Answer several requests, each of them alone.",
        messages.BatchRequest,
        answers.BatchAnswer,
    ),
    Operation(
        "POST",
        "/v1/events",
        "add_events",
        "write",
        _add_events,
        "Add events to sessions.",
        messages.EventsRequest,
        answers.EventsAnswer,
    ),
    Operation(
        "GET",
        "/v1/sessions/{session_id}",
        "read_session",
        "write",
        _read_session,
        "Read the events of a session.",
        answer=answers.SessionAnswer,
        statuses=(404,),
    ),
    Operation(
        "DELETE",
        "/v1/sessions/{session_id}",
        "delete_session",
        "write",
        _delete_session,
        "Delete a session and all that is stored of it.",
        timed=False,
    ),
    Operation(
        "DELETE",
        "/v1/users/{user_id}",
        "delete_user",
        "write",
        _delete_user,
        "Delete what was recommended to a user and seen of it.",
        timed=False,
    ),
    *ITEM_OPERATIONS,
    Operation(
        "GET", "/v1/models", "list_models", "read", _list_models, "List the models.", answer=answers.ModelsAnswer
    ),
    Operation(
        "POST",
        "/v1/models/{name}/reload",
        "reload_model",
        "admin",
        _reload_model,
        "Load a model again, unless it is not valid.",
        answer=answers.ModelAnswer,
        statuses=(404, 409),
        timed=False,
    ),
    Operation(
        "GET",
        "/health/live",
        "read_liveness",
        None,
        _live,
        "Say that the process runs.",
        answer=answers.HealthAnswer,
        for_callers=False,
    ),
    *experiment_operations.OPERATIONS,
)
"""All operations but those on the state of the app itself, which ``segue.serving.http.app`` adds."""
