"""Distributions of a prepared log, worked by hand."""

import json
from pathlib import Path

import polars as pl
import pytest

import segue

DAY = 86_400
START = 1_700_006_400  # A midnight.


def prepared(tmp_path: Path, log: pl.DataFrame, *protocol: str, **parameters: object) -> segue.Dataset:
    log.write_csv(tmp_path / "clicks.csv")
    return segue.prepare(segue.read(tmp_path / "clicks.csv"), *protocol, **parameters)


def sessions(lengths: list[int], *, days: list[float]) -> pl.DataFrame:
    """Sessions that begin at days; all of them click on items 0, 1, 2, ... in turn."""
    rows = [
        (number, item, START + int(day * DAY) + item)
        for number, (length, day) in enumerate(zip(lengths, days, strict=True))
        for item in range(length)
    ]
    return pl.DataFrame(rows, schema=["session", "item", "time"], orient="row")


def test_by_hand(tmp_path: Path) -> None:
    log = sessions([2, 2, 3, 12, 2, 3], days=[0, 0, 1, 2, 10, 19])
    split = {"kind": "last-days", "test_days": 1.0, "valid_days": 0.0}
    found = prepared(tmp_path, log, split=split, cleaning={"min_support": 1}).statistics()["distributions"]
    assert json.loads(json.dumps(found)) == found
    assert found["lengths"] == [
        [1, 1, 0], [2, 2, 3], [3, 3, 1], *([length, length, 0] for length in range(4, 11)), [11, 15, 1]
    ]  # fmt: skip
    events = [5, 5, 2, *[1] * 9]  # Of the items 0 to 11 in the five training sessions.
    assert [rank for rank, _, _ in found["popularity"]] == list(range(1, 13))
    assert [count for _, count, _ in found["popularity"]] == events
    assert [share for _, _, share in found["popularity"]] == pytest.approx(
        [sum(events[:k]) / 21 for k in range(1, 13)], abs=1e-6
    )
    time = found["timeline"]
    assert (time["start"], time["step"]) == (START, DAY)
    train, test = [0] * 20, [0] * 20
    train[0], train[1], train[2], train[10], test[19] = 4, 3, 12, 2, 2
    assert time["parts"] == {"train": train, "test": test}
    assert time["lines"] == {"test": START + 19 * DAY + 1}


def test_a_split_within_sessions_has_no_lines(tmp_path: Path) -> None:
    log = sessions([5] * 30, days=[float(number) for number in range(30)])
    log = log.with_columns(item=(pl.col("item") + pl.col("session")) % 7)
    found = prepared(tmp_path, log, "leave-one-out").statistics()["distributions"]["timeline"]
    assert found["lines"] == {}
    assert sum(found["parts"]["test"]) == 30


def test_without_times(tmp_path: Path) -> None:
    rows = [(session, item) for session in range(40) for item in (session % 3, session % 3 + 1, 5)]
    log = pl.DataFrame(rows, schema=["session", "item"], orient="row")
    found = prepared(tmp_path, log).statistics()["distributions"]
    assert found["timeline"] is None
    assert [row[2] for row in found["lengths"][:2]] == [0, 0]


@pytest.mark.parametrize(("days", "step"), [(0.05, 60), (3, 3600), (14, 3 * 3600), (100, DAY), (5_000, 56 * DAY)])
def test_few_bars(days: float, step: int, tmp_path: Path) -> None:
    """At most 120, of a length that people can read."""
    log = sessions([3] * 40, days=[days * number / 39 for number in range(40)])
    given = {"split": "ratio", "cleaning": {"min_support": 1}}
    time = prepared(tmp_path, log, **given).statistics()["distributions"]["timeline"]
    assert time["step"] == step
    assert len(time["parts"]["train"]) <= 121
    assert time["start"] % step == 0
    assert sum(map(sum, time["parts"].values())) > 0
