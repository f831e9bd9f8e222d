"""What an operation of the API is, how a path leads to it, and how the values in a path and a query are read."""

import base64
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from segue.serving.schema.messages import MAX_ID_BYTES, Message, Mistake, invalid
from segue.serving.service import Service
from segue.serving.telemetry import Telemetry

encode = msgspec.json.encode


@dataclass(slots=True)
class Call:
    """A request, checked as far as all requests are.

    Attributes:
        telemetry: the metrics.
        request_id: id of the request.
        service: the service.
        body: the body.
        path: parameters of the path.
        query: parameters of the query.
        scopes: what the caller may do.
        logged: whether the request may appear in the access log.
    """

    telemetry: Telemetry
    request_id: str
    service: Service = field(init=False)
    body: bytes = b""
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    scopes: frozenset[str] = frozenset()
    logged: bool = True


class Reply(NamedTuple):
    """An answer.

    Attributes:
        body: the body.
        status: status code of HTTP.
        media_type: its media type.
        headers: replace the headers that all answers have; none keeps these.
    """

    body: bytes
    status: int = 200
    media_type: bytes = b"application/json"
    headers: Sequence[tuple[bytes, bytes]] = ()


@dataclass(frozen=True)
class Operation:
    """An operation of the API.

    Attributes:
        method: method of HTTP.
        path: path, with parameters in braces.
        name: its name in generated clients.
        scope: scope that a token needs; None needs no token.
        handler: answers a call.
        summary: what it does.
        request: the message in the body; None for no body.
        answer: the message of a good answer; None if it is not a message.
        media_type: media type of a good answer.
        statuses: status codes of refusals, besides those that every operation has.
        query: parameters of the query, as JSON schemas.
        for_callers: whether it is for callers of the service, and not for its operation: it is refused under overload
            and before the service has started.
        timed: whether it is ended after the deadline.
    """

    method: str
    path: str
    name: str
    scope: str | None
    handler: Callable[[Call], Awaitable[Reply]]
    summary: str
    request: type[Message] | None = None
    answer: Any = None
    media_type: str = "application/json"
    statuses: tuple[int, ...] = ()
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    for_callers: bool = True
    timed: bool = True


class Found(NamedTuple):
    """Where a path leads.

    Attributes:
        operation: the operation; None if there is none.
        values: parameters of the path, still percent-encoded.
        allow: the methods of the path.
    """

    operation: Operation | None
    values: Mapping[str, bytes]
    allow: Sequence[str]


class Routes:
    """The way from a method and a path to an operation. Ids are decoded after the path is divided: they may hold ``/``.

    Args:
        operations: the operations.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._by_path: dict[tuple[bytes, ...], dict[str, Operation]] = {}
        for one in operations:
            methods = self._by_path.setdefault(tuple(one.path.encode().split(b"/")), {})
            methods[one.method] = one
        self._templates = [path for path in self._by_path if any(part.startswith(b"{") for part in path)]
        self._found = {
            (one.method, one.path.encode()): self._search(one.method, one.path.encode()) for one in operations
        }

    def find(self, method: str, path: bytes) -> Found:
        """Return where a percent-encoded path leads."""
        return self._found.get((method, path)) or self._search(method, path)

    def _search(self, method: str, path: bytes) -> Found:
        parts = tuple(path.split(b"/"))
        template = parts if parts in self._by_path else next((one for one in self._templates if _fits(one, parts)), ())
        methods = self._by_path.get(template, {})
        allow = sorted({*methods, *(["HEAD"] if "GET" in methods else [])})
        values = {
            name.decode().strip("{}"): value
            for name, value in zip(template, parts, strict=False)
            if name.startswith(b"{")
        }
        return Found(methods.get("GET" if method == "HEAD" else method), values, allow)


def _fits(template: tuple[bytes, ...], parts: tuple[bytes, ...]) -> bool:
    return len(template) == len(parts) and all(
        bool(part) if name.startswith(b"{") else name == part for name, part in zip(template, parts, strict=True)
    )


_PRINTABLE = re.compile("[^\x00-\x1f\x7f-\x9f]+")


def read_path(values: Mapping[str, bytes]) -> dict[str, str]:
    """Return the parameters of a path.

    Raises:
        Refused: one is not an id.
    """
    found = {}
    for name, encoded in values.items():
        value = unquote_to_bytes(encoded)
        try:
            found[name] = value.decode()
        except UnicodeDecodeError:
            raise invalid([Mistake(f"/{name}", "must be text in UTF-8, percent-encoded")]) from None
        if len(value) > MAX_ID_BYTES or not _PRINTABLE.fullmatch(found[name]):
            raise invalid([Mistake(f"/{name}", f"must have 1 to {MAX_ID_BYTES} bytes without control characters")])
    return found


def read_query(query: bytes, names: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a query.

    Raises:
        Refused: one is unknown, is given twice, or is not text.
    """
    if not query:
        return {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise invalid([Mistake("", "the query must be text in UTF-8, percent-encoded, of 20 parameters")]) from None
    found = dict(pairs)
    known = f"there are {', '.join(names)}" if names else "there are none"
    mistakes = [Mistake(f"/{name[:64]}", f"is no parameter; {known}") for name in found if name not in names]
    if len(found) < len(pairs):
        mistakes.append(Mistake("", "a parameter is given twice"))
    if mistakes:
        raise invalid(mistakes)
    return found


def whole(query: Mapping[str, str], name: str, schema: Mapping[str, Any]) -> int:
    """Return a whole number of a query.

    Raises:
        Refused: it is not one, or is out of bounds.
    """
    text, least, most = query.get(name, str(schema["default"])), schema["minimum"], schema["maximum"]
    if not re.fullmatch("[0-9]{1,6}", text) or not least <= int(text) <= most:
        raise invalid([Mistake(f"/{name}", f"must be between {least} and {most}, got {text[:50]!r}")])
    return int(text)


def cursor(place: int) -> str:
    """Return the cursor of a place in a list."""
    return base64.urlsafe_b64encode(f"{place}".encode()).decode()


def place_of(text: str | None) -> int:
    """Return the place of a cursor; 0 for none.

    Raises:
        Refused: it is no cursor.
    """
    if text is None:
        return 0
    try:
        decoded = base64.urlsafe_b64decode(text.encode("ascii"))
    except ValueError:
        decoded = b""
    if not re.fullmatch(rb"[1-9][0-9]{0,9}", decoded) or cursor(int(decoded)) != text:
        raise invalid([Mistake("/cursor", "must be a cursor of an earlier answer")])
    return int(decoded)
