"""The connections of the server: requests beyond what can be answered soon are refused before they cost anything.

When requests arrive faster than they can be answered, the time goes into reading requests whose answers come too late.
So each connection looks at how long the requests before it will take, and answers 503 without parsing.
"""

import asyncio
import re
import time
from types import TracebackType
from typing import Any, ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from segue.serving.schema.messages import Problem, Refused
from segue.serving.telemetry import Telemetry

HEADER_SECONDS = 10.0
"""A connection on which a request has begun has this long to send its headers."""

IDLE_SECONDS = 75
"""A connection without a request is closed after this time."""

WRITE_SECONDS = 10.0
"""A connection whose client does not take an answer is closed after this time."""

MAX_WAIT = 0.04
"""Seconds that the requests before a new one may take; else it is refused."""

BURST = 200
"""Requests that are taken beyond that: after a moment in which the machine stood still, there is no overload."""

_BURSTS = 20
"""Requests that are added to ``BURST`` per second after it was used."""

_OVERHEAD = 0.0003
"""Seconds of a request besides the ranking."""

_LEAST = 32
"""Requests that are taken in any case: as many as are ranked in one batch."""

_MAX_HEAD = 64 * 1024
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
"""Looked for in the first bytes of a request: a head that comes in parts is answered 400."""


class Count:
    """How many there are of something; one more within ``with``."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> None:
        self.number += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.number -= 1


class Admission:
    """How many requests are taken at once.

    Args:
        most: bound on requests at once.
        telemetry: what is counted.

    Attributes:
        answering: requests that are being answered.
        waiting: requests that wait for their clients: for the rest of a body, or until an answer has been taken. Slow
            clients keep nobody out.
    """

    def __init__(self, most: int, telemetry: Telemetry) -> None:
        self.most, self._telemetry = most, telemetry
        self.answering, self.waiting = Count(), Count()
        self._burst, self._since = float(BURST), time.monotonic()
        body = Problem("/problems/overloaded", "Overloaded", 503, "more requests arrive than can be answered")
        content = msgspec.json.encode(body)
        head = (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n"
            f"content-length: {len(content)}\r\n\r\n"
        )
        self.refusal = head.encode() + content

    @property
    def limit(self) -> int:
        """Requests that may wait to be answered."""
        return max(_LEAST, min(self.most, int(MAX_WAIT / (self._telemetry.seconds_per_session + _OVERHEAD))))

    def take_of_burst(self) -> bool:
        """Return whether a request beyond the limit is taken, as one of a burst."""
        now = time.monotonic()
        self._burst, self._since = min(BURST, self._burst + _BURSTS * (now - self._since)), now
        if self._burst < 1:
            return False
        self._burst -= 1
        return True

    def refuse(self) -> None:
        """Count a refusal."""
        self._telemetry.shed()

    def admit(self) -> Count:
        """Return the count of the requests that are being answered.

        Raises:
            Refused: there are too many.
        """
        if self.answering.number >= self.most:
            self.refuse()
            raise Refused(503, "overloaded", f"{self.most} requests are in flight", retry_after=1)
        return self.answering


class Together:
    """A transport that sends what is written in one turn of the event loop at once: the head of an answer and its body.

    Args:
        transport: the transport that it replaces.
        loop: its loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send bytes with what else is written in this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Send what was written, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            whole, self._parts = b"".join(self._parts), []
            self._transport.write(whole)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection(HttpToolsProtocol):
    """A connection. It relies on ``tasks`` and ``cycle`` of uvicorn's protocol."""

    admission: ClassVar[Admission]

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._in_head = self._in_message = False
        self._head = 0
        """Bytes of headers that are not complete."""

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request; see ``HttpToolsProtocol``."""
        super().connection_made(Together(transport, self.loop))  # type: ignore[arg-type]
        self._set_timer(IDLE_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Read bytes of a request, or refuse it."""
        if self._is_idle and not self._in_message and self._is_refused(data):
            self._unset_keepalive_if_required()
            self._set_timer(IDLE_SECONDS)
            self.admission.refuse()
            self.transport.write(self.admission.refusal)
            return
        if not self._in_message and _UPGRADE.search(data):
            data = _without_upgrade(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            if not self._head:
                self._set_timer(HEADER_SECONDS)
            self._head += len(data)
            if self._head > _MAX_HEAD:
                self.transport.write(b"HTTP/1.1 431 \r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                self.transport.close()
        elif self._is_idle and self._timer is None:  # The rest of a body that has been answered, or blank lines.
            self._set_timer(IDLE_SECONDS)

    def on_message_begin(self) -> None:
        """Begin to read a request; see ``HttpToolsProtocol``."""
        self._in_head = self._in_message = True
        self._head = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, but for trailers: nobody reads them, and there may be any number."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to answer; see ``HttpToolsProtocol``."""
        self._in_head = False
        self._set_timer(None)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End to read a request; see ``HttpToolsProtocol``."""
        self._in_message = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Wait for the client to take what was written; see ``HttpToolsProtocol``."""
        super().pause_writing()
        self._writing = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on; see ``HttpToolsProtocol``."""
        self._stop_writing_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers; see ``HttpToolsProtocol``."""
        self._set_timer(None)
        self._stop_writing_timer()
        super().connection_lost(exc)

    def _is_refused(self, data: bytes) -> bool:
        admission = self.admission
        before = len(self.tasks) - admission.waiting.number
        return before >= admission.limit and _is_whole(data) and not admission.take_of_burst()

    def _stop_writing_timer(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._close_slow)

    def _close_slow(self) -> None:
        self._timer = None
        if self._is_idle:
            self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """Return a request that asks for no other protocol; the parser would leave out its body.

    Clients that speak HTTP/2, such as Java's, ask with their first request, and take the answer that they get.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nignored:", head) + end + rest


def _is_whole(data: bytes) -> bool:
    """Return whether these bytes are one request of a caller, with its body, that keeps its connection."""
    if not data.startswith(b"POST /v1/"):
        return False
    end = data.find(b"\r\n\r\n", 0, _MAX_HEAD)
    if end < 0:
        return False
    head = data[:end].lower()
    if b" http/1.1\r\n" not in head or b"\r\nconnection: close" in head:
        return False
    place = head.find(b"\r\ncontent-length:")
    length = head[place + 17 :].partition(b"\r\n")[0].strip() if place >= 0 else b""
    return length.isdigit() and len(data) == end + 4 + int(length)
