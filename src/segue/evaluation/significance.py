"""Whether two models differ: paired tests on the cases that both were measured on.

Two models that are measured on the same sessions share what makes a session easy or hard, so their difference is known
better than either figure, and overlapping intervals prove nothing. What is tested is the difference in each case.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64

from segue.evaluation.confidence import intervals
from segue.rng import generator

RESAMPLES = 10_000
"""Random signs behind a p-value, which is at least 1 / (1 + RESAMPLES)."""

ALPHA = 0.05
"""A difference is called real where its adjusted p-value is below this."""

_UNITS = 20_000
"""Most units that are flipped or drawn; more groups than these are tied together at random, which costs no validity:
a sum of independent differences that are symmetric around 0 is symmetric, too."""

_CHUNK_SIGNS = 4_000_000
"""Signs held at once."""

_SLACK = 1e-10
"""Share of the summed sizes of the differences below which two sums of them are taken as equal."""


@dataclass(frozen=True)
class PairedTest:
    """How one model differs from another.

    Attributes:
        difference: mean of the first minus mean of the second.
        interval: its 95% bootstrap interval.
        p_value: two-sided, that so large a difference comes about by chance.
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
        weights: how much each case counts in both means; None for all alike.
        seed: equal seeds give equal results.
        resamples: random signs behind each p-value.
    """
    means = np.average(differences, axis=0, weights=weights)
    units = _units(groups, seed)
    bounds = intervals(differences, units, weights=weights, seed=seed)
    chances = permutation_p_values(differences, units, weights=weights, seed=seed, resamples=resamples)
    return [
        PairedTest(float(mean), (float(low), float(high)), float(chance))
        for mean, (low, high), chance in zip(means, bounds, chances, strict=True)
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

    If both were equally good, it would be by chance which of them was called the first in a session. So the sum of the
    differences of a whole session, whose cases depend on each other, takes a random sign, and p is
    (1 + draws that are at least as far from 0 as what was observed) / (1 + draws) (Fisher 1935; Phipson and Smyth 2010
    for the two ones). The means share their denominator, the summed weights, which no sign changes. All M comparisons
    see the same signs.

    Args:
        differences: value of the first model minus value of the second, in each of C cases.
        groups: the session (or user) of each case.
        weights: how much each case counts; None for all alike.
        seed: equal seeds give equal signs.
        resamples: number of draws.
    """
    sums = _group_sums(differences, groups, weights)
    total = sums.sum(axis=0)
    reached = np.abs(total) - _SLACK * np.abs(sums).sum(axis=0)
    hits = np.zeros(sums.shape[1], dtype=np.int64)
    for kept in _halves(len(sums), seed, resamples):
        hits += (np.abs(2 * (kept @ sums) - total) >= reached).sum(axis=0)
    return (1 + hits) / (1 + resamples)


def holm(p_values: Float64[np.ndarray, "M"], *, among: int | None = None) -> Float64[np.ndarray, "M"]:
    """Adjust p-values for being several: if below 0.05 is called real, 5% of the tables hold a false one (Holm 1979).

    Comparisons that were picked by the results, such as all with the best model, are the extreme ones of those that
    could have been picked, and are corrected for the number of the latter: as if the others had larger p-values.

    Args:
        p_values: of M comparisons.
        among: of how many they were picked, at least M; None for comparisons that were fixed before.
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


def _halves(size: int, seed: int, resamples: int) -> Iterator[Float64[np.ndarray, "R G"]]:
    """Draw which of the groups keep their sign: 1, or 0 for one that takes the other sign."""
    rng = generator(seed, "permutation")
    width, rows = (size + 7) // 8, max(1, _CHUNK_SIGNS // size)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        bits = np.frombuffer(rng.bytes(count * width), dtype=np.uint8).reshape(count, width)
        yield np.unpackbits(bits, axis=1, count=size).astype(np.float64)


def _units(groups: Int[np.ndarray, "C"], seed: int) -> Int64[np.ndarray, "C"]:
    """Number the groups; where they are very many, tie some together."""
    names, members = np.unique(groups, return_inverse=True)
    if len(names) <= _UNITS:
        return members.astype(np.int64)
    unit = generator(seed, "units").permutation(len(names)) % _UNITS
    return unit[members].astype(np.int64)
