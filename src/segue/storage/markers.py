"""Markers: JSON files that tell the folders that segue wrote from others.

A marker says what the folder is in its field ``segue``, which no other program writes, and lists what segue wrote.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segue.strict_json import read_json

_SHOWN = 5
"""Names that a message lists before it only counts the rest."""


def read_marker(file: Path, kind: str) -> dict[str, Any] | None:
    """Return the content of a JSON file that marks a folder as written by segue, of any version.

    It is None if the file is that of another program, or damaged.

    Args:
        file: the file.
        kind: what the folder has to be.
    """
    try:
        if not file.is_file():  # A pipe would wait for its writer.
            return None
        content = read_json(file)
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("segue") != kind or type(content.get("format")) is not int:
        return None
    listed = content.get("sha256", {})
    return content if isinstance(listed, dict) else None


def found_there(names: Sequence[str], writer: str = "segue") -> str | None:
    """Say that a folder contains what its writer did not write, and what to do about it; None if there is nothing."""
    if not names:
        return None
    shown = [ascii(name)[1:-1] for name in names[:_SHOWN]]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    them = "it" if len(names) == 1 else "them"
    return f"contains {', '.join(shown)}{more}, which {writer} did not write; move {them}, or choose another folder"
