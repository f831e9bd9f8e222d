"""The OpenAPI document, from the operations and their messages."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from segue.serving.api import Operation
from segue.serving.messages import MAX_ID_BYTES, Problem
from segue.version import __version__

_COMMON = (401, 403, 422, 500, 503, 504)
_WITH_BODY = (400, 408, 413, 415)


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
    parameters += [{"name": name, "in": "query", "schema": dict(schema)} for name, schema in one.parameters.items()]
    problem = {"application/problem+json": {"schema": schema_of[Problem]}}
    statuses = sorted({*_COMMON, *one.statuses, *(_WITH_BODY if one.request else ())})
    responses = {str(status): {"description": HTTPStatus(status).phrase, "content": problem} for status in statuses}
    if one.answer is not None:
        content = {"application/json": {"schema": schema_of[one.answer]}}
        responses["200"] = {"description": "The answer.", "content": content}
        if not one.shed and 503 in one.statuses:
            responses["503"] = {"description": "Not ready.", "content": content}
    elif one.method == "DELETE":
        responses["204"] = {"description": "Deleted, or was never there."}
    else:
        responses["200"] = {"description": "The answer."}
    words = re.sub(r"[{}/._-]+", " ", one.path).split()
    described: dict[str, Any] = {
        "operationId": "_".join([one.method.lower(), *words]),
        "summary": one.summary,
        "parameters": parameters,
        "responses": dict(sorted(responses.items())),
    }
    if one.request is not None:
        body = {"application/json": {"schema": schema_of[one.request]}}
        described["requestBody"] = {"required": True, "content": body}
    return described
