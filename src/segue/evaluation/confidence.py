"""Confidence intervals of metrics: a bootstrap that resamples whole sessions."""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float64, Int, Int64

from segue.rng import generator

RESAMPLES = 1000
"""Bootstrap samples per interval."""

LEVEL = 0.95
"""Nominal coverage of an interval."""

_BLOCK = 1 << 16
"""Groups drawn at once: a call for each of many small resamples would take longer than its draws."""


def bootstrap_means(
    values: Float64[np.ndarray, "C M"],
    groups: Int[np.ndarray, "C"],
    *,
    weights: Float64[np.ndarray, "C"] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Float64[np.ndarray, "S M"]:
    """Return bootstrap means of the cases under resampling of groups.

    The cases of one session depend on each other, so sessions are resampled with replacement, each with all its cases,
    and the mean is the ratio of two sums: of the values and of the cases. All M columns use the same resamples.

    Args:
        values: M values of each of C cases.
        groups: the session (or user) of each case, any integers.
        weights: weight of each case; None for equal weights.
        seed: random seed.
        resamples: S.
    """
    weights = np.ones(len(values)) if weights is None else weights
    _, members = np.unique(groups, return_inverse=True)
    size = int(members.max()) + 1
    columns = [np.bincount(members, weights=weights * column, minlength=size) for column in values.T]
    sums = np.column_stack([*columns, np.bincount(members, weights=weights, minlength=size)])
    drawn = np.stack([times @ sums for times in _draws(size, seed, resamples)])
    means: Float64[np.ndarray, "S M"] = drawn[:, :-1] / drawn[:, -1:]
    return means


def _draws(size: int, seed: int, resamples: int) -> Iterator[Int64[np.ndarray, "g"]]:
    """Resample groups with replacement, and yield the count of each group."""
    rng = generator(seed, "bootstrap")
    rows = max(1, _BLOCK // size)
    for done in range(0, resamples, rows):
        for drawn in rng.integers(0, size, (min(rows, resamples - done), size)):
            yield np.bincount(drawn, minlength=size)


def intervals(
    values: Float64[np.ndarray, "C M"],
    groups: Int[np.ndarray, "C"],
    *,
    weights: Float64[np.ndarray, "C"] | None = None,
    seed: int = 0,
) -> Float64[np.ndarray, "M 2"]:
    """Return the percentile interval of the mean of each column (Efron 1979).

    Args:
        values: M values of each of C cases.
        groups: the session (or user) of each case, at least two different ones.
        weights: weight of each case; None for equal weights.
        seed: equal seeds give equal intervals.
    """
    return _percentiles(bootstrap_means(values, groups, weights=weights, seed=seed))


def interval_of(
    statistic: Callable[[Int64[np.ndarray, "C"]], float], groups: Int[np.ndarray, "C"], *, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of a statistic that is not a mean over the cases.

    Args:
        statistic: computes it from how often each case counts; may be NaN.
        groups: the session (or user) of each case.
        seed: equal seeds give equal intervals.
    """
    _, members = np.unique(groups, return_inverse=True)
    drawn = [statistic(times[members]) for times in _draws(int(members.max()) + 1, seed, RESAMPLES)]
    ((low, high),) = _percentiles(np.array(drawn)[:, None])
    return float(low), float(high)


def _percentiles(drawn: Float64[np.ndarray, "S M"]) -> Float64[np.ndarray, "M 2"]:
    tail = (1 - LEVEL) / 2
    bounds: Float64[np.ndarray, "2 M"] = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    return bounds.T
