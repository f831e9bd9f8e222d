"""The HTTP side: what holds for every request (limits, access, ids, headers, metrics), and the way to its operation."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from segue.serving.access import ALL, Tokens, is_local, is_loopback
from segue.serving.api import OPERATIONS, Call, Operation, Reply, encode
from segue.serving.messages import HealthAnswer, Refused
from segue.serving.openapi import document
from segue.serving.protocol import Admission
from segue.serving.service import Service
from segue.serving.settings import ServeSettings
from segue.serving.telemetry import Telemetry

MAX_BODY = 256 * 1024
BODY_SECONDS = 10.0

logger = logging.getLogger(__name__)
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,64}")
_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
_BEARER = [(b"www-authenticate", b'Bearer realm="segue"')]


class App:
    """An ASGI application.

    Args:
        settings: the settings.
        telemetry: its metrics.
        tokens: who may call it.
        service: the service; it is set when the store is open.
    """

    def __init__(self, settings: ServeSettings, telemetry: Telemetry, tokens: Tokens) -> None:
        self.settings, self.telemetry, self.tokens = settings, telemetry, tokens
        self.service: Service | None = None
        self.admission = Admission(settings.max_in_flight, telemetry)
        self.stopping = False
        self._in_flight = 0
        telemetry.gauge("segue_requests_in_flight", "Requests that are being answered.", lambda: self._in_flight)
        self._local = is_loopback(settings.host)
        self._origins = frozenset(origin.encode() for origin in settings.cors_origin)
        ready = "/health/ready", None, self._ready, "Say whether requests are answered."
        own = (
            Operation("GET", *ready, answer=HealthAnswer, statuses=(503,), shed=False),
            Operation("GET", "/metrics", "read", _metrics, "Read the metrics of Prometheus.", shed=False),
            Operation("GET", "/openapi.json", "read", self._document, "Read this description.", shed=False),
        )
        self.operations = (*OPERATIONS, *own)
        self._fixed = {(one.method, one.path): one for one in self.operations if "{" not in one.path}
        self._router = Router([Route(one.path, _endpoint(one), methods=[one.method]) for one in self.operations])
        self._openapi = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        start = time.perf_counter()
        headers = dict(scope["headers"])
        method, path = scope["method"], scope["path"]
        operation, parameters, allow = self._find(scope, method, path)
        request_id = headers.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid.uuid4().hex.encode()
        extra: list[tuple[bytes, bytes]] = []
        self._in_flight += 1
        try:
            if method == "OPTIONS" and self._origins:
                reply, extra = self._preflight(headers)
            else:
                reply = await self._answer(operation, allow, parameters, scope, headers, receive, request_id.decode())
        except Refused as refused:
            reply = _problem(refused, request_id.decode())
            extra = self._refusal_headers(refused, allow)
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("request %s failed", request_id.decode())
            reply = _problem(
                Refused(500, "internal-error", "the service failed; its log says why"), request_id.decode()
            )
        finally:
            self._in_flight -= 1
        origin = headers.get(b"origin")
        if origin in self._origins:
            extra += [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
        if self.stopping:
            extra.append((b"connection", b"close"))
        await _send(send, reply, request_id, extra, head=method == "HEAD")
        route = operation.path if operation is not None else "unknown"
        seconds = time.perf_counter() - start
        self.telemetry.request(route, reply.status, seconds)
        if self.settings.access_log or reply.status >= 500:
            logger.info(
                "request",
                extra={
                    "request_id": request_id.decode(),
                    "traceparent": headers.get(b"traceparent", b"").decode("latin-1")[:64],
                    "method": method,
                    "route": route,
                    "status": reply.status,
                    "ms": round(1000 * seconds, 2),
                },
            )

    def _find(self, scope: Any, method: str, path: str) -> tuple[Operation | None, Mapping[str, str], list[str]]:
        """Return the operation of a request, its parameters, and the methods that its path has."""
        operation = self._fixed.get((method, path))
        if operation is not None:
            return operation, {}, []
        method = "GET" if method == "HEAD" else method
        allow = []
        for one, route in zip(self.operations, self._router.routes, strict=True):
            _, child = route.matches({**scope, "method": one.method})
            if child:
                if one.method == method:
                    return one, child.get("path_params", {}), []
                allow.append(one.method)
        return None, {}, allow

    async def _answer(
        self,
        operation: Operation | None,
        allow: list[str],
        parameters: Mapping[str, str],
        scope: Any,
        headers: Mapping[bytes, bytes],
        receive: Any,
        request_id: str,
    ) -> Reply:
        if self._local and not self.tokens and not is_local(headers.get(b"host")):
            raise Refused(403, "forbidden", "the header Host must name this machine, such as 127.0.0.1")
        if operation is None:
            if allow:
                raise Refused(405, "method-not-allowed", f"the path takes {', '.join(allow)}")
            raise Refused(404, "not-found", "there is no such path; /openapi.json lists all")
        scopes = self._scopes(operation, headers)
        if operation.shed and self._in_flight > self.settings.max_in_flight:
            self.telemetry.shed()
            raise Refused(503, "overloaded", f"{self.settings.max_in_flight} requests are in flight", retry_after=1)
        service = self.service
        body = await _body(receive, headers, needed=operation.request is not None)
        if service is None and operation.shed:
            raise Refused(503, "starting", "the service is starting", retry_after=1)
        call = Call(service, self.telemetry, body, parameters, scope["query_string"], request_id, scopes)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(self.settings.deadline if operation.shed else None):
                return await operation.handler(call)
        except TimeoutError:
            raise Refused(504, "deadline", f"the answer took longer than {self.settings.deadline:g} s") from None

    def _scopes(self, operation: Operation, headers: Mapping[bytes, bytes]) -> frozenset[str]:
        """Return the scopes of a request; scripts of other pages have the scope ``read`` at most."""
        scopes = self.tokens.scopes(headers.get(b"authorization")) if self.tokens else ALL
        if scopes is not None and headers.get(b"origin") in self._origins:
            scopes &= {"read"}
        if operation.scope is None:
            return scopes or frozenset()
        if scopes is None:
            raise Refused(401, "unauthorized", "the request needs the header Authorization: Bearer TOKEN")
        if operation.scope not in scopes:
            raise Refused(403, "forbidden", f"the operation needs a token with the scope {operation.scope}")
        return scopes

    def _preflight(self, headers: Mapping[bytes, bytes]) -> tuple[Reply, list[tuple[bytes, bytes]]]:
        if headers.get(b"origin") not in self._origins:
            raise Refused(403, "forbidden", "the origin is not allowed")
        return Reply(b"", 204), [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", b"authorization, content-type, x-request-id, traceparent"),
            (b"access-control-max-age", b"600"),
        ]

    def _refusal_headers(self, refused: Refused, allow: list[str]) -> list[tuple[bytes, bytes]]:
        extra = list(_BEARER) if refused.status == 401 else []
        if refused.retry_after is not None:
            extra.append((b"retry-after", str(refused.retry_after).encode()))
        if refused.status == 405:
            extra.append((b"allow", ", ".join(allow).encode()))
        return extra

    def problems(self) -> list[str]:
        """Return what keeps the service from being ready."""
        if self.service is None:
            return ["the service is starting"]
        found = [
            f"{name} is being loaded" for name in self.service.models.folders if name not in self.service.models.rankers
        ]
        if (problem := self.service.store.problem) is not None:
            found.append(f"the session store does not work: {problem}")
        return found

    async def _ready(self, call: Call) -> Reply:
        problems = self.problems()
        status: Any = "ok" if not problems else "starting" if self.service is None else "unavailable"
        if self.stopping:
            status = "stopping"
        shown = problems if self.service is None else problems + self.service.models.refusals()
        return Reply(encode(HealthAnswer(status, shown if call.scopes else [])), 200 if status == "ok" else 503)

    async def _document(self, call: Call) -> Reply:
        if not self._openapi:
            self._openapi = encode(document(self.operations))
        return Reply(self._openapi)


async def _metrics(call: Call) -> Reply:
    return Reply(call.telemetry.text(), 200, b"text/plain; version=0.0.4; charset=utf-8")


def _endpoint(operation: Operation) -> Any:
    async def endpoint(request: Request) -> Response:  # The router only matches paths.
        raise HTTPException(500)

    return endpoint


async def _body(receive: Any, headers: Mapping[bytes, bytes], *, needed: bool) -> bytes:
    """Return the body of a request.

    Raises:
        Refused: it is too long, too slow, or no JSON.
    """
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > MAX_BODY:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "disconnected", "the client went away")
                size += len(message.get("body", b""))
                if size > MAX_BODY:
                    raise _too_large()
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise Refused(408, "slow-body", f"the body took longer than {BODY_SECONDS:g} s") from None
    if needed:
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Refused(415, "unsupported-media-type", "the header Content-Type must be application/json")
    return b"".join(parts)


def _too_large() -> Refused:
    return Refused(413, "body-too-large", f"the body must have at most {MAX_BODY // 1024} KiB")


def _problem(refused: Refused, request_id: str) -> Reply:
    return Reply(encode(refused.problem(request_id)), refused.status, b"application/problem+json")


async def _send(send: Any, reply: Reply, request_id: bytes, extra: list[tuple[bytes, bytes]], *, head: bool) -> None:
    headers = [*_HEADERS, (b"x-request-id", request_id), *extra]
    if reply.status != 204:
        headers += [(b"content-type", reply.media_type), (b"content-length", str(len(reply.body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else reply.body})
