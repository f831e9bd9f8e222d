"""The name of a log's content."""

from datetime import datetime

import polars as pl
import pytest

from segue.data.fingerprint import fingerprint

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
