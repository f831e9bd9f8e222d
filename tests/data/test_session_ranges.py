"""Sessions in files, divided into ranges."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from segue.data.array_files import open_ranges, write_sessions
from segue.data.partitions import OnDisk
from segue.data.session_ranges import SessionRange, map_ranges
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary

LENGTHS = [1, 1, 1, 6, 1, 2, 3, 1]


@pytest.fixture
def log() -> Sessions:
    events = np.arange(sum(LENGTHS))
    items = (1 + events % 5).astype(np.int32)
    vocabulary = Vocabulary.from_items(pl.Series(range(5)))
    return Sessions(items, np.concatenate([[0], np.cumsum(LENGTHS)]), 60 * events, vocabulary)


def collect(sessions: SessionRange, factor: int) -> dict[str, Any]:
    return {"first": sessions.first, "offsets": sessions.offsets.tolist(), "items": (factor * sessions.items).tolist()}


def in_files(log: Sessions, folder: Path, count: int) -> Sessions:
    write_sessions(log, folder / "train")
    return open_ranges(folder / "train", log.vocabulary, OnDisk(folder / "work"), count)


def test_sessions_in_memory_are_one_range(log: Sessions) -> None:
    (found,) = map_ranges(log.ranges, log.items, log.offsets, collect, factor=2)
    assert found == {"first": 0, "offsets": log.offsets.tolist(), "items": (2 * log.items).tolist()}


@pytest.mark.parametrize(("count", "first"), [(1, [0]), (2, [0, 4]), (4, [0, 4, 6]), (30, [*range(8)])])
def test_ranges_are_of_whole_sessions_and_about_equal(
    count: int, first: list[int], log: Sessions, tmp_path: Path
) -> None:
    train = in_files(log, tmp_path, count)
    np.testing.assert_array_equal(train.items, log.items)
    np.testing.assert_array_equal(train.times, log.times)
    found = map_ranges(train.ranges, train.items, train.offsets, collect, factor=1)
    assert [one["first"] for one in found] == first
    assert [item for one in found for item in one["items"]] == log.items.tolist()
    assert [int(length) for one in found for length in np.diff(one["offsets"])] == LENGTHS
    assert all(one["offsets"][0] == 0 for one in found)


def test_other_sessions_made_of_them_are_in_memory(log: Sessions, tmp_path: Path) -> None:
    train = in_files(log, tmp_path, 3)
    for other in (train.select(np.array([3, 5])), train.reverse()):
        (found,) = map_ranges(other.ranges, other.items, other.offsets, collect, factor=1)
        assert found["items"] == other.items.tolist() != log.items.tolist()
