"""Where the names of points stand in a picture, so that none covers another."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

_LETTER, _LINE, _GAP = 6.2, 14.0, 8.0
"""Pixels: width of a letter, height of a line, distance between a point and its name."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True)
class Plane:
    """A plane with a logarithmic x and a linear y.

    Attributes:
        x: domain of x, positive.
        y: domain of y.
        width: pixels.
        height: pixels.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int

    def names(self, xs: Sequence[float], ys: Sequence[float], labels: Sequence[str]) -> list[dict[str, Any]]:
        """Return where each point's name stands: ``name_x``, ``name_y``, ``align``, and if it is ``far``.

        A name stands right, left, above or below of its point; where all of these are taken, further away. The
        highest points choose first.
        """
        points = [(self._right(x), self._down(y)) for x, y in zip(xs, ys, strict=True)]
        taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
        found: dict[int, dict[str, Any]] = {}
        for number in sorted(range(len(points)), key=lambda number: points[number][1]):
            found[number], box = self._free(points[number], _LETTER * len(labels[number]), taken)
            taken.append(box)
        return [found[number] for number in range(len(points))]

    def _free(self, point: tuple[float, float], length: float, taken: Sequence[Box]) -> tuple[dict[str, Any], Box]:
        """Return the first place beside a point that nothing covers, or the last one that was tried."""
        for place in _places(len(taken)):
            right, down, align, far = place
            x, y = point[0] + right, point[1] + down
            left = x - {"left": 0.0, "center": length / 2, "right": length}[align]
            box = (left, y - _LINE / 2, left + length, y + _LINE / 2)
            inside = box[0] >= 0 and box[1] >= 0 and box[2] <= self.width and box[3] <= self.height
            if inside and not any(_overlap(box, other) for other in taken):
                break
        low, high = log10(self.x[0]), log10(self.x[1])
        at_x = 10 ** (low + (high - low) * x / self.width)
        at_y = self.y[1] - (self.y[1] - self.y[0]) * y / self.height
        return {"name_x": at_x, "name_y": at_y, "align": align, "far": far}, box

    def _right(self, x: float) -> float:
        low, high = log10(self.x[0]), log10(self.x[1])
        return self.width * (log10(x) - low) / (high - low)

    def _down(self, y: float) -> float:
        return self.height * (self.y[1] - y) / (self.y[1] - self.y[0])


def _places(steps: int) -> list[tuple[float, float, str, bool]]:
    """List places beside a point, the best first: pixels right and down of it, alignment, if it is far away."""
    near = [(_GAP, 0.0, "left", False), (-_GAP, 0.0, "right", False)]
    near += [(0.0, -_LINE, "center", False), (0.0, _LINE, "center", False)]
    far = [
        (side * 3 * _GAP, way * step * _LINE, align, True)
        for step in range(1, steps + 1)
        for side, align in ((1, "left"), (-1, "right"))
        for way in (-1, 1)
    ]
    return near + far


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten, from clearly below the lowest value to clearly above the highest."""
    powers = range(floor(log10(low)) - 1, ceil(log10(high)) + 2)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    first = max(tick for tick in ticks if tick <= 0.8 * low)
    last = min(tick for tick in ticks if tick >= 1.25 * high)
    return [tick for tick in ticks if first <= tick <= last]


def padded(values: Sequence[float]) -> tuple[float, float]:
    """Return a domain with some room around the values."""
    low, high = min(values), max(values)
    room = 0.12 * (high - low) or 0.1 * abs(high) or 0.1
    return low - room, high + room
