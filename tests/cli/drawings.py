"""The charts of a report, drawn once: they take most of the time of a small run."""

from collections.abc import Callable, Mapping
from typing import Any

Spec = dict[str, Any]


class Drawings:
    """Draws the first chart of each form, and gives its drawing for later ones, which differ in numbers and texts only.

    ``tests/experiment/test_report.py`` reads what charts show.

    Args:
        render: draws a chart.
    """

    def __init__(self, render: Callable[[Spec], str]) -> None:
        self._render = render
        self._drawn: dict[object, str] = {}

    def __call__(self, spec: Spec) -> str:
        key = form(spec)
        if key not in self._drawn:
            self._drawn[key] = self._render(spec)
        return self._drawn[key]


def form(part: object) -> object:
    """Return what a part of a specification looks like without its numbers, its texts and the lengths of its lists."""
    if isinstance(part, Mapping):
        return frozenset((name, form(inner)) for name, inner in part.items())
    if isinstance(part, list | tuple):
        return frozenset(map(form, part))
    return type(part).__name__
