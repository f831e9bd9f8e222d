"""The OpenAPI document, from the operations and their messages."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from segue.serving.http.routing import Operation
from segue.serving.schema.messages import MAX_ID_BYTES, Problem
from segue.version import __version__

METRICS = "text/plain; version=0.0.4; charset=utf-8"
"""Media type of the metrics of Prometheus."""


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document of some operations."""
    kinds = {kind for one in operations for kind in (one.request, one.answer) if kind is not None} | {Problem}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    references, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(ordered, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "segue", "version": __version__, "description": "Recommendations for live sessions."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}, {}],
    }


def _operation(one: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", one.path)
    name_schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES}
    parameters = [{"name": name, "in": "path", "required": True, "schema": name_schema} for name in names]
    parameters += [{"name": name, "in": "query", "schema": dict(schema)} for name, schema in one.query.items()]
    problem = {"application/problem+json": {"schema": schema_of[Problem]}}
    statuses = {400, 403, 408, 413, 500, *one.statuses}
    statuses |= {401} if one.scope is not None else set()
    statuses |= {415} if one.request is not None else set()
    statuses |= {422, 503} if one.for_callers else set()
    statuses |= {504} if one.for_callers and one.timed else set()
    responses: dict[str, Any] = {
        str(status): {"description": HTTPStatus(status).phrase, "content": problem} for status in sorted(statuses)
    }
    for status, name in (("401", "WWW-Authenticate"), ("503", "Retry-After")):
        if status in responses:
            responses[status]["headers"] = {name: {"schema": {"type": "string"}}}
    if one.method == "DELETE":
        responses["204"] = {"description": "Deleted, or was never there."}
    else:
        schema = schema_of[one.answer] if one.answer is not None else {"type": _types[one.media_type]}
        content = {one.media_type: {"schema": schema}}
        responses["200"] = {"description": "The answer.", "content": content}
        if 503 in one.statuses:
            responses["503"] = {"description": "Not ready.", "content": content}
    described: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": parameters,
        "responses": dict(sorted(responses.items())),
        "tags": [one.path.removeprefix("/v1").split("/")[1].partition(".")[0]],
    }
    if one.scope is None:
        described["security"] = []
    if one.request is not None:
        body = {"application/json": {"schema": schema_of[one.request]}}
        described["requestBody"] = {"required": True, "content": body}
    if links := _LINKS.get(one.name):
        responses["200"]["links"] = {
            name: {"operationId": name, "parameters": {parameter: place}} for name, parameter, place in links
        }
    return described


_types = {"application/json": "object", METRICS: "string"}
_SESSION = "session_id", "$request.body#/events/0/session_id"
_ITEM = "item", "$response.body#/items/0/item"
_LINKS: dict[str, list[tuple[str, str, str]]] = {
    "add_events": [("read_session", *_SESSION), ("delete_session", *_SESSION)],
    "recommend": [("read_session", "session_id", "$response.body#/session_id"), ("read_item", *_ITEM)],
    "list_items": [("read_item", *_ITEM), ("similar_items", *_ITEM)],
    "list_models": [("reload_model", "name", "$response.body#/models/0/name")],
}
"""The operations that go on from the answer of another one, and where their parameters come from."""
