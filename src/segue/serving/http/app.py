"""The HTTP side: what holds for every request (limits, access, ids, headers, metrics), and the way to its operation."""

import asyncio
import logging
import re
import secrets
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from segue.serving.http.access import ALL, Tokens, is_local, is_loopback
from segue.serving.http.openapi import METRICS, document
from segue.serving.http.operations import OPERATIONS, unavailable
from segue.serving.http.protocol import Admission
from segue.serving.http.routing import Call, Found, Operation, Reply, Routes, encode, read_path, read_query
from segue.serving.http.tracing import Tracing
from segue.serving.schema.answers import HealthAnswer
from segue.serving.schema.messages import Refused
from segue.serving.service import Service
from segue.serving.settings import ServeSettings
from segue.serving.stores import StoreUnavailableError
from segue.serving.telemetry import Telemetry

MAX_BODY = 256 * 1024
BODY_SECONDS = 10.0

logger = logging.getLogger(__name__)
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,64}")
_TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"authorization, content-type, x-request-id, traceparent"),
    (b"access-control-max-age", b"600"),
]

_Headers = Mapping[bytes, bytes]
_Pairs = list[tuple[bytes, bytes]]


class App:
    """An ASGI application.

    Args:
        settings: the settings.
        telemetry: its metrics.
        tokens: who may call it.
        further: operations that are not part of the API, and not described.

    Attributes:
        service: the service; it is set when the store is open.
        stopping: whether the process is about to end.
        tracing: makes spans; None makes none.
    """

    def __init__(
        self, settings: ServeSettings, telemetry: Telemetry, tokens: Tokens, further: Sequence[Operation] = ()
    ) -> None:
        self.settings, self.telemetry, self.tokens = settings, telemetry, tokens
        self.service: Service | None = None
        self.admission = Admission(settings.max_in_flight, telemetry)
        self.stopping = False
        self.tracing: Tracing | None = None
        telemetry.gauge(
            "segue_requests_in_flight", "Requests that are being answered.", lambda: self.admission.answering.number
        )
        self._local = is_loopback(settings.host)
        self._origins = frozenset(origin.encode() for origin in settings.cors_origin)
        self.operations = (*OPERATIONS, *self._own_operations())
        self._routes = Routes((*self.operations, *further))
        self._openapi = b""

    def _own_operations(self) -> tuple[Operation, ...]:
        ready = "GET", "/health/ready", "read_readiness", None, self._ready, "Say whether requests are answered."
        metrics = "GET", "/metrics", "read_metrics", "read", self._metrics, "Read the metrics of Prometheus."
        described = "GET", "/openapi.json", "read_openapi", "read", self._document, "Read this description."
        return (
            Operation(*ready, answer=HealthAnswer, statuses=(503,), for_callers=False),
            Operation(*metrics, media_type=METRICS, for_callers=False),
            Operation(*described, for_callers=False),
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        start = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = secrets.token_hex(16).encode()
        found = self._routes.find(scope["method"], scope["raw_path"])
        call = Call(self.telemetry, request_id.decode())
        extra: _Pairs = []
        try:
            if scope["method"] == "OPTIONS" and self._origins:
                reply, extra = self._preflight(headers), list(_PREFLIGHT)
            else:
                reply = await self._answer(call, found, scope, headers, receive)
        except (Refused, StoreUnavailableError) as error:
            refused = unavailable(error) if isinstance(error, StoreUnavailableError) else error
            reply, extra = _problem(refused, call), _headers_of(refused, found)
        except Exception as error:
            # What the error says is left out: it may name a session.
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("request %s failed with %s:\n%s", call.request_id, type(error).__name__, frames)
            reply = _problem(Refused(500, "internal-error", "the service failed; its log says where"), call)
        if self._origins:
            extra += self._cors(headers)
        if self.stopping:
            extra.append((b"connection", b"close"))
        with self.admission.waiting:
            await _send(
                send, reply, [*(reply.headers or _HEADERS), (b"x-request-id", request_id), *extra], scope["method"]
            )
        route = found.operation.path if found.operation is not None else "unknown"
        seconds = time.perf_counter() - start
        self.telemetry.request(route, reply.status, seconds)
        if self.tracing is not None and call.logged:
            self.tracing.record(scope["method"], route, reply.status, headers, seconds)
        if (self.settings.access_log and call.logged) or reply.status == 500:
            trace = headers.get(b"traceparent", b"")
            about = {
                "request_id": call.request_id,
                "traceparent": trace.decode() if _TRACE.fullmatch(trace) else "",
                "method": scope["method"],
                "route": route,
                "status": reply.status,
                "ms": round(1000 * seconds, 2),
            }
            logger.info("request", extra=about)

    async def _answer(self, call: Call, found: Found, scope: Any, headers: _Headers, receive: Any) -> Reply:
        if self._local and not self.tokens and not is_local(headers.get(b"host")):
            raise Refused(403, "forbidden", "the header Host must name this machine, such as 127.0.0.1")
        operation = found.operation
        if operation is None:
            if found.allow:
                raise Refused(405, "method-not-allowed", f"the path takes {', '.join(found.allow)}")
            raise Refused(404, "not-found", "there is no such path; /openapi.json lists all")
        call.scopes = self._scopes(operation, headers)
        call.path = read_path(found.values)
        if operation.for_callers:
            call.query = read_query(scope["query_string"], operation.query)
        call.body = await self._body(receive, headers, needed=operation.request is not None)
        if not operation.for_callers:
            return await operation.handler(call)
        if self.service is None:
            raise Refused(503, "starting", "the service is starting", retry_after=1)
        call.service = self.service
        with self.admission.admit():
            try:
                async with asyncio.timeout(self.settings.deadline if operation.timed else None):
                    return await operation.handler(call)
            except TimeoutError:
                raise Refused(504, "deadline", f"the answer took longer than {self.settings.deadline:g} s") from None

    def _scopes(self, operation: Operation, headers: _Headers) -> frozenset[str]:
        """Return the scopes of a request.

        Scripts of the pages that may call the service can read at most. Without tokens, no page can do what needs
        ``admin``: a form on any page could send such a request.
        """
        scopes = self.tokens.scopes(headers.get(b"authorization")) if self.tokens else ALL
        if scopes is not None and (origin := headers.get(b"origin")) is not None:
            scopes &= {"read"} if origin in self._origins else ALL if self.tokens else {"read", "write"}
        if operation.scope is None:
            return scopes or frozenset()
        if scopes is None:
            given = b"authorization" in headers
            rule = "the token is not known" if given else "the request needs the header Authorization: Bearer TOKEN"
            raise Refused(401, "unauthorized", rule)
        if operation.scope not in scopes:
            raise Refused(403, "forbidden", f"the operation needs the scope {operation.scope}")
        return scopes

    def _preflight(self, headers: _Headers) -> Reply:
        if headers.get(b"origin") not in self._origins:
            raise Refused(403, "forbidden", "the origin is not allowed")
        return Reply(b"", 204)

    def _cors(self, headers: _Headers) -> _Pairs:
        origin = headers.get(b"origin")
        allowed = (
            []
            if origin not in self._origins or origin is None
            else [
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", b"retry-after, x-request-id"),
            ]
        )
        return [(b"vary", b"origin"), *allowed]

    async def _body(self, receive: Any, headers: _Headers, *, needed: bool) -> bytes:
        """Return the body of a request.

        Raises:
            Refused: it is too long, too slow, or not JSON.
        """
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 12 or int(length) > MAX_BODY:
            raise _too_large()
        with self.admission.waiting:
            body = await _read(receive)
        if needed and headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            raise Refused(415, "unsupported-media-type", "the header Content-Type must be application/json")
        return body

    def problems(self) -> list[str]:
        """Return what keeps the service from being ready."""
        if self.service is None:
            return ["the service is starting"]
        models, store = self.service.models, self.service.store
        found = [f"{name} is being loaded" for name in models.folders if name not in models.rankers]
        if store.problem is not None:
            found.append(f"the session store does not work: {store.problem}")
        return found

    def warnings(self) -> list[str]:
        """Return what works, and needs someone to look at it."""
        if self.service is None:
            return []
        found = self.service.models.refusals()
        if (warning := self.service.store.warning) is not None:
            found.append(f"the session store: {warning}")
        if self.service.experiments is not None and (problem := self.service.experiments.problem) is not None:
            found.append(f"the experiment before goes on: {problem}")
        return found

    async def _ready(self, call: Call) -> Reply:
        problems = self.problems()
        status: Any = "ok" if not problems else "starting" if self.service is None else "unavailable"
        if self.stopping:
            status = "stopping"
        shown = problems + self.warnings()
        return Reply(encode(HealthAnswer(status, shown if call.scopes else [])), 200 if status == "ok" else 503)

    async def _metrics(self, call: Call) -> Reply:
        return Reply(call.telemetry.text(), media_type=METRICS.encode())

    async def _document(self, call: Call) -> Reply:
        if not self._openapi:
            self._openapi = encode(document(self.operations))
        return Reply(self._openapi)


async def _read(receive: Any) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "disconnected", "the client went away")
                parts.append(message.get("body", b""))
                size, more = size + len(parts[-1]), message.get("more_body", False)
                if size > MAX_BODY:
                    raise _too_large()
    except TimeoutError:
        raise Refused(408, "slow-body", f"the body took longer than {BODY_SECONDS:g} s") from None
    return b"".join(parts)


def _too_large() -> Refused:
    return Refused(413, "body-too-large", f"the body must have at most {MAX_BODY // 1024} KiB")


def _problem(refused: Refused, call: Call) -> Reply:
    return Reply(encode(refused.problem(call.request_id)), refused.status, b"application/problem+json")


def _headers_of(refused: Refused, found: Found) -> _Pairs:
    extra = []
    if refused.status == 401:
        extra.append((b"www-authenticate", b'Bearer realm="segue"'))
    if refused.status == 405:
        extra.append((b"allow", ", ".join(found.allow).encode()))
    if refused.status == 408:
        extra.append((b"connection", b"close"))
    if refused.retry_after is not None:
        extra.append((b"retry-after", str(refused.retry_after).encode()))
    return extra


async def _send(send: Any, reply: Reply, headers: _Pairs, method: str) -> None:
    if reply.status != 204:
        headers += [(b"content-type", reply.media_type), (b"content-length", str(len(reply.body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})
