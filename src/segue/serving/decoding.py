"""Read messages, and name every mistake in one, with its place as a JSON pointer."""

import re
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec

from segue.serving.messages import (
    MAX_DEPTH,
    MAX_ID_BYTES,
    EventsRequest,
    Message,
    Mistake,
    Refused,
    SessionEvent,
    invalid,
)
from segue.strict_json import loads

M = TypeVar("M", bound=Message)


def decode(body: bytes, kind: type[M]) -> M:
    """Read a message.

    Raises:
        Refused: it is not JSON (400), or breaks rules (422); each broken rule is named with its place.
    """
    try:
        plain = loads(body)
        if _depth(plain) > MAX_DEPTH:
            raise invalid([Mistake("", f"must be nested at most {MAX_DEPTH} deep")])
        return _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise invalid(_mistakes(plain, kind) or [Mistake("", _in_words(str(error)))]) from None
    except (ValueError, RecursionError) as error:
        raise Refused(400, "malformed-json", f"the body is not JSON: {str(error)[:200]}") from None


def decode_events(body: bytes) -> tuple[EventsRequest, dict[int, list[Mistake]]]:
    """Read events; those with mistakes do not keep the others from being read.

    Returns:
        The request without the events with mistakes, and the mistakes of these by their row.

    Raises:
        Refused: see ``decode``; the mistakes are outside of the events, or there are more events than allowed.
    """
    try:
        return decode(body, EventsRequest), {}
    except Refused as refused:
        wrong: dict[int, list[Mistake]] = {}
        for mistake in refused.errors:
            found = _EVENT.match(mistake.pointer)
            if found is None:
                raise
            wrong.setdefault(int(found[1]), []).append(mistake)
        if not wrong or len(refused.errors) >= _MAX_MISTAKES:
            raise
        plain = loads(body)
        rows = [one for row, one in enumerate(plain["events"]) if row not in wrong]
        events = msgspec.convert(rows, list[SessionEvent])
        return EventsRequest(events=events, durable=plain.get("durable", False)), wrong


_EVENT = re.compile(r"/events/(\d+)(?:/|$)")
_MAX_MISTAKES, _MAX_GUESSES = 2000, 20
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(kind: type[M]) -> "msgspec.json.Decoder[M]":
    if kind not in _decoders:
        _decoders[kind] = msgspec.json.Decoder(kind)
    return _decoders[kind]


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max((_depth(one) for one in inner if isinstance(one, dict | list)), default=0)


class _Field(NamedTuple):
    kind: Any
    required: bool
    listed: Any
    """The kind of message that the field lists, if it does."""


@cache
def _fields(kind: Any) -> dict[str, _Field]:
    """Return the fields of a kind of message."""
    types = get_type_hints(kind, include_extras=True)
    found = {}
    for field in msgspec.structs.fields(kind):
        item = getattr(msgspec.inspect.type_info(types[field.name]), "item_type", None)
        listed = item.cls if isinstance(item, msgspec.inspect.StructType) else None
        found[field.name] = _Field(types[field.name], field.required, listed)
    return found


def _mistakes(value: Any, kind: Any, pointer: str = "") -> list[Mistake]:
    """Return every mistake in a message that was read as plain values."""
    if not isinstance(value, dict):
        return [Mistake(pointer, f"must be an object, got {_short(value)}")]
    found, fields = [], _fields(kind)
    for name, one in value.items():
        place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')[:MAX_ID_BYTES]}"
        if name in fields:
            found += _mistakes_in(one, fields[name].kind, place, fields[name].listed)
        else:
            close = get_close_matches(name[:MAX_ID_BYTES], fields, n=1, cutoff=0.5) if len(found) < _MAX_GUESSES else []
            found.append(Mistake(place, "is no field" + (f"; did you mean {close[0]}?" if close else "")))
    missing = (name for name, field in fields.items() if field.required and name not in value)
    found += [Mistake(f"{pointer}/{name}", "is missing") for name in missing]
    return found[:_MAX_MISTAKES]


def _mistakes_in(value: Any, kind: Any, place: str, listed: Any = None) -> list[Mistake]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if listed is not None and isinstance(value, list):
            found = [one for row, entry in enumerate(value) for one in _mistakes(entry, listed, f"{place}/{row}")]
            if found:
                return found
        if isinstance(value, dict) and len(value) > 1:
            found = [one for name in value for one in _mistakes_in({name: value[name]}, kind, place)]
            if found:
                return found
        text, _, path = str(error).partition(" - at `")
        if isinstance(value, dict) and value:
            path = path.replace("[...]", f".{next(iter(value))}", 1)
        return [Mistake(place + _pointer(path), f"{_in_words(text)}, got {_short(_at(value, path))}")]
    return []


def _steps(path: str) -> list[str]:
    """Return the steps of a path of msgspec, such as ``$[3].item``."""
    return [step for step in path.rstrip("`").removeprefix("$").replace("]", "").replace("[", ".").split(".") if step]


def _pointer(path: str) -> str:
    return "".join(f"/{step}" for step in _steps(path))


def _at(value: Any, path: str) -> Any:
    for step in _steps(path):
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (LookupError, ValueError, TypeError):
            return value
    return value


def _in_words(text: str) -> str:
    text = text.replace("`", "")
    if "matching regex" in text:
        return "must be text without control characters"
    return text.replace("Expected", "must be", 1)


def _short(value: Any) -> str:
    try:
        text = msgspec.json.encode(value).decode()
    except (msgspec.EncodeError, UnicodeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text):,} characters)"
