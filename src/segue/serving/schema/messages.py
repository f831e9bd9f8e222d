"""The messages of the API, declared once: what they hold, their limits, and every mistake in one that is received."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_K = 500
MAX_ITEMS = 1000
MAX_EVENTS = 1000
MAX_BATCH = 256
MAX_BATCH_ITEMS = 10_000
"""Items that the answers to a batch may list together."""

MAX_ID_BYTES = 256
MAX_DEPTH = 16
MAX_MISTAKES = 100

_CONTROL = "^[^\\x00-\\x1f\\x7f-\\x9f]+$(?!\\n)"  # Before a last line break, $ matches too.
Text = Annotated[str, Meta(min_length=1, max_length=MAX_ID_BYTES, pattern=_CONTROL)]
Id = Text | int
"""An id: 1 to 256 bytes without control characters. An integer is the same id as its digits."""

Moment = str | int | float
"""A time in UTC: RFC 3339, or seconds since 1970."""

Value = (
    Annotated[str, Meta(max_length=MAX_ID_BYTES)]
    | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    | float
    | bool
    | None
)
Context = Annotated[dict[Text, Value], Meta(max_length=32)]
Wanted = Annotated[dict[Text, Value | Annotated[list[Value], Meta(max_length=MAX_ITEMS)]], Meta(max_length=16)]
Items = Annotated[list[Id], Meta(max_length=MAX_ITEMS)]


class Message(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A message; unknown fields are refused, because a misspelt one would be ignored."""


class NewEvent(Message, kw_only=True):
    """An event of a session that another field names."""

    item: Id
    event_id: Id | None = None
    type: Text = "view"
    time: Moment | None = None
    recommendation_id: Id | None = None
    context: Context | None = None


class SessionEvent(NewEvent, kw_only=True):
    """An event with its session."""

    session_id: Id
    consent: bool = True


class EventsRequest(Message, kw_only=True):
    """Events of any sessions."""

    events: Annotated[list[SessionEvent], Meta(min_length=1, max_length=MAX_EVENTS)]
    durable: bool = False


class RecommendRequest(Message, kw_only=True):
    """A question: the session is on the server (``session_id``) or in the request (``items``)."""

    session_id: Id | None = None
    items: Items | None = None
    context: Annotated[list[Context | None], Meta(max_length=MAX_ITEMS)] | None = None
    times: Annotated[list[Moment], Meta(max_length=MAX_ITEMS)] | None = None
    append: Annotated[list[NewEvent], Meta(max_length=MAX_EVENTS)] = []
    k: Annotated[int, Meta(ge=1, le=MAX_K)] = 20
    model: Text | None = None
    exclude: Items = []
    exclude_seen: bool | None = None
    filter: Wanted | None = None
    explain: bool = False
    consent: bool = True
    user_id: Id | None = None
    bot: bool = False


class BatchRequest(Message, kw_only=True):
    """Several questions."""

    requests: Annotated[list[RecommendRequest], Meta(min_length=1, max_length=MAX_BATCH)]


class ItemChange(Message, kw_only=True):
    """What is new of an item; what is not given stays as it was."""

    item: Id
    name: Text | None = None
    available: bool | None = None
    metadata: Context = {}


class ItemsRequest(Message, kw_only=True):
    """Changes of items, and the columns by which models find items similar to new ones."""

    items: Annotated[list[ItemChange], Meta(min_length=1, max_length=MAX_ITEMS)]
    by: Annotated[list[Text], Meta(max_length=8)] = []


class Mistake(msgspec.Struct):
    """What is wrong at a place of the request, given as a JSON pointer."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, omit_defaults=True):
    """An error, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str = ""
    errors: list[Mistake] = []


class Refused(Exception):  # noqa: N818 (it is not an error of the service)
    """A request that is answered with a problem.

    Args:
        status: status code of HTTP.
        name: last part of the type.
        detail: what is wrong.
        errors: every mistake of the request.
        retry_after: seconds after which to try again.
    """

    def __init__(
        self, status: int, name: str, detail: str, errors: Sequence[Mistake] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail, self.errors = status, name, detail, list(errors)
        self.retry_after = retry_after

    def problem(self, request_id: str = "") -> Problem:
        """Return the body of the answer."""
        title = self.name.replace("-", " ").capitalize()
        return Problem(f"/problems/{self.name}", title, self.status, self.detail, request_id, self.errors)


def invalid(errors: Sequence[Mistake]) -> Refused:
    """Return the refusal of a request with mistakes."""
    count = len(errors)
    found = "1 field is" if count == 1 else f"{count}{' or more' if count == MAX_MISTAKES else ''} fields are"
    return Refused(422, "invalid-request", f"{found} wrong", errors)


def milliseconds(moment: Moment) -> int:
    """Return a time in milliseconds since 1970.

    Raises:
        ValueError: it is not a time between the years 1970 and 9999.
    """
    if isinstance(moment, str):
        try:
            when = datetime.fromisoformat(moment)
        except ValueError:
            raise ValueError("must be a time such as 2026-05-04T09:30:00Z, or seconds since 1970") from None
        if when.tzinfo is None:
            raise ValueError("must say its time zone: 2026-05-04T09:30:00Z")
        moment = when.timestamp()
    if not 0 <= moment < 253_402_300_800:
        raise ValueError("must be between the years 1970 and 9999, in seconds since 1970 if it is a number")
    return round(moment * 1000)


def rfc3339(time: int) -> str:
    """Return milliseconds since 1970 as text in UTC."""
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
