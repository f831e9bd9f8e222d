"""`segue experiment`: what it prints and writes."""

import json
import sys
from pathlib import Path

import pytest
from command import segue

sys.path.append(str(Path(__file__).parents[1] / "online"))
from visits import START, Visits, simulate, split


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(split(), 2000, {"a": 0.10, "b": 0.18}).write(tmp_path_factory.mktemp("state"))


def test_the_report(state: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"report.{kind}" for kind in ("md", "json", "png", "svg")]
    shown = segue("experiment", str(state), *(word for file in files for word in ("--out", str(file))))
    assert shown.code == 0, shown.err
    assert shown.out.startswith("b is better than a: +")
    assert "no difference yet between b and a" in shown.out
    assert "at any time" in shown.out
    assert files[0].read_text(encoding="utf-8").startswith("# Experiment home\n")
    assert json.loads(files[1].read_text(encoding="utf-8"))["experiment"] == "home"
    assert files[2].read_bytes().startswith(b"\x89PNG")
    assert b"hit rate" in files[3].read_bytes()
    again = json.loads(segue("experiment", str(state), "--json").out)
    assert again == json.loads(files[1].read_text(encoding="utf-8"))


def test_a_broken_split_shows_no_rates(tmp_path: Path) -> None:
    visits = Visits()
    for number in range(1000):
        visits.show(f"s{number}", START + number, split(), arm="a" if number % 3 else "b")
    shown = segue("experiment", str(visits.write(tmp_path)))
    assert shown.out.startswith("the split is broken: 66.6% of sessions are in a where 50.0% were planned")
    assert "95% interval" not in shown.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "report.pdf"], "--out: must end in .md, .json, .png, .svg, got 'report.pdf'"),
        (["--window", "0"], "--window: must be greater than 0, got 0"),
        (["--name", "nothing"], "unknown experiment 'nothing': choose one of home"),
        (["--slice", "device"], "--slice: must be a key in the context of events (no event has one)"),
    ],
)
def test_mistakes(state: Path, words: list[str], message: str) -> None:
    shown = segue("experiment", str(state), *words)
    assert shown.code == 2
    assert message in shown.err
