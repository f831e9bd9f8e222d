"""Arrays that are false: of another shape or dtype, or with values that they may not have."""

from collections.abc import Iterator
from typing import Any

import numpy as np

BOUNDED = {"counts", "seasonal", "weights", "popularity", "departures", "tie_breaker", "session_weights", "idf"}
BOUNDED |= {"support", "pair_sums", "departure_sums"}
"""Arrays of numbers that have a largest value."""
TIMES = {"last_time", "recent_times", "session_ends"}
"""Arrays of integers that may be negative."""
COUNTS = {"item_events", "season_counts", "session_ranks", "n_sessions", *TIMES}
"""Arrays of integers that may be large; others are positions."""


def variants_of(name: str, array: np.ndarray) -> Iterator[tuple[str, np.ndarray, bool]]:
    """Yield changes of an array: what is changed, the array, and whether it is invalid."""

    def put(value: Any, place: int = -1) -> np.ndarray:
        changed = array.copy()
        changed.reshape(-1)[place] = value
        return changed

    other = {"f": np.float16, "i": np.int16, "u": np.int8}[array.dtype.kind]
    variants: dict[str, tuple[np.ndarray, bool]] = {
        "another dtype": (array.astype(other), True),
        "a wider dtype": (
            array.astype(np.complex64 if array.dtype == np.float64 else np.float64),
            array.dtype != np.float64,
        ),
        "a dimension more": (array[None], True),
        "flat" if array.ndim > 1 else "as a column": (array.reshape(-1) if array.ndim > 1 else array[:, None], True),
        "a row less": (array[:-1], len(array) > 0),
        "a row more": (
            np.concatenate([array, array[-1:] if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)]),
            True,
        ),
        "no rows": (array[:0], len(array) > 0),
    }
    variants.pop("a wider dtype") if array.dtype == np.float64 else None
    if array.size:
        if array.dtype.kind == "f":
            for value in (np.nan, np.inf, -np.inf):
                variants[f"{value} at the end"] = put(value), True
            variants["-1 at the start"] = put(-1, 0), False
            variants["the largest number"] = put(np.finfo(array.dtype).max), name in BOUNDED
        elif array.dtype.kind == "i":
            extreme = np.iinfo(array.dtype)
            valid = {-1: name in TIMES, 10**6: name in COUNTS}
            for value in (-1, extreme.min, extreme.max, 10**6):
                for place in (0, array.size // 2, -1):
                    variants[f"{value} at {place}"] = put(value, place), not valid.get(value, False)
            if name in TIMES:  # The last second of the year 9999, and the next one.
                variants["the last second"] = put(253_402_300_799), False
                variants["the second after it"] = put(253_402_300_800), True
            elif name in COUNTS:
                variants["the largest count"] = put(2**53), False
                variants["one more"] = put(2**53 + 1), True
            variants["backwards"] = array[::-1].copy(), False
            variants["one value only"] = np.full_like(array, array.reshape(-1)[0]), False
        else:
            variants["255 at the end"] = put(255), True
    if name == "last_time":  # A log without times has none.
        variants = {
            change: (changed, invalid and "row" not in change) for change, (changed, invalid) in variants.items()
        }
    yield from ((change, np.ascontiguousarray(changed), invalid) for change, (changed, invalid) in variants.items())
