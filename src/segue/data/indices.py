"""Validates item indices and counts that a caller passes, before they are cast to narrower types."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from segue.errors import ParameterError

_LARGEST = int(np.iinfo(np.int32).max)
"""The largest item index; indices are stored as int32."""


def item_indices(given: Any, name: str, dimensions: int, limits: tuple[int, int]) -> Int64[np.ndarray, "..."]:
    """Convert an array or nested sequences of integers; text, decimals and booleans are refused.

    Args:
        given: the argument; an empty one may have any numeric type.
        name: name of the argument, for messages.
        dimensions: required number of dimensions.
        limits: the lowest and the highest item index.

    Raises:
        ParameterError: it has another type or number of dimensions, or an index is out of range.
    """
    return _within(_integers(given, name, dimensions), name, limits).astype(np.int64, copy=False)


def index_lists(
    given: Any, name: str, limits: tuple[int, int] = (1, _LARGEST)
) -> tuple[Int32[np.ndarray, "n"], Int64[np.ndarray, "B"], Int64[np.ndarray, "B"]]:
    """Convert lists of item indices, one per session.

    Args:
        given: a sequence of arrays or sequences of integers, or an array with one row per session.
        name: name of the argument, for messages.
        limits: the lowest and the highest item index.

    Returns:
        The concatenated indices, and the start and end of each list.

    Raises:
        ParameterError: it is not a sequence of such lists, or an index is out of range.
    """
    is_array = isinstance(given, np.ndarray)
    if (is_array and not given.ndim) or not (is_array or _is_sequence(given)):
        raise ParameterError(f"{name}: must be a list of lists of item indices, one per session, got {given!r}")
    lists = [_within(_integers(one, name, 1, row), name, limits) for row, one in enumerate(given)]
    lengths = np.array([len(one) for one in lists], dtype=np.int64)
    ends = np.cumsum(lengths)
    joined = [one.astype(np.int32, copy=False) for one in lists]
    return np.concatenate([np.zeros(0, dtype=np.int32), *joined]), ends - lengths, ends


def whole_number(given: Any, name: str, rule: str, lowest: int, highest: int | None = None) -> int:
    """Validate an integer argument.

    Args:
        given: the argument.
        name: name of the argument, for messages.
        rule: the rule on its range, for messages: ``"must be at least 1"``.
        lowest: smallest valid value.
        highest: largest valid value; None for no limit.

    Raises:
        ParameterError: it is not an integer, or out of range.
    """
    if isinstance(given, bool) or not isinstance(given, int | np.integer):
        raise ParameterError(f"{name}: must be an integer, got {given!r}")
    if given < lowest or (highest is not None and given > highest):
        raise ParameterError(f"{name}: {rule}, got {given}")
    return int(given)


def as_array(given: Any, name: str) -> np.ndarray:
    """Convert an array or nested sequences to an array.

    Raises:
        ParameterError: numpy cannot convert it, for example because its rows differ in length.
    """
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(f"{name}: must be an array or a list of item indices, got {given!r}") from error


def _integers(given: Any, name: str, dimensions: int, row: int | None = None) -> np.ndarray:
    array = as_array(given, name)
    if array.ndim == dimensions:
        if array.dtype.kind in "iu" and (array is given or not _has_boolean(given)):
            return array
        if not array.size and array.dtype.kind == "f":  # numpy converts an empty list to floats.
            return array.astype(np.int64)
    shape = "a list" if dimensions == 1 else f"an array of {dimensions} dimensions"
    where = "" if row is None else f" in row {row}"
    raise ParameterError(f"{name}: must contain item indices, {shape} of integers, got {given!r}{where}")


def _within(array: np.ndarray, name: str, limits: tuple[int, int]) -> np.ndarray:
    if array.size and not limits[0] <= int(array.min()) <= int(array.max()) <= limits[1]:
        raise ParameterError(
            f"{name}: must be item indices from {limits[0]} to {limits[1]}, got {array.min()} to {array.max()}; "
            "model.vocabulary.index(...) finds the index of an id"
        )
    return array


def _has_boolean(given: Any) -> bool:
    """Whether nested sequences hold a boolean, which numpy casts to 0 or 1 among integers."""
    if isinstance(given, np.ndarray):
        return bool(given.dtype == np.bool_)
    if _is_sequence(given):
        return any(_has_boolean(one) for one in given)
    return isinstance(given, bool | np.bool_)


def _is_sequence(given: Any) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str | bytes)
