"""What the outcomes of an experiment say: rates with intervals, sequential tests, and whether the split is right.

All rates are ratios of two sums over units: hits by lists, or units that converted by units. Units weigh the inverse of
the share that their arm had when they came (Horvitz and Thompson 1952), so that a share that changes does not mix the
arms with the days. Variances are those of the linearised ratio (delta method; Deng, Knoblich and Lu 2018), summed over
clusters: the lists of one session, and the sessions of one user, are not independent.
"""

from dataclasses import dataclass
from math import log, nan, sqrt

import numpy as np
from jaxtyping import Float64, Int64
from scipy.stats import chi2

LEVEL = 0.95
"""Coverage of all intervals."""

SPLIT_ALPHA = 0.001
"""A split is broken if its p-value is below this."""

FEWEST = 10
"""Clusters with a success that each of two arms must have before anything is said of their difference."""

_Z = 1.959963984540054
_PLANNED = 10_000
"""Clusters at which a confidence sequence is narrowest, relative to the interval of one look."""


@dataclass(frozen=True)
class Estimate:
    """A rate, or a difference of two.

    Attributes:
        value: the estimate; NaN without data.
        error: its standard error; NaN where there are too few clusters.
    """

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval, valid for one look at a time that was fixed in advance."""
        return self.value - _Z * self.error, self.value + _Z * self.error


@dataclass(frozen=True)
class Difference(Estimate):
    """The difference of an arm from the first one.

    Attributes:
        clusters: number of independent clusters in the two arms.
        comparisons: how many differences are tested together.
        enough: whether there is enough data to say anything.
    """

    clusters: int
    comparisons: int
    enough: bool

    @property
    def sequence(self) -> tuple[float, float]:
        """The interval that is valid at all times together: one may look, and stop, whenever one likes.

        It is the asymptotic confidence sequence of Waudby-Smith et al. (2021), which is the mixture sequential
        probability ratio test of Johari et al. (2017) with a normal mixture. All comparisons together are wrong with a
        probability of at most 5% (Bonferroni).
        """
        alpha = (1 - LEVEL) / self.comparisons
        mixture = _PLANNED / (-2 * log(alpha) + log(1 - 2 * log(alpha)))
        ratio = self.clusters / mixture
        half = self.error * sqrt((1 + 1 / ratio) * (log(1 + ratio) - 2 * log(alpha))) if ratio else nan
        return self.value - half, self.value + half

    @property
    def decided(self) -> bool:
        """Whether the arms differ, whenever one looks."""
        low, high = self.sequence
        return self.enough and (low > 0 or high < 0)


@dataclass(frozen=True)
class Rates:
    """The rates of all arms, and the differences of all but the first from the first."""

    arms: list[Estimate]
    differences: list[Difference]


def rates(
    arms: Int64[np.ndarray, "U"],
    numerators: Float64[np.ndarray, "U"],
    denominators: Float64[np.ndarray, "U"],
    *,
    count: int,
    clusters: Int64[np.ndarray, "U"] | None = None,
    weights: Float64[np.ndarray, "U"] | None = None,
    metrics: int = 1,
) -> Rates:
    """Return the rate of each arm, and its difference from the first arm.

    Args:
        arms: arm of each of U units, from 0 on.
        numerators: successes of each unit, such as lists with a click.
        denominators: what they are counted of, such as lists.
        count: number of arms.
        clusters: units with equal numbers are not independent; None if all are.
        weights: weight of each unit; None for equal weights.
        metrics: how many metrics are tested together.
    """
    weighed = np.ones(len(arms)) if weights is None else weights
    totals = np.bincount(arms, weighed * denominators, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.bincount(arms, weighed * numerators, count) / totals
        scores = weighed * (numerators - values[arms] * denominators) / totals[arms]
    if clusters is None:
        members, size = np.arange(len(arms)), len(arms)
    else:
        _, members = np.unique(clusters, return_inverse=True)
        size = int(members.max(initial=-1)) + 1
    sums = np.zeros((count, size))
    numbers, successes = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for arm in range(count):
        inside = arms == arm
        found = np.bincount(members[inside], scores[inside], size)
        numbers[arm] = np.count_nonzero(np.bincount(members[inside & (denominators > 0)], minlength=size))
        successes[arm] = np.count_nonzero(np.bincount(members[inside & (numerators > 0)], minlength=size))
        sums[arm] = found * (sqrt(numbers[arm] / (numbers[arm] - 1)) if numbers[arm] > 1 else nan)
    errors = np.sqrt((sums**2).sum(axis=1))
    each = [Estimate(float(value), float(error)) for value, error in zip(values, errors, strict=True)]
    differences = [
        Difference(
            float(values[arm] - values[0]),
            float(np.sqrt(((sums[arm] - sums[0]) ** 2).sum())),
            int(numbers[0] + numbers[arm]),
            max(1, count - 1) * metrics,
            bool(min(successes[0], successes[arm]) >= FEWEST),
        )
        for arm in range(1, count)
    ]
    return Rates(each, differences)


def split_p_value(observed: Int64[np.ndarray, "A"], planned: Float64[np.ndarray, "A"]) -> float:
    """Return the p-value of the sample-ratio check: Pearson's chi-square test of the numbers of units.

    Args:
        observed: units in each arm.
        planned: their expected numbers: the sum over all units of the share that the arm had when they came.
    """
    used = planned > 0
    if observed[~used].any():
        return 0.0
    if used.sum() < 2:
        return 1.0
    statistic = float(((observed[used] - planned[used]) ** 2 / planned[used]).sum())
    return float(chi2.sf(statistic, int(used.sum()) - 1))


def reverses(total: Estimate, parts: list[Estimate], sizes: list[int]) -> bool:
    """Return whether the mean difference within slices has the other sign than the difference in total (Simpson 1951).

    One of the two must be significant: signs of noise say nothing.

    Args:
        total: the difference over all units.
        parts: that within each slice.
        sizes: units in each slice.
    """
    shares = np.array(sizes) / max(1, sum(sizes))
    within = Estimate(
        float(sum(share * one.value for share, one in zip(shares, parts, strict=True))),
        sqrt(sum((share * one.error) ** 2 for share, one in zip(shares, parts, strict=True))),
    )
    opposite = total.value * within.value < 0
    return opposite and any(abs(one.value) > _Z * one.error for one in (total, within))
