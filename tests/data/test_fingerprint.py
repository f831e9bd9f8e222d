"""The name of a log's content."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from segue.data.cases import Cases
from segue.data.fingerprint import fingerprint, fingerprint_cases, fingerprint_sessions
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary

LOG = pl.DataFrame({"session": [1, 1, 2], "item": ["a", "bc", None], "time": [datetime(2024, 1, 1)] * 3})


def test_it_is_the_same_on_every_machine():
    assert fingerprint(LOG) == "3625b227d597a46a"


@pytest.mark.parametrize(
    "same",
    [
        LOG.select("time", "item", "session"),
        LOG.with_columns(pl.col("session").cast(pl.Int32)),
        pl.concat([LOG[:1], LOG[1:]]),
    ],
    ids=["columns moved", "narrower integers", "other chunks"],
)
def test_how_the_log_is_stored_does_not_matter(same):
    assert fingerprint(same) == fingerprint(LOG)


def test_lists_are_told_apart():
    lists = [fingerprint(LOG.with_columns(pos=pl.Series(values))) for values in ([[1, 2], [], None], [[1], [2], None])]
    assert lists[0] != lists[1]


@pytest.mark.parametrize(
    "other",
    [
        LOG.reverse(),
        LOG.with_columns(pl.col("session").cast(pl.String)),
        LOG.with_columns(item=pl.Series(["ab", "c", None])),
        LOG.with_columns(item=pl.Series(["a", "bc", ""])),
        LOG.with_columns(time=pl.lit(datetime(2024, 1, 2))),
        LOG.rename({"item": "page"}),
        LOG[:2],
    ],
    ids=["order", "type", "text cut elsewhere", "null is not empty", "times", "names", "rows"],
)
def test_every_change_of_content_is_seen(other):
    assert fingerprint(other) != fingerprint(LOG)


def test_sessions_and_cases_are_told_apart_by_all_that_a_training_reads() -> None:
    items, offsets = np.array([1, 2, 1, 2], dtype=np.int32), np.array([0, 2, 4])
    vocabulary = Vocabulary(pl.DataFrame({"item": [7, 8], "support": [2, 2]}))
    log = Sessions(items, offsets, np.arange(4), vocabulary)
    others = [
        replace(log, items=items[::-1].copy()),
        replace(log, offsets=np.array([0, 1, 4])),
        replace(log, times=None),
        replace(log, times=np.arange(1, 5)),
        replace(log, columns=pl.DataFrame({"shop": ["a", "b", "a", "b"]})),
        replace(log, vocabulary=Vocabulary(pl.DataFrame({"item": [7, 9], "support": [2, 2]}))),
    ]
    assert len({fingerprint_sessions(one) for one in (log, *others)}) == 1 + len(others)
    assert fingerprint_sessions(replace(log, items=items.copy())) == fingerprint_sessions(log)

    cases = Cases(log.as_prefixes(), np.array([1, 2], dtype=np.int32), np.arange(2))
    others = [replace(cases, exclude_seen=True), replace(cases, targets=np.array([2, 2], dtype=np.int32)), cases[:1]]
    assert len({fingerprint_cases(one) for one in (cases, *others)}) == 1 + len(others)
