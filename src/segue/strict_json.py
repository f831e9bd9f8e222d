"""Standard JSON, which has no NaN and no infinity: they are written as null, and null is read as NaN."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

_MOST_BYTES = 16 << 20
"""Largest file: it is parsed as a whole."""

Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A float in a file; null is read as NaN."""


def dumps(
    value: Any,
    *,
    indent: int | None = None,
    sort_keys: bool = False,
    compact: bool = False,
    ascii_only: bool = False,
) -> str:
    """Return a value as JSON text; numbers that are not finite become null.

    Args:
        value: what ``json.dumps`` accepts.
        indent: spaces per level; None writes one line.
        sort_keys: order the names of each object.
        compact: leave out the spaces between tokens.
        ascii_only: write other characters as escapes.
    """
    return json.dumps(
        _finite(value),
        indent=indent,
        sort_keys=sort_keys,
        separators=(",", ":") if compact else None,
        ensure_ascii=ascii_only,
        allow_nan=False,
    )


def loads(text: str | bytes) -> Any:
    """Parse JSON text.

    Raises:
        ValueError: it is not standard JSON, names a field of an object twice, or is nested too deeply.
    """
    try:
        return _DECODER.decode(text if isinstance(text, str) else str(text, json.detect_encoding(text)))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"the name '{next(name for name, count in counts.items() if count > 1)}' occurs twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON; write null")


def _finite_float(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite_float)


def write_json(file: Path, content: Any) -> None:
    """Write a JSON file."""
    file.write_text(dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")


def read_json(file: Path) -> Any:
    """Read a JSON file of segue.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not JSON, too large, or nested too deeply.
    """
    if (size := file.stat().st_size) > _MOST_BYTES:
        raise ValueError(f"it has {size:,} bytes, more than {_MOST_BYTES:,}")
    return loads(file.read_text(encoding="utf-8"))


def read_object(file: Path) -> dict[str, Any]:
    """Read a JSON file that contains an object; see ``read_json``.

    Raises:
        ValueError: it contains something else.
    """
    content = read_json(file)
    if not isinstance(content, dict):
        raise ValueError(f"it must contain an object, got {type(content).__name__}")
    return content


def digest(value: Any) -> str:
    """Return the first 12 hex digits of the SHA-256 of a value; the order of names does not matter."""
    return hashlib.sha256(dumps(value, sort_keys=True, compact=True).encode()).hexdigest()[:12]


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
