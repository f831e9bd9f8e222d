import math
import sys
from pathlib import Path

import pytest

from segue.charts import LabelPlacer, log_ticks, padded_domain, render_svg, whole_ticks, write_chart
from segue.errors import MissingExtraError


def test_labels_in_a_crowd_cover_neither_each_other_nor_a_point() -> None:
    xs, ys = [1.0, 1.01, 1.02, 1.0, 1.3], [0.5, 0.5, 0.51, 0.49, 0.2]
    labels = ["sequential-rules", "markov", "stan", "popularity-7d", "v-sknn"]
    placer = LabelPlacer((0.5, 2.0), padded_domain(ys), width=360, height=240)
    spots = placer.place(xs, ys, labels)
    boxes = []
    for spot, label in zip(spots, labels, strict=True):
        x = 360 * math.log(spot["label_x"] / 0.5) / math.log(4)
        y = 240 * (placer.y[1] - spot["label_y"]) / (placer.y[1] - placer.y[0])
        length = 6 * len(label)
        left = x - {"left": 0, "center": length / 2, "right": length}[spot["align"]]
        boxes.append((left, y - 6, left + length, y + 6))
    for n, one in enumerate(boxes):
        assert one[0] >= 0
        assert one[2] <= 360
        for other in boxes[:n]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    assert spots[4] == {
        "label_x": pytest.approx(1.3 * 4 ** (8 / 360)),
        "label_y": pytest.approx(0.2),
        "align": "left",
        "far": False,
    }


def test_ticks_of_a_logarithmic_axis_enclose_the_values() -> None:
    assert log_ticks(0.03, 2.04) == [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
    assert log_ticks(1.0, 1.0) == [0.5, 1.0, 2.0]


def test_ticks_of_whole_numbers_are_few_and_whole() -> None:
    assert whole_ticks(1, 3) == [1, 2, 3]
    assert whole_ticks(1, 1) == [1]
    assert whole_ticks(1, 64) == list(range(1, 65, 7))


def test_an_absent_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtraError, match=r'a chart needs the extra .report.: pip install "segue\[report\]"'):
        render_svg({"mark": "point"})


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_equal_specifications_give_equal_files(suffix: str, tmp_path: Path) -> None:
    spec = {"data": {"values": [{"x": 1, "y": 2}]}, "mark": "point", "encoding": {"x": {"field": "x"}}}
    for name in ("one", "other"):
        write_chart(spec, tmp_path / f"{name}{suffix}")
    content = (tmp_path / f"one{suffix}").read_bytes()
    assert content == (tmp_path / f"other{suffix}").read_bytes()
    assert content.startswith(b"<svg" if suffix == ".svg" else b"\x89PNG")
