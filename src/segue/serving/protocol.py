"""The connections of the server: requests beyond what can be answered soon are refused before they cost anything.

When requests arrive faster than they can be answered, the time goes into reading requests whose answers come too late.
So each connection looks at how long the requests before it will take, and answers 503 without parsing.
"""

import asyncio
from typing import Any, ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from segue.serving.messages import Problem
from segue.serving.telemetry import Telemetry

HEADER_SECONDS = 10.0
"""A connection on which a request has begun has this long to send its headers."""

MAX_WAIT = 0.04
"""Seconds that the requests before a new one may take; else it is refused."""

_OVERHEAD = 0.0003
"""Seconds of a request besides the ranking."""

_LEAST = 32
"""Requests that are taken in any case: as many as are ranked in one batch."""

_MAX_HEAD = 16 * 1024


class Admission:
    """How many requests are taken at once.

    Args:
        most: bound on requests at once.
        telemetry: what is counted.
    """

    def __init__(self, most: int, telemetry: Telemetry) -> None:
        self.most, self._telemetry = most, telemetry
        body = Problem("/problems/overloaded", "Overloaded", 503, "more requests arrive than can be answered")
        content = msgspec.json.encode(body)
        head = (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n"
            f"content-length: {len(content)}\r\n\r\n"
        )
        self.refusal = head.encode() + content

    @property
    def limit(self) -> int:
        """Requests that may wait."""
        return max(_LEAST, min(self.most, int(MAX_WAIT / (self._telemetry.seconds_per_session + _OVERHEAD))))

    def refuse(self) -> None:
        """Count a refusal."""
        self._telemetry.shed()


class Connection(HttpToolsProtocol):
    """A connection. It relies on ``tasks`` and ``cycle`` of uvicorn's protocol."""

    admission: ClassVar[Admission]

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Read bytes of a request, or refuse it."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._timer is None and len(self.tasks) >= self.admission.limit and _is_whole(data):
            self._unset_keepalive_if_required()
            self.admission.refuse()
            self.transport.write(self.admission.refusal)
            return
        super().data_received(data)
        began = self.cycle is not None and not self.cycle.response_complete
        if began and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif not began and self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEADER_SECONDS, self._close_slow)

    def on_headers_complete(self) -> None:
        """Start to answer; see ``HttpToolsProtocol``."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer; see ``HttpToolsProtocol``."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _close_slow(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def _is_whole(data: bytes) -> bool:
    """Return whether these bytes are one request to recommend, with its body."""
    if not data.startswith(b"POST /v1/"):
        return False
    end = data.find(b"\r\n\r\n", 0, _MAX_HEAD)
    if end < 0:
        return False
    head = data[:end].lower()
    place = head.find(b"\r\ncontent-length:")
    length = head[place + 17 :].partition(b"\r\n")[0].strip() if place >= 0 else b""
    return length.isdigit() and len(data) == end + 4 + int(length)
