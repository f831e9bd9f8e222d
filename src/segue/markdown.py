"""Markdown: tables, lists and headings, and text that stays text."""

import re
from collections.abc import Iterable, Sequence

from segue.printable import one_line


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """Return a table.

    Args:
        head: names of the columns.
        rows: cells; ``|`` and line breaks in them are escaped.
        numbers: whether all columns but the first are aligned to the right.
    """
    first, *lines = ("| " + " | ".join(map(_cell, line)) + " |" for line in [head, *rows])
    rule = "|---" + ("|---:" if numbers else "|---") * (len(head) - 1) + "|"
    return "\n".join([first, rule, *lines])


def section(title: str, body: str | Iterable[str], level: int = 2) -> list[str]:
    """Return the lines of a section, or none where there is nothing to say.

    Args:
        title: the heading.
        body: a text, or the entries of a list.
        level: of the heading.
    """
    text = body if isinstance(body, str) else "\n".join(f"- {line}" for line in body)
    return [f"{'#' * level} {title}\n", text, ""] if text else []


def escaped(text: str) -> str:
    """Return a text in one line without what Markdown or HTML would read into it; control characters are visible."""
    text = re.sub(r"([\\`*\[\]~]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(one_line(text).split()))
    text = re.sub(r"^([-+#>])", r"\\\1", text)
    text = re.sub(r"^(\d+)(?=[.)])", r"\1\\", text)
    return _without_tags(re.sub(r"&(?=#?\w+;)", "&amp;", text))


def _cell(text: str) -> str:
    return _without_tags(one_line(text)).replace("|", "\\|")


def _without_tags(text: str) -> str:
    """Return a text in which nothing starts an HTML tag."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
