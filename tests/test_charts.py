import sys
from pathlib import Path

import pytest

from segue.charts import log_ticks, render_svg, whole_ticks, write_chart
from segue.errors import MissingExtraError


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
