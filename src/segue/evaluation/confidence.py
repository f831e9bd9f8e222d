"""How sure a mean over test cases is: bootstrap intervals that resample whole sessions."""

import numpy as np
from jaxtyping import Float64, Int

from segue.rng import generator

RESAMPLES = 1000
"""Bootstrap samples behind an interval."""

LEVEL = 0.95
"""Probability that an interval aims to hold the true value with."""


def bootstrap_means(
    values: Float64[np.ndarray, "C M"], groups: Int[np.ndarray, "C"], *, seed: int = 0, resamples: int = RESAMPLES
) -> Float64[np.ndarray, "S M"]:
    """Draw means of the cases under resampling of groups.

    The cases of one session depend on each other, so sessions are drawn with replacement, each with all its cases,
    and the mean is the ratio of two sums: of the values and of the cases drawn. All M columns see the same draws.

    Args:
        values: M values of each of C cases.
        groups: the session (or user) of each case, any integers.
        seed: equal seeds give equal draws.
        resamples: S.
    """
    _, members = np.unique(groups, return_inverse=True)
    size = members.max() + 1
    columns = [np.bincount(members, weights=column, minlength=size) for column in values.T]
    sums = np.column_stack([*columns, np.bincount(members, minlength=size)])
    rng = generator(seed, "bootstrap")
    drawn = np.empty((resamples, sums.shape[1]))
    for sample in range(resamples):
        times = np.bincount(rng.integers(0, size, size), minlength=size)
        drawn[sample] = times @ sums
    return drawn[:, :-1] / drawn[:, -1:]


def intervals(
    values: Float64[np.ndarray, "C M"], groups: Int[np.ndarray, "C"], *, seed: int = 0
) -> Float64[np.ndarray, "M 2"]:
    """Return the percentile interval of the mean of each column (Efron 1979).

    Args:
        values: M values of each of C cases.
        groups: the session (or user) of each case; fewer than two tell nothing of their spread.
        seed: equal seeds give equal intervals.
    """
    tail = (1 - LEVEL) / 2
    bounds: Float64[np.ndarray, "2 M"] = np.quantile(
        bootstrap_means(values, groups, seed=seed), [tail, 1 - tail], axis=0
    )
    return bounds.T
