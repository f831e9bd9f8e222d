"""Read messages, and name every mistake in one, with its place as a JSON pointer."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache, lru_cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec

from segue.serving.schema.experiment_messages import ExposuresRequest, SeenExposure
from segue.serving.schema.messages import (
    MAX_DEPTH,
    MAX_MISTAKES,
    BatchRequest,
    EventsRequest,
    ItemChange,
    ItemsRequest,
    Message,
    Mistake,
    RecommendRequest,
    Refused,
    SessionEvent,
    invalid,
)
from segue.strict_json import loads

M = TypeVar("M", bound=Message)
Wrong = dict[int, list[Mistake]]
"""Mistakes by the row of an entry."""

_MAX_PER_ENTRY = 3
_MAX_VALUES = 32
"""Values of a field that are looked at one by one."""

_MAX_NAME = 64
"""Characters of a name that are repeated in an answer."""


def decode(body: bytes, kind: type[M]) -> M:
    """Read a message.

    Raises:
        Refused: it is not JSON (400), or breaks rules (422); each broken rule is named with its place.
    """
    plain = _parse(body)
    try:
        return _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        found = list(islice(_mistakes(plain, kind), MAX_MISTAKES))
        raise invalid(found or [Mistake("", _in_words(str(error)))]) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise _malformed(error) from None


def decode_events(body: bytes) -> tuple[EventsRequest, Wrong]:
    """Read events; see ``_decode_each``."""
    return _decode_each(body, EventsRequest, "events", SessionEvent)


def decode_exposures(body: bytes) -> tuple[ExposuresRequest, Wrong]:
    """Read what was seen; see ``_decode_each``."""
    return _decode_each(body, ExposuresRequest, "exposures", SeenExposure)


def decode_batch(body: bytes) -> tuple[BatchRequest, Wrong]:
    """Read the requests of a batch; see ``_decode_each``."""
    return _decode_each(body, BatchRequest, "requests", RecommendRequest)


def decode_items(body: bytes) -> tuple[ItemsRequest, Wrong]:
    """Read changes of items; see ``_decode_each``."""
    return _decode_each(body, ItemsRequest, "items", ItemChange)


def _decode_each(body: bytes, kind: type[M], field: str, entry: type[Message]) -> tuple[M, Wrong]:
    """Read a message with a list; entries with mistakes do not keep the others from being read.

    Args:
        body: the message.
        kind: its kind.
        field: its field with the list.
        entry: the kind of the entries.

    Returns:
        The message without the entries with mistakes, and the mistakes of these by their row.

    Raises:
        Refused: see ``decode``; the mistakes are outside of the entries, or there are more entries than allowed.
    """
    inside = re.compile(rf"/{field}/\d+(?:/|$)")
    try:
        return decode(body, kind), {}
    except Refused as refused:
        if refused.status != 422 or any(inside.match(one.pointer) is None for one in refused.errors):
            raise
    plain = loads(body)
    around = {**plain, field: []}
    if others := list(islice(_mistakes(around, kind, without=(field,)), MAX_MISTAKES)):
        raise invalid(others)
    entries: list[Message] = []
    wrong: Wrong = {}
    for row, one in enumerate(plain[field]):
        try:
            entries.append(msgspec.convert(one, entry))
        except msgspec.ValidationError as error:
            pointer = f"/{field}/{row}"
            few = len(wrong) < MAX_MISTAKES
            found = list(islice(_mistakes(one, entry, pointer, near=few), _MAX_PER_ENTRY if few else 1))
            wrong[row] = found or [Mistake(pointer, _in_words(str(error)))]
    return kind(**{**plain, field: entries}), wrong


_CONTAINERS = (dict, list)
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(kind: type[M]) -> "msgspec.json.Decoder[M]":
    if kind not in _decoders:
        _decoders[kind] = msgspec.json.Decoder(kind)
    return _decoders[kind]


def _parse(body: bytes) -> Any:
    """Return JSON as plain values; msgspec alone would take a name twice."""
    try:
        plain = loads(body.decode())
    except ValueError as error:
        raise _malformed(error) from None
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return plain
    level = [plain]
    for _ in range(MAX_DEPTH):
        inner = (values.values() if values.__class__ is dict else values for values in level)
        level = [one for values in inner for one in values if one.__class__ in _CONTAINERS]
        if not level:
            return plain
    raise invalid([Mistake("", f"must be nested at most {MAX_DEPTH} deep")])


def _malformed(error: Exception) -> Refused:
    return Refused(400, "malformed-json", f"the body is not JSON in UTF-8: {_text(str(error), 200)}")


class _Field(NamedTuple):
    kind: Any
    required: bool
    listed: Any
    """The kind of message that the field lists, if it does."""
    most: int
    """Most messages that it lists."""


@cache
def _fields(kind: Any) -> dict[str, _Field]:
    """Return the fields of a kind of message."""
    types = get_type_hints(kind, include_extras=True)
    found = {}
    for field in msgspec.structs.fields(kind):
        info = msgspec.inspect.type_info(types[field.name])
        item = getattr(info, "item_type", None)
        listed = item.cls if isinstance(item, msgspec.inspect.StructType) else None
        found[field.name] = _Field(types[field.name], field.required, listed, getattr(info, "max_length", None) or 0)
    return found


def _mistakes(
    value: Any, kind: Any, pointer: str = "", without: tuple[str, ...] = (), near: bool = True
) -> Iterator[Mistake]:
    """Yield the mistakes in a message that was read as plain values, but for some of its fields.

    Args:
        value: The message.
        kind: What it has to be.
        pointer: Its place.
        without: Fields to leave out.
        near: Whether to look for the field that an unknown name may stand for, which is slow.
    """
    if not isinstance(value, dict):
        yield Mistake(pointer, f"must be an object, got {_short(value)}")
        return
    fields = _fields(kind)
    for name, one in value.items():
        if name in without:
            continue
        place = f"{pointer}/{_text(name.replace('~', '~0').replace('/', '~1'), _MAX_NAME)}"
        if name in fields:
            yield from _mistakes_in(one, fields[name], place)
        else:
            close = _closest(name[:_MAX_NAME], kind) if near else None
            yield Mistake(place, "is not a field" + (f"; did you mean {close}?" if close else ""))
    for name, field in fields.items():
        if field.required and name not in value:
            yield Mistake(f"{pointer}/{name}", "is missing")


def _mistakes_in(value: Any, field: _Field, place: str) -> Iterator[Mistake]:
    """Yield the mistakes in a field; of a field that lists no messages the first one."""
    if field.listed is not None and isinstance(value, list) and 0 < len(value) <= field.most:
        for row, entry in enumerate(value):
            yield from _mistakes(entry, field.listed, f"{place}/{row}")
        return
    try:
        msgspec.convert(value, field.kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        if isinstance(value, dict) and 1 < len(value) <= _MAX_VALUES:
            for name in value:
                yield from _mistakes_in({name: value[name]}, field, place)
            return
        if isinstance(value, dict) and len(value) == 1:
            path = path.replace("[...]", f".{_text(next(iter(value)), _MAX_NAME)}", 1)
        rule = _in_words(text.partition(", got ")[0])
        yield Mistake(place + _pointer(path), f"{rule}, got {_short(_at(value, path), place)}")


@lru_cache(maxsize=256)
def _closest(name: str, kind: Any) -> str | None:
    """Return the field that a name may stand for."""
    return next(iter(get_close_matches(name, _fields(kind), n=1, cutoff=0.5)), None)


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
    return _UNION.sub(_union_in_words, text.replace("Expected", "must be", 1))


_TYPES = {
    "object": "an object",
    "array": "a list",
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
}
_UNION = re.compile(r"\b(?:{0})(?: \| (?:{0}))*\b".format("|".join(_TYPES)))


def _union_in_words(found: re.Match[str]) -> str:
    names = [name for name in found[0].split(" | ") if name != "null"] or ["null"]
    return " or ".join(_TYPES[name] for name in _TYPES if name in names and not (name == "int" and "float" in names))


def _text(text: str, most: int) -> str:
    """Return text that can be encoded, shortened."""
    return text[:most].encode(errors="replace").decode()


def _short(value: Any, place: str = "") -> str:
    """Return a value for a message: neither long nor an id of a session or an event."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"an array of {len(value):,} {'entry' if len(value) == 1 else 'entries'}" if value else "an empty array"
    if isinstance(value, str) and (len(value) > 60 or place.endswith("_id")):
        return f"{len(value):,} characters"
    if place.endswith("_id"):
        return type(value).__name__
    if isinstance(value, int) and value.bit_length() > 64:
        return "a larger number"
    return msgspec.json.encode(_text(value, 60) if isinstance(value, str) else value).decode()
