"""What the types of the messages do not say: bytes of ids, bounds of times, fields that do not go together."""

from collections.abc import Sequence
from typing import Any

from segue.serving.schema.messages import MAX_ID_BYTES, Mistake, RecommendRequest, milliseconds


def problems_of(request: RecommendRequest) -> list[Mistake]:
    """Return what is wrong with the fields of a request taken together."""
    problems = []
    if request.items is not None and request.session_id is not None:
        problems.append(Mistake("/items", "cannot be combined with session_id; give one of them"))
    if request.items is not None and request.append:
        problems.append(Mistake("/append", "needs session_id; put the items at the end of items"))
    if request.items is None and request.session_id is None:
        problems.append(Mistake("/session_id", "is missing; name a session, or give the items of one in items"))
    if request.items is None:
        for name in ("times", "context"):
            if getattr(request, name) is not None:
                problems.append(Mistake(f"/{name}", "belongs to items; give it with each event of append"))
    return problems


def id_of(value: str | int, pointer: str, problems: list[Mistake]) -> str:
    """Return an id as text; one that is too long becomes a problem."""
    text = value if value.__class__ is str else str(value)
    if len(text) > MAX_ID_BYTES // 4 and (size := len(text.encode())) > MAX_ID_BYTES:
        problems.append(Mistake(pointer, f"must have 1 to {MAX_ID_BYTES} bytes, got {size}"))
    return text


def ids_of(values: Sequence[str | int], place: str, problems: list[Mistake]) -> list[str]:
    """Return ids as texts; see ``id_of``."""
    return [id_of(value, f"{place}/{row}", problems) for row, value in enumerate(values)]


def time_of(moment: Any, pointer: str, problems: list[Mistake]) -> int:
    """Return a time in milliseconds since 1970; a wrong one becomes a problem."""
    try:
        return milliseconds(moment)
    except (ValueError, OverflowError) as error:
        problems.append(Mistake(pointer, str(error)))
        return 0
