"""Raw ids of sessions, and sessions as a sparse matrix."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest

import segue
from segue.data.events import sort_events
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.protocols.cases import encode


def sessions_of(ids: list[object]) -> Sessions:
    """Sessions a b a | c | b, in the order of their end, with the given ids."""
    frame = pl.DataFrame(
        {
            "session": [ids[1], ids[0], ids[2], ids[0], ids[0]],
            "item": ["c", "a", "b", "b", "a"],
            "shop": ["v", "w", "x", "y", "z"],
        }
    ).with_columns(time=pl.from_epoch(pl.Series([50, 1, 90, 2, 3]), "s").cast(pl.Datetime("us")))
    return encode(sort_events(frame), Vocabulary.from_items(pl.Series(["a", "b", "c"])))[0]


@pytest.mark.parametrize("ids", [["anna", "bert", "carl"], [30, 20, 10], [7, -1, 5]])
def test_sessions_are_found_by_their_raw_ids(ids: list[object]) -> None:
    sessions = sessions_of(ids)
    assert sessions.ids.to_list() == ids
    assert [sessions.find(one) for one in ids] == [0, 1, 2]
    assert [sessions.find(str(one)) for one in ids] == [0, 1, 2]
    found = sessions.events_of(ids[0])
    assert found.to_dict(as_series=False) == {
        "item": ["a", "b", "a"],
        "time": [datetime(1970, 1, 1, 0, 0, second) for second in (1, 2, 3)],
        "shop": ["w", "y", "z"],
    }


def test_an_id_that_is_not_there_is_refused() -> None:
    sessions = sessions_of([30, 20, 10])
    for stranger in (7, "anna", ""):
        with pytest.raises(
            ParameterError, match=f"raw_id: must be the id of one of these 3 sessions, got {stranger!r}"
        ):
            sessions.find(stranger)
    with pytest.raises(ParameterError, match="have no raw ids to look up"):
        replace(sessions, keys=None).find(30)
    assert replace(sessions, keys=None).ids is None


def test_ids_go_with_their_sessions() -> None:
    sessions = sessions_of(["anna", "bert", "carl"])
    assert sessions.select(np.array([2, 0])).ids.to_list() == ["carl", "anna"]
    assert sessions.select(np.array([2, 0])).find("anna") == 1
    backwards = sessions.reverse()
    assert backwards.events_of("anna")["time"].to_list() == sessions.events_of("anna")["time"].to_list()[::-1]


def test_a_split_that_numbers_each_part_from_1_keeps_the_ids_of_training() -> None:
    log = pl.DataFrame(
        {
            "session": [1, 1, 2, 2, 1, 1],
            "item": ["a", "b", "b", "a", "b", "a"],
            "part": ["train"] * 4 + ["test"] * 2,
        }
    )
    train = segue.prepare(segue.read(log), split={"valid_share": 0.0}).train
    assert (train.ids.dtype, train.ids.to_list()) == (pl.Int64, [1, 2])


def test_counts_of_sessions_and_items() -> None:
    sessions = sessions_of([30, 20, 10])
    matrix = sessions.to_csr()
    assert matrix.toarray().tolist() == [[2, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert [sessions.vocabulary.ids[column] for column in matrix[0].indices.tolist()] == ["a", "b"]
    assert sessions.items.tolist() == [1, 2, 1, 3, 2]
    assert sessions.offsets.tolist() == [0, 3, 4, 5]
