"""Sends events in JSON Lines to a running service."""

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from queue import Empty, Queue
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from segue.errors import ParameterError, StorageError
from segue.strict_json import dumps, loads

MAX_EVENTS = 1000
MAX_BYTES = 200 * 1024
_MAX_LINE = 64 * 1024
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_TIMEOUT = 30.0
_FIRST_PAUSE, _MAX_PAUSE = 0.25, 8.0

logger = logging.getLogger(__name__)


@dataclass
class Report:
    """What became of the events.

    Attributes:
        counts: events by status: accepted, duplicate, conflict, refused, ignored.
        problems: line numbers of events that were refused, and why; the first 1,000.
    """

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def add(self, status: str, line: int, detail: str | None = None) -> None:
        """Count an event."""
        self.counts[status] = self.counts.get(status, 0) + 1
        if status in ("refused", "conflict") and len(self.problems) < 1000:
            self.problems.append((line, detail or status))


class Importer:
    """Sends batches, and sends them again while the service is busy or starts.

    Every event gets an id if it has none, so sending a batch again accepts nothing twice.

    Args:
        url: address of the service.
        token: token with the scope ``write``; None sends none.
        patience: seconds for which a service that does not take a batch is asked again.
        sleep: waits for some seconds.
    """

    def __init__(
        self, url: str, token: str | None, patience: float = 60.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ParameterError(f"--url: must be an address such as http://127.0.0.1:8000, got {url!r}")
        self._url = url.rstrip("/") + "/v1/events"
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._patience, self._sleep = patience, sleep
        self.report = Report()

    def send_all(self, lines: Iterable[bytes]) -> Report:
        """Send the events of lines; a batch that is not full waits for a second at most.

        Raises:
            ParameterError: the service refuses the request as a whole.
            StorageError: it does not answer.
        """
        batch: list[tuple[int, bytes]] = []
        size = 0
        for number, line in _timed(lines):
            event = None if line is None else self._read(number, line)
            if batch and (line is None or len(batch) == MAX_EVENTS or (event and size + len(event) > MAX_BYTES)):
                self._send(batch)
                batch, size = [], 0
            if event is not None:
                batch.append((number, event))
                size += len(event) + 1
        if batch:
            self._send(batch)
        return self.report

    def _read(self, number: int, line: bytes) -> bytes | None:
        """Return an event with an id as JSON, or None for a blank or wrong line."""
        if not line.strip():
            return None
        try:
            if len(line) > _MAX_LINE:
                raise ValueError(f"it has more than {_MAX_LINE // 1024} KiB")
            event = _loads(line)
            if not isinstance(event, dict):
                raise ValueError('it must be an object such as {"session_id": "s1", "item": "17"}')
        except ValueError as error:
            self.report.add("refused", number, f"is not an event: {error}")
            return None
        event.setdefault("event_id", uuid.uuid4().hex)
        return dumps(event, compact=True).encode("utf-8", "surrogatepass")

    def _send(self, batch: list[tuple[int, bytes]]) -> None:
        body = b'{"durable":true,"events":[' + b",".join(event for _, event in batch) + b"]}"
        end, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            status, answer, after = self._post(body)
            if status == 200 and len(answer.get("results", ())) == len(batch):
                break
            if status == 200:
                raise ParameterError(f"--url: must be the address of a service of segue, got {self._url}")
            if status == 422 and len(batch) > 1:
                self._send(batch[: len(batch) // 2])
                self._send(batch[len(batch) // 2 :])
                return
            detail = str(answer.get("detail", f"status {status}"))
            if status in (400, 413, 422) and len(batch) == 1:
                self.report.add("refused", batch[0][0], _first_error(answer) or detail)
                return
            if status and status not in _RETRIED:
                raise ParameterError(f"--url: {self._url} answered {status}: {detail}")
            if time.monotonic() > end:
                raise StorageError(
                    f"--url: {self._url} has not taken the events from line {batch[0][0]} on for "
                    f"{self._patience:g} s ({detail}); start the service, and send the rest again"
                )
            if pause == _FIRST_PAUSE:
                logger.warning("waiting up to %g s for %s: %s", self._patience, self._url, detail)
            self._sleep(after if after is not None else pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, _MAX_PAUSE)
        for (number, _), result in zip(batch, answer["results"], strict=True):
            self.report.add(result["status"], number, _first_error(result) or result.get("detail"))

    def _post(self, body: bytes) -> tuple[int, dict[str, Any], float | None]:
        """Return the status, 0 if there is none, the answer, and the seconds that it asks to wait."""
        request = Request(self._url, body, self._headers)  # noqa: S310 (the scheme was checked)
        try:
            with urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                found = loads(answer.read())
                return answer.status, found if isinstance(found, dict) else {}, None
        except HTTPError as error:
            with error:
                after = error.headers.get("Retry-After", "")
                return error.code, _problem(error), float(after) if after.isdigit() else None
        except _BROKEN as error:
            return 0, {"detail": str(getattr(error, "reason", error))}, None


def _loads(line: bytes) -> Any:
    try:
        return loads(line.strip())
    except ValueError as error:
        reason, _, place = str(error).partition(": line 1 column ")
        where = f" (at character {place.partition(' ')[0]})" if place else ""
        raise ValueError(f"it is not JSON: {reason}{where}") from None


_BROKEN = (OSError, HTTPException, ValueError)
"""Errors of a request without an answer, or whose answer ends early or is not JSON."""


def _problem(error: HTTPError) -> dict[str, Any]:
    try:
        found = loads(error.read())
    except _BROKEN:
        return {}
    return found if isinstance(found, dict) else {}


def _first_error(answer: dict[str, Any]) -> str | None:
    for error in answer.get("errors", ()):
        return f"{error['pointer'].rpartition('/')[2]} {error['detail']}"
    return None


def _timed(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Yield lines with their numbers, and None when none has come for a second."""
    queue: Queue[Any] = Queue(2 * MAX_EVENTS)
    end = object()

    def read() -> None:
        try:
            for pair in enumerate(lines, start=1):
                queue.put(pair)
            queue.put(end)
        except OSError as error:
            queue.put(error)

    threading.Thread(target=read, name="segue-lines", daemon=True).start()
    while True:
        try:
            found = queue.get(timeout=1.0)
        except Empty:
            yield 0, None
            continue
        if found is end:
            return
        if isinstance(found, OSError):
            raise found
        yield found
