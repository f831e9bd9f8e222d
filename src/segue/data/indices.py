"""Item indices and counts as a caller gives them: checked before they are narrowed, and never guessed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from segue.errors import ParameterError

_LARGEST = int(np.iinfo(np.int32).max)
"""The largest item index: indices are kept as int32."""


def item_indices(given: Any, place: str, dimensions: int, limits: tuple[int, int]) -> Int64[np.ndarray, "..."]:
    """Read an array, or nested sequences, of integers. Text, decimals and truth values are no item indices.

    Args:
        given: what the caller gave; what is empty may have any type of number.
        place: name of the argument, for the message.
        dimensions: how many dimensions it must have.
        limits: the lowest and the highest item index.

    Raises:
        ParameterError: it is none, it has another number of dimensions, or an index is outside of the limits.
    """
    return _within(_integers(given, place, dimensions), place, limits).astype(np.int64, copy=False)


def index_lists(
    given: Any, place: str, limits: tuple[int, int] = (1, _LARGEST)
) -> tuple[Int32[np.ndarray, "n"], Int64[np.ndarray, "B"], Int64[np.ndarray, "B"]]:
    """Read lists of item indices, one per session.

    Args:
        given: a sequence of arrays or sequences of integers, or an array with one row per session.
        place: name of the argument, for the message.
        limits: the lowest and the highest item index.

    Returns:
        The indices of all lists, one list after the other, where each list starts, and where it ends.

    Raises:
        ParameterError: it is no sequence of such lists, or an index is outside of the limits.
    """
    is_array = isinstance(given, np.ndarray)
    if (is_array and not given.ndim) or not (is_array or _is_sequence(given)):
        raise ParameterError(f"{place}: must be a list of lists of item indices, one per session, got {given!r}")
    lists = [_within(_integers(one, place, 1, row), place, limits) for row, one in enumerate(given)]
    lengths = np.array([len(one) for one in lists], dtype=np.int64)
    ends = np.cumsum(lengths)
    joined = [one.astype(np.int32, copy=False) for one in lists]
    return np.concatenate([np.zeros(0, dtype=np.int32), *joined]), ends - lengths, ends


def whole_number(given: Any, place: str, rule: str, lowest: int, highest: int | None = None) -> int:
    """Return a number of something as an integer.

    Args:
        given: what the caller gave.
        place: name of the argument, for the message.
        rule: what it must be, for the message: ``"must be at least 1"``.
        lowest: the smallest number that is taken.
        highest: the largest number that is taken; None for any.

    Raises:
        ParameterError: it is no integer, or outside of the limits.
    """
    if isinstance(given, bool) or not isinstance(given, int | np.integer):
        raise ParameterError(f"{place}: must be an integer, got {given!r}")
    if given < lowest or (highest is not None and given > highest):
        raise ParameterError(f"{place}: {rule}, got {given}")
    return int(given)


def as_array(given: Any, place: str) -> np.ndarray:
    """Return an array or nested sequences as an array.

    Raises:
        ParameterError: numpy cannot read it, for example because its rows have different lengths.
    """
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(f"{place}: must be an array or a list of item indices, got {given!r}") from error


def _integers(given: Any, place: str, dimensions: int, row: int | None = None) -> np.ndarray:
    array = as_array(given, place)
    if array.ndim == dimensions:
        if array.dtype.kind in "iu" and (array is given or not _has_truth_value(given)):
            return array
        if not array.size and array.dtype.kind == "f":  # What numpy makes of an empty list.
            return array.astype(np.int64)
    shape = "a list" if dimensions == 1 else f"an array of {dimensions} dimensions"
    where = "" if row is None else f" in row {row}"
    raise ParameterError(f"{place}: must hold item indices, {shape} of integers, got {given!r}{where}")


def _within(array: np.ndarray, place: str, limits: tuple[int, int]) -> np.ndarray:
    if array.size and not limits[0] <= int(array.min()) <= int(array.max()) <= limits[1]:
        raise ParameterError(
            f"{place}: must be item indices from {limits[0]} to {limits[1]}, got {array.min()} to {array.max()}; "
            "model.vocabulary.index(...) finds the index of an id"
        )
    return array


def _has_truth_value(given: Any) -> bool:
    """Tell if nested sequences hold a truth value, which numpy takes for 0 or 1 beside integers."""
    if isinstance(given, np.ndarray):
        return bool(given.dtype == np.bool_)
    if _is_sequence(given):
        return any(_has_truth_value(one) for one in given)
    return isinstance(given, bool | np.bool_)


def _is_sequence(given: Any) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str | bytes)
