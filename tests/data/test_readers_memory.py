"""Dictionaries of arrays and sparse matrices as logs."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

import segue
from segue.data.synthetic import shop
from segue.errors import LogError, ParameterError


def test_a_dict_of_arrays_is_read_like_a_frame() -> None:
    columns = {
        "SessionId": np.array([1, 1, 2]),
        "ItemId": ["a", "b", "a"],
        "Time": np.array(["2026-01-01T00:00", "2026-01-01T00:01", "2026-01-02"], dtype="datetime64[s]"),
        "price": np.array([1.5, np.nan, 2.0]),
        "kind": pl.Series(["x", None, "y"]),
        "shop": pd.Series(["v", "w", None]),
        "place": np.array(["p", None, "q"], dtype=object),
    }
    times = columns["Time"].astype("datetime64[us]")
    shops = ["v", "w", None]
    table = pl.DataFrame({**columns, "price": [1.5, None, 2.0], "Time": times, "shop": shops})
    read, frame = segue.read(columns), segue.read(table)
    assert segue.read(pd.DataFrame({**columns, "kind": ["x", None, "y"]})).frame.equals(frame.frame)
    assert read.frame.equals(frame.frame)
    assert read.frame["price"].to_list() == [1.5, None, 2.0]
    assert read.notes == frame.notes
    renamed = segue.read({"a": [1, 1], "b": [2, 3]}, columns={"session": "a", "item": "b"})
    assert renamed.frame.to_dict(as_series=False) == {"session": [1, 1], "item": [2, 3]}


def test_metadata_may_be_a_dict_too() -> None:
    log = segue.read({"user": [1, 1], "item": [2, 3]}, items={"item": [2, 3], "title": ["a", "b"]})
    assert log.items.to_dict(as_series=False) == {"item": [2, 3], "title": ["a", "b"]}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"session": [1, 2], "item": [1]}, "the dict: columns must have the same length, got 'session' 2, 'item' 1"),
        (
            {"session": np.eye(2), "item": [1, 2]},
            r"the dict, column 'session': must be a list or .* \(got 2 dimensions",
        ),
        ({"session": 3, "item": [1]}, r"the dict, column 'session': must be a list or .* \(got int\)"),
        ({"session": "abc", "item": [1]}, r"the dict, column 'session': must be a list or .* \(got str\)"),
        ({"session": [1, "a"], "item": [1, 2]}, r"the dict, column 'session': must be a list or "),
        ({1: [1], "item": [1]}, "the dict: column names must be text, got 1"),
        ({"item": [1]}, "the dict: has no column for the session or user; it has 'item'"),
        ({"session": [], "item": []}, "the dict: has no events"),
        ({}, "the dict: has no events"),
    ],
)
def test_a_dict_that_is_no_log_is_refused(columns: dict, message: str) -> None:
    with pytest.raises(LogError, match=message):
        segue.read(columns)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.coo_matrix, sparse.csc_array, sparse.lil_array])
def test_each_entry_of_a_matrix_is_an_event(kind: type) -> None:
    matrix = kind(np.array([[0, 2, 0, 1], [0, 0, 0, 0], [5, 0, 0, 3]]))
    log = segue.read(matrix)
    assert log.unit == "user"
    assert log.frame.to_dict(as_series=False) == {
        "session": [0, 0, 2, 2],
        "item": [1, 3, 0, 3],
        "rating": [2, 1, 5, 3],
    }
    assert not log.has_time
    assert any("the order of the events of a row is unknown" in note for note in log.notes)
    assert any("user = row, item = column (from 0) and rating = value" in note for note in log.notes)
    assert segue.read(matrix, unit="session").unit == "session"


def test_entries_that_are_zero_are_none_and_double_ones_are_summed() -> None:
    matrix = sparse.coo_matrix(([0.0, 1.5, 2.0, 4.0], ([0, 1, 1, 0], [0, 1, 1, 2])), shape=(2, 3))
    assert segue.read(matrix).frame.rows() == [(0, 2, 4.0), (1, 1, 3.5)]
    assert matrix.nnz == 4
    flags = sparse.csr_matrix(np.array([[True, False, True]]))
    assert segue.read(flags).frame["rating"].to_list() == [1, 1]


def test_sessions_survive_the_way_through_a_matrix() -> None:
    data = segue.prepare(segue.read(shop(400, 0).frame))
    matrix = data.train.to_csr()
    again = segue.read(matrix, unit="session").frame
    counts = sparse.csr_matrix((again["rating"], (again["session"], again["item"])), shape=matrix.shape)
    assert (counts != matrix).nnz == 0


def test_a_matrix_that_is_no_log_is_refused() -> None:
    with pytest.raises(LogError, match="the matrix: must contain finite numbers"):
        segue.read(sparse.csr_matrix([[1.0, np.nan]]))
    with pytest.raises(LogError, match="the matrix: must contain finite numbers, got complex128"):
        segue.read(sparse.csr_matrix([[1j]]))
    with pytest.raises(LogError, match="the matrix: has no events"):
        segue.read(sparse.csr_matrix((3, 3)))
    with pytest.raises(LogError, match=r"the matrix: must have two dimensions \(rows and items\), got 1"):
        segue.read(sparse.coo_array(np.array([1, 0, 2])))
    with pytest.raises(ParameterError, match="columns: a matrix has no named columns and no times"):
        segue.read(sparse.eye(3).tocsr(), columns={"item": "a"})
    with pytest.raises(ParameterError, match="format: applies to files only, got 'csv'"):
        segue.read(sparse.eye(3).tocsr(), format="csv")
    with pytest.raises(ParameterError, match=r"source: must be a path, .* or a scipy sparse matrix, got ndarray"):
        segue.read(np.eye(3))
