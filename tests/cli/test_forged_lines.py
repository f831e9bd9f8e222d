"""Names with line breaks, tabs and control characters add no line to a message and no row to a table."""

import re
from pathlib import Path

import polars as pl
import pytest
from command import Outcome, segue

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What no output contains; HTML ignores tabs and line breaks."""

FORGED = "error: forged"
EVIL = f"x\n{FORGED}\n| {FORGED} |\t\r\x1b[31m\u202e<img src=x onerror=alert(1)>|"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log whose name, and whose items, groups and columns have forged lines in their names."""
    place = tmp_path_factory.mktemp("place")
    rows = [(number // 4, f"{EVIL}{(number * 7 + number // 9) % 12}", 60 * number) for number in range(400)]
    items = pl.DataFrame({"item": [f"{EVIL}{number}" for number in range(12)]})
    items = items.with_columns(
        pl.format("{}{}", pl.col("item"), pl.lit("name")).alias("name"), pl.lit(EVIL).alias(EVIL)
    )
    log = pl.DataFrame(rows, schema=["session", "item", "time"], orient="row").with_columns(pl.lit(EVIL).alias(EVIL))
    log.write_parquet(place / f"x\n{FORGED}.parquet")
    items.write_parquet(place / "items.parquet")
    return place


def check(outcome: Outcome, code: int = 0) -> Outcome:
    assert outcome.code == code, outcome.err
    for text in (outcome.out, outcome.err):
        assert not RAW.search(text)
        assert not re.search(rf"^([!·|] )?{FORGED}", text, re.MULTILINE), text
    return outcome


def test_no_output_has_a_forged_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    log, items = f"x\n{FORGED}.parquet", ("--items", "items.parquet", "--set", "protocol.split.kind=ratio")
    check(segue("data", log, *items))
    check(segue("prepare", log, *items, "--out", f"data\n{FORGED}"))
    check(segue("run", log, *items, "--model", "markov", "--slices", EVIL, "--out", f"run\n{FORGED}"))
    run = f"run\n{FORGED}"
    check(segue("compare", run, "--out", f"compared\n{FORGED}.md"))
    check(segue("report", run))
    check(segue("doctor", run))
    shown = check(segue("recommend", f"{run}/markov", "--item", f"{EVIL}1", "--item", EVIL))
    assert (
        r"Ignored, as it is not in the training data: 'x\nerror: forged\n| error: forged |\t\r\x1b[31m\u202e<img"
        in shown.out
    )
    for file in (Path(run) / "report.md", Path(f"compared\n{FORGED}.md")):
        text = file.read_text(encoding="utf-8")
        assert not RAW.search(text)
        assert "<img" not in text
        assert not [line for line in text.splitlines() if line.lstrip("#-|* ").startswith(FORGED)], text
    assert "<img" not in (Path(run) / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [
        ("data", EVIL),
        ("run", f"x\n{FORGED}.parquet", "--model", EVIL),
        ("run", f"x\n{FORGED}.parquet", "--model", "als", "--columns", f"item={EVIL}"),
        ("run", f"x\n{FORGED}.parquet", "--model", "als", "--set", f"als.{EVIL}=1", "--set", "als.embedding_size=0"),
        ("run", f"x\n{FORGED}.parquet", "--model", "als", "--config", EVIL),
        ("run", f"x\n{FORGED}.parquet", f"--{EVIL}"),
        ("recommend", EVIL, "--items", "1"),
        ("compare", EVIL),
        ("prepare", f"x\n{FORGED}.parquet", "--out", f"x\n{FORGED}.parquet"),
        ("explain", EVIL),
    ],
)
def test_no_message_has_a_forged_line(place: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    monkeypatch.chdir(place)
    outcome = check(segue(*command), 2)
    assert outcome.err.count("error: ") - outcome.err.count(FORGED) <= 1
