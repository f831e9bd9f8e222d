import math

import pytest

from segue.experiment.report.placing import Plane, log_ticks, padded


def test_names_in_a_crowd_cover_neither_each_other_nor_a_point() -> None:
    xs, ys = [1.0, 1.01, 1.02, 1.0, 1.3], [0.5, 0.5, 0.51, 0.49, 0.2]
    labels = ["sequential-rules", "markov", "stan", "popularity-7d", "v-sknn"]
    plane = Plane((0.5, 2.0), padded(ys), width=360, height=240)
    spots = plane.names(xs, ys, labels)
    boxes = []
    for spot, label in zip(spots, labels, strict=True):
        x = 360 * math.log(spot["name_x"] / 0.5) / math.log(4)
        y = 240 * (plane.y[1] - spot["name_y"]) / (plane.y[1] - plane.y[0])
        length = 6 * len(label)
        left = x - {"left": 0, "center": length / 2, "right": length}[spot["align"]]
        boxes.append((left, y - 6, left + length, y + 6))
    for n, one in enumerate(boxes):
        assert one[0] >= 0
        assert one[2] <= 360
        for other in boxes[:n]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    assert spots[4] == {
        "name_x": pytest.approx(1.3 * 4 ** (8 / 360)),
        "name_y": pytest.approx(0.2),
        "align": "left",
        "far": False,
    }


def test_ticks_of_a_logarithmic_axis_enclose_the_values() -> None:
    assert log_ticks(0.03, 2.04) == [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
    assert log_ticks(1.0, 1.0) == [0.5, 1.0, 2.0]
