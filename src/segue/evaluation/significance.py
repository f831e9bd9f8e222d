"""Whether two models differ significantly: paired tests on the cases that both were measured on.

Models that are measured on the same sessions share what makes a session easy or hard, so their difference has a
narrower interval than either metric, and overlapping intervals prove nothing. The tests use the differences per case.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64

from segue.evaluation.confidence import intervals
from segue.rng import generator

RESAMPLES = 10_000
"""Random sign flips per p-value, which is at least 1 / (1 + RESAMPLES)."""

ALPHA = 0.05
"""Significance level: a difference is significant if its adjusted p-value is below it."""

_MAX_UNITS = 20_000
"""Most units that are resampled; more groups are merged at random, which keeps the test valid: a sum of independent
differences that are symmetric around 0 is also symmetric."""

_CHUNK_SIGNS = 4_000_000
"""Signs in memory at once."""

_ROUNDING = 1e-10
"""Rounding error, relative to the summed sizes of the differences, up to which two of their sums count as equal."""


@dataclass(frozen=True)
class PairedTest:
    """The difference of two models.

    Attributes:
        difference: mean of the first minus mean of the second.
        interval: its 95% bootstrap interval.
        p_value: two-sided.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float


def paired_tests(
    differences: Float64[np.ndarray, "C M"],
    groups: Int[np.ndarray, "C"],
    *,
    weights: Float64[np.ndarray, "C"] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[PairedTest]:
    """Test M comparisons at once.

    Args:
        differences: value of the first model minus value of the second, in each of C cases.
        groups: the session (or user) of each case, at least two different ones.
        weights: weight of each case in both means; None for equal weights.
        seed: equal seeds give equal results.
        resamples: random sign flips per p-value.
    """
    means = np.average(differences, axis=0, weights=weights)
    units = _units(groups, seed)
    bounds = intervals(differences, units, weights=weights, seed=seed)
    p_values = permutation_p_values(differences, units, weights=weights, seed=seed, resamples=resamples)
    return [
        PairedTest(float(mean), (float(low), float(high)), float(p_value))
        for mean, (low, high), p_value in zip(means, bounds, p_values, strict=True)
    ]


def permutation_p_values(
    differences: Float64[np.ndarray, "C M"],
    groups: Int[np.ndarray, "C"],
    *,
    weights: Float64[np.ndarray, "C"] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Float64[np.ndarray, "M"]:
    """Return the two-sided p-value of each comparison under random exchange of the two models.

    Under the null hypothesis the two models are exchangeable in each session. So the sum of the differences of a whole
    session, whose cases depend on each other, takes a random sign, and p is (1 + draws at least as extreme as the
    observed sum) / (1 + draws) (Fisher 1935; Phipson and Smyth 2010 for the two ones). The means share their
    denominator, the summed weights, which no sign changes. All M comparisons see the same signs.

    Args:
        differences: value of the first model minus value of the second, in each of C cases.
        groups: the session (or user) of each case.
        weights: weight of each case; None for equal weights.
        seed: equal seeds give equal signs.
        resamples: number of permutations.
    """
    sums = _group_sums(differences, groups, weights)
    total = sums.sum(axis=0)
    reached = np.abs(total) - _ROUNDING * np.abs(sums).sum(axis=0)
    hits = np.zeros(sums.shape[1], dtype=np.int64)
    for kept in _sign_draws(len(sums), seed, resamples):
        hits += (np.abs(2 * (kept @ sums) - total) >= reached).sum(axis=0)
    return (1 + hits) / (1 + resamples)


def holm(p_values: Float64[np.ndarray, "M"], *, among: int | None = None) -> Float64[np.ndarray, "M"]:
    """Adjust p-values for multiple comparisons: controls the family-wise error rate (Holm 1979).

    Comparisons that were selected by looking at the results, such as all with the best model, are corrected for the
    number of comparisons that could have been selected, as if the others had larger p-values.

    Args:
        p_values: of M comparisons.
        among: from how many comparisons they were selected, at least M; None if they were fixed in advance.
    """
    order = np.argsort(p_values, kind="stable")
    most = len(p_values) if among is None else among
    steps = p_values[order] * np.arange(most, most - len(p_values), -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _group_sums(
    differences: Float64[np.ndarray, "C M"],
    groups: Int[np.ndarray, "C"],
    weights: Float64[np.ndarray, "C"] | None,
) -> Float64[np.ndarray, "G M"]:
    weighed = differences if weights is None else differences * weights[:, None]
    names, members = np.unique(groups, return_inverse=True)
    return np.column_stack([np.bincount(members, weights=column, minlength=len(names)) for column in weighed.T])


def _sign_draws(size: int, seed: int, resamples: int) -> Iterator[Float64[np.ndarray, "R G"]]:
    """Draw the groups that keep their sign: 1, or 0 for a flipped sign."""
    rng = generator(seed, "permutation")
    width, rows = (size + 7) // 8, max(1, _CHUNK_SIGNS // size)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        bits = np.frombuffer(rng.bytes(count * width), dtype=np.uint8).reshape(count, width)
        yield np.unpackbits(bits, axis=1, count=size).astype(np.float64)


def _units(groups: Int[np.ndarray, "C"], seed: int) -> Int64[np.ndarray, "C"]:
    """Number the groups; more than the maximum are merged at random."""
    names, members = np.unique(groups, return_inverse=True)
    if len(names) <= _MAX_UNITS:
        return members.astype(np.int64)
    unit = generator(seed, "units").permutation(len(names)) % _MAX_UNITS
    return unit[members].astype(np.int64)
