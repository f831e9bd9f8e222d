"""Labels beside the points of a chart cover neither each other nor a point."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.charts import padded_domain
from segue.experiment.report.labels import LabelPlacer, place_labels


def boxes(placer: LabelPlacer, spots: list[dict[str, Any]], labels: list[str]) -> list[tuple[float, ...]]:
    """Left, top, right and bottom of the text of each label."""
    found = []
    for spot, label in zip(spots, labels, strict=True):
        x = placer.width * math.log(spot["label_x"] / placer.x[0]) / math.log(placer.x[1] / placer.x[0])
        y = placer.height * (placer.y[1] - spot["label_y"]) / (placer.y[1] - placer.y[0])
        length = 5.6 * len(label)
        left = x - {"left": 0, "center": length / 2, "right": length}[spot["align"]]
        found.append((left, y - 6, left + length, y + 6))
    return found


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_labels_in_a_crowd_cover_neither_each_other_nor_a_point() -> None:
    xs, ys = [1.0, 1.01, 1.02, 1.0, 1.3], [0.5, 0.5, 0.51, 0.49, 0.2]
    labels = ["sequential-rules", "markov", "stan", "popularity-7d", "v-sknn"]
    placer = LabelPlacer((0.5, 2.0), padded_domain(ys), width=360, height=240)
    spots = placer.place(xs, ys, labels)
    found = boxes(placer, spots, labels)
    for n, one in enumerate(found):
        assert one[0] >= 0
        assert one[2] <= 360
        assert all(apart(one, other) for other in found[:n])
    assert spots[4] == {
        "label_x": pytest.approx(1.3 * 4 ** (8 / 360)),
        "label_y": pytest.approx(0.2),
        "align": "left",
        "far": False,
    }


def test_labels_at_the_edge_of_a_search_stand_beside_their_points() -> None:
    """The first models of a search end within the same second, and two of them are as good as each other."""
    timed = {
        "popularity": (2.89, 0.1425),
        "session-popularity": (2.97, 0.1585),
        "markov": (3.06, 0.6119),
        "sequential-rules": (3.17, 0.6101),
        "item-knn": (3.27, 0.4667),
        "v-sknn": (3.43, 0.3420),
        "vstan": (3.6, 0.3797),
        "stan": (3.74, 0.3723),
        "popularity-1d": (3.83, 0.1287),
        "gru4rec": (10.8, 0.605),
        "fmlp-rec": (22.3, 0.5723),
        "blend": (45.6, 0.6129),
    }
    xs, ys = ([one[axis] for one in timed.values()] for axis in (0, 1))
    labels = list(timed)
    placer, ticks, spots = place_labels(xs, ys, labels, width=360, height=240)
    assert not any(spot["far"] for spot in spots)
    assert (ticks[0], ticks[-1]) == placer.x
    found = boxes(placer, spots, labels)
    assert all(apart(one, other) for n, one in enumerate(found) for other in found[:n])
    assert all(one[0] >= 0 and one[2] <= 360 for one in found)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1)), min_size=1, max_size=12))
def test_labels_do_not_cover_each_other_wherever_the_points_are(points: list[tuple[float, float]]) -> None:
    xs, ys = ([one[axis] for one in points] for axis in (0, 1))
    labels = ["vstan"] * len(points)
    placer, _, spots = place_labels(xs, ys, labels, width=360, height=240)
    found = boxes(placer, spots, labels)
    assert all(apart(one, other) for n, one in enumerate(found) for other in found[:n])
