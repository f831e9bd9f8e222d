"""Labels beside the points of a chart, so that none covers another."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

from segue.charts import INK, LINE, Spec, log_ticks, padded_domain

_LETTER, _LINE_HEIGHT, _GAP, _RADIUS = 5.7, 13.0, 8.0, 5.0
"""Pixels: width of a letter, height of a line, distance between a point and its label, radius of a point."""
_FAR = 100
"""What each step away from its point costs; places beside it cost 0, 1, 2, ..."""
_MOST_ROOM = 3
"""Ticks by which the axis of x is extended to the left, at most."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""
Place = tuple[float, float, str, bool]
"""Pixels right and down of a point, alignment, whether it is far away."""


@dataclass(frozen=True)
class LabelPlacer:
    """Places labels beside points, on a logarithmic x and a linear y axis.

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

    def place(self, xs: Sequence[float], ys: Sequence[float], labels: Sequence[str]) -> list[dict[str, Any]]:
        """Return the place of each point's label: ``label_x``, ``label_y``, ``align``, and whether it is ``far``.

        A label stands beside, above or below its point, or further away where all of these are taken. The points choose
        one after another, in the order that costs least: that leaves most labels beside their points.
        """
        points = [(self._to_pixels_x(x), self._to_pixels_y(y)) for x, y in zip(xs, ys, strict=True)]
        by_y, by_x = (sorted(range(len(points)), key=[one[axis] for one in points].__getitem__) for axis in (1, 0))
        orders = (by_y, by_y[::-1], by_x, by_x[::-1])
        _, places = min((self._in_order(order, points, labels) for order in orders), key=lambda found: found[0])
        return places

    def _in_order(
        self, order: Sequence[int], points: Sequence[tuple[float, float]], labels: Sequence[str]
    ) -> tuple[int, list[dict[str, Any]]]:
        """Return the places if the points choose in an order, and what they cost."""
        taken: list[Box] = [(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in points]
        placed, costs = {}, 0
        for number in order:
            cost, place, box = self._free_place(points[number], _LETTER * len(labels[number]), taken)
            placed[number] = self._described(points[number], place)
            taken.append(box)
            costs += cost
        return costs, [placed[number] for number in range(len(points))]

    def _free_place(self, point: tuple[float, float], length: float, taken: Sequence[Box]) -> tuple[int, Place, Box]:
        """Return the first place beside a point that is free, or the last one that was tried, and what it costs."""
        cost = 0
        for place in _candidate_places(len(taken)):
            right, down, align, far = place
            x, y = point[0] + right, point[1] + down
            left = x - {"left": 0.0, "center": length / 2, "right": length}[align]
            box = (left, y - _LINE_HEIGHT / 2, left + length, y + _LINE_HEIGHT / 2)
            inside = box[0] >= 0 and box[1] >= 0 and box[2] <= self.width and box[3] <= self.height
            if inside and not any(_overlap(box, other) for other in taken):
                break
            cost += _FAR if far else 1
        return cost, place, box

    def _described(self, point: tuple[float, float], place: Place) -> dict[str, Any]:
        right, down, align, far = place
        low, high = log10(self.x[0]), log10(self.x[1])
        label_x = 10 ** (low + (high - low) * (point[0] + right) / self.width)
        label_y = self.y[1] - (self.y[1] - self.y[0]) * (point[1] + down) / self.height
        return {"label_x": label_x, "label_y": label_y, "align": align, "far": far}

    def _to_pixels_x(self, x: float) -> float:
        low, high = log10(self.x[0]), log10(self.x[1])
        return self.width * (log10(x) - low) / (high - low)

    def _to_pixels_y(self, y: float) -> float:
        return self.height * (self.y[1] - y) / (self.y[1] - self.y[0])


def _candidate_places(steps: int) -> list[Place]:
    """List places beside a point, best first: to its sides, above and below, at its corners, then further away."""
    up_down = (-_LINE_HEIGHT, _LINE_HEIGHT)
    near = [(_GAP, 0.0, "left", False), (-_GAP, 0.0, "right", False)]
    near += [(0.0, down, "center", False) for down in up_down]
    for side, outwards, inwards in ((_RADIUS, "left", "right"), (-_RADIUS, "right", "left")):
        near += [(side, 0.7 * down, outwards, False) for down in up_down]
        near += [(side, down, inwards, False) for down in up_down]
    far = [
        (side, step * down, align, True)
        for step in range(1, steps + 1)
        for side, align in ((3 * _GAP, "left"), (-3 * _GAP, "right"))
        for down in up_down
    ]
    return near + far


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def place_labels(
    xs: Sequence[float], ys: Sequence[float], labels: Sequence[str], *, width: int, height: int
) -> tuple[LabelPlacer, list[float], list[dict[str, Any]]]:
    """Return a placer with the domains of a chart, the ticks of x, and the places of the labels.

    The axis of x begins further to the left if that brings labels to their points.

    Args:
        xs: x of the points, positive.
        ys: y of the points.
        labels: their labels.
        width: pixels.
        height: pixels.
    """
    found = []
    for room in range(_MOST_ROOM + 1):
        ticks = log_ticks(min(xs) / 2.5**room, max(xs))
        placer = LabelPlacer((ticks[0], ticks[-1]), padded_domain(ys), width=width, height=height)
        places = placer.place(xs, ys, labels)
        found.append((placer, ticks, places))
        if not any(place["far"] for place in places):
            return found[-1]
    return min(found, key=lambda one: sum(place["far"] for place in one[2]))


def label_layers(x: Spec, y: Spec, text: str, *, ink: str = INK, line: str = LINE) -> list[Spec]:
    """Return the layers that draw placed labels, with a line to those that are far from their point.

    Args:
        x: encoding of x of the points.
        y: encoding of y of the points.
        text: field of the label; the data also contain the result of ``LabelPlacer.place``.
        ink: colour of the text.
        line: colour of the lines.
    """
    at = {"x": {**x, "field": "label_x"}, "y": {**y, "field": "label_y"}, "text": {"field": text}}
    leader = {"x2": {"field": "label_x"}, "y2": {"field": "label_y"}}
    return [
        {"mark": {"type": "rule", "stroke": line}, "encoding": leader, "transform": [{"filter": "datum.far"}]},
        *(
            {
                "mark": {"type": "text", "fontSize": 11, "fill": ink, "align": align, "baseline": "middle"},
                "encoding": at,
                "transform": [{"filter": f"datum.align == '{align}'"}],
            }
            for align in ("left", "right", "center")
        ),
    ]
