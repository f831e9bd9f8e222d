"""The sizes of a log and its recent shares, against a plain implementation of the tutorials' preparation."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from segue.data.readers.read import read
from segue.data.synthetic import shop
from segue.errors import EmptyDataError
from segue.protocols.prepare import prepare
from segue.protocols.summary import ShareSize, summarise

DAY = 24 * 3600 * 1_000_000


def long_sessions(rows: list[tuple]) -> list[tuple]:
    lengths = Counter(session for session, _, _ in rows)
    return [row for row in rows if lengths[row[0]] >= 2]


def known(rows: list[tuple], train: list[tuple]) -> list[tuple]:
    items = {item for _, item, _ in train}
    return long_sessions([row for row in rows if row[1] in items])


def sizes(rows: list[tuple]) -> tuple[int, int, int]:
    return len({row[0] for row in rows}), len(rows), len({row[1] for row in rows})


def by_end(rows: list[tuple]) -> list[tuple[int, int]]:
    """End and id of each session, in order of the end."""
    ends: dict = {}
    for session, _, time in rows:
        ends[session] = max(ends.get(session, 0), time)
    return sorted((end, session) for session, end in ends.items())


def test_the_figures_are_those_of_the_tutorial() -> None:
    frame = shop(2000, 0).frame.select("session", "item", pl.col("time").to_physical())
    rows = long_sessions(frame.rows())
    support = Counter(item for _, item, _ in rows)
    rows = long_sessions([row for row in rows if support[row[1]] >= 5])
    ends = by_end(rows)
    tested = {session for end, session in ends if end >= ends[-1][0] - DAY}
    train = [row for row in rows if row[0] not in tested]
    test = known([row for row in rows if row[0] in tested], train)
    found = summarise(shop(2000, 0))
    assert found.protocol == "gru4rec-2015"
    assert (found.train.sessions, found.train.clicks, found.train.items) == sizes(train)
    assert (found.test.sessions, found.test.clicks, found.test.items) == sizes(test)
    lengths, expected = Counter(session for session, _, _ in train), []
    for name, share in (("1/64", 1 / 64), ("1/4", 1 / 4)):
        kept, clicks = set(), 0
        for _, session in reversed(by_end(train)):
            clicks += lengths[session]
            if clicks > share * len(train):
                break
            kept.add(session)
        part = [row for row in train if row[0] in kept]
        left, items = known(test, part), sizes(part)[2]
        expected.append(ShareSize(name, len(part), len(left), len(part) + len(left), (1, items), items))
    assert found.shares == tuple(expected)
    assert not found.problems
    assert found.holds_out_validation


def test_a_share_of_ones_own_stands_beside_the_others_and_is_what_is_prepared() -> None:
    parameters = {"cleaning": {"recent_share": 0.5}, "split": {"valid_days": 0}}
    found = summarise(shop(1000, 0), "gru4rec-2015", parameters)
    assert [one.share for one in found.shares] == ["1/64", "1/4", "1/2"]
    assert found.train == summarise(shop(1000, 0)).train
    assert not found.holds_out_validation
    data = prepare(shop(1000, 0), "gru4rec-2015", **parameters)
    assert found.shares[2].train_clicks == len(data.train.items)
    assert list(found.shares[2].item_indices) == data.statistics()["item_indices"]


def test_a_share_that_leaves_nothing_is_a_problem_of_that_share_alone() -> None:
    found = summarise(shop(100, 0), "session-next", {"cleaning": {"min_support": 1, "min_length": 1}})
    assert [one.share for one in found.shares] == ["1/4"]
    assert found.problems["1/64"].startswith("no test case is left: ")
    with pytest.raises(EmptyDataError, match="left nothing for training"):
        summarise(shop(1000, 0), None, {"split": {"test_days": 900}})


@pytest.mark.real
def test_the_slice_of_yoochoose_has_its_figures(real_data: Path) -> None:
    found = summarise(read(real_data / "yoochoose-100k"))
    assert (found.train.sessions, found.train.clicks, found.train.items) == (17_794, 70_278, 2_933)
    assert (found.test.sessions, found.test.clicks, found.test.items) == (3_416, 13_568, 1_771)
    assert found.shares == (
        ShareSize("1/64", 1_098, 7_737, 8_835, (1, 461), 461),
        ShareSize("1/4", 17_567, 12_741, 30_308, (1, 2_119), 2_119),
    )
