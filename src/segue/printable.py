"""Foreign text (names of items, files, columns and models) in output: control characters become visible escapes."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls, which move the cursor, colour or hide text.
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f"  # What reorders text (bidi controls), and separators of lines.
    "\ud800-\udfff\ufff9-\uffff]"  # Lone surrogates and noncharacters, which UTF-8 and XML do not have.
)
_BREAKING = re.compile(rf"[\t\n{_UNPRINTABLE.pattern[1:]}")

_MAX_LETTERS = 120
_MAX_LISTED = 20


def visible(text: str) -> str:
    r"""Return a text whose control and bidi characters are escapes such as ``\x1b``; ``\n`` and ``\t`` stay.

    HTML (``segue.experiment.report.page``, ``segue.embeddings.page``) and charts (``segue.charts``) pass their texts
    through this function; where lines and columns have a meaning, ``one_line`` takes its place.
    """
    return _UNPRINTABLE.sub(lambda match: _escape(match[0]), text)


def one_line(text: str) -> str:
    r"""Return a text like ``visible``, in which line breaks and tabs are escapes, too.

    Errors (``segue.errors``), lines and cells on the terminal (``segue.cli.terminal``, ``segue.cli.progress``) and
    Markdown (``segue.markdown``) pass their texts through this function, so that no name adds a line or a row.
    """
    return _BREAKING.sub(lambda match: _escape(match[0]), text)


def visible_json(text: str) -> str:
    r"""Return JSON whose strings hold no control and bidi characters, but JSON's own escapes, such as ``\u001b``."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def visible_all(value: Any) -> Any:
    """Return a nested value, as JSON has them, with every text in it and every name visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(name): visible_all(one) for name, one in value.items()}
    return [visible_all(one) for one in value] if isinstance(value, list | tuple) else value


def short(value: object) -> str:
    """Return the ``repr`` of a value received, cut where it is long; a date as in ISO 8601."""
    try:
        text = value.isoformat() if isinstance(value, date) else repr(value)
    except (ValueError, RecursionError):  # An integer of more digits than Python writes, or a value inside itself.
        text = f"<{type(value).__name__}, too large to show>"
    return text if len(text) <= _MAX_LETTERS else f"{text[: _MAX_LETTERS - 20]}... ({len(text):,} characters)"


def listed(names: Sequence[str]) -> str:
    """Return names separated by commas; of many only the first."""
    more = len(names) - _MAX_LISTED
    shown = [name if len(name) <= _MAX_LETTERS else f"{name[: _MAX_LETTERS - 3]}..." for name in names[:_MAX_LISTED]]
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
