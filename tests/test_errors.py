"""Errors keep their message when another process raises them."""

import pickle

import pytest

from segue.errors import MissingExtraError, ParameterError, SegueError, UnknownNameError


@pytest.mark.parametrize(
    "error",
    [
        ParameterError("k: must be at least 1, got 0", "--out: is missing"),
        UnknownNameError("model", "gru", ["gru4rec"]),
        MissingExtraError("--engine ray", "cluster"),
    ],
)
def test_copies_of_errors(error: SegueError) -> None:
    error.add_note("recognised: csv")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.lines, copy.__notes__) == (str(error), error.lines, error.__notes__)
