"""The result of an evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from segue.evaluation.confidence import interval_of, intervals
from segue.metrics.values import WeightedStatistic

_MANY_TIES = 0.01
"""Share of tied targets above which a reader should know what ties decide."""


_SHOWN = 5e-5
"""Range of a metric that four decimals do not show."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Metrics of a scorer on C cases.

    Attributes:
        metrics: value of each metric over all cases.
        values: the same per case; a metric that is not a mean over cases (coverage) has none.
        ranks: ranks of the T targets, ascending within each case; infinity for a target that is not a candidate.
        groups: the session (or user) of each case.
        seed: seed of the bootstrap.
        weights: how much each case counts in a metric that is a weighted mean (gauc, user_auc).
        statistics: metrics of all cases together that are no mean (auc, rmse), from how often each case counts.
        roc: false and true positive rates, from (0, 0) to (1, 1), where an AUC was asked for.
        sampled: whether targets were ranked among sampled items instead of the full catalogue.
        tied: share of the targets that have the score of another candidate.
        tie_bounds: for each metric of ranks its value if every tie were lost, and if every tie were won.
        hash: hash of the protocol and the data, where the cases came from a prepared data set.
    """

    metrics: dict[str, float]
    values: dict[str, Float64[np.ndarray, "C"]]
    ranks: Float64[np.ndarray, "T"]
    groups: Int64[np.ndarray, "C"]
    seed: int
    weights: dict[str, Float64[np.ndarray, "C"]] = field(default_factory=dict)
    statistics: dict[str, WeightedStatistic] = field(default_factory=dict)
    roc: list[tuple[float, float]] = field(default_factory=list)
    sampled: bool = False
    tied: float = 0.0
    tie_bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    hash: str | None = None

    def __repr__(self) -> str:
        metrics = {name: round(value, 4) for name, value in self.metrics.items()}
        return f"Evaluation(cases={len(self.groups)}, metrics={metrics})"

    def tie_note(self, metrics: Sequence[str]) -> str:
        """Say how much the order of equal scores decides, where more than 1% of the targets are tied; else ``""``.

        Args:
            metrics: names of metrics; those that are not of ranks are skipped.
        """
        bounds = [(name, *self.tie_bounds[name]) for name in metrics if name in self.tie_bounds]
        ranges = [f"{name} {worst:.4f} to {best:.4f}" for name, worst, best in bounds if best - worst >= _SHOWN]
        if self.tied <= _MANY_TIES or not ranges:
            return ""
        return (
            f"{self.tied:.1%} of the targets share their score with another item: {', '.join(ranges)}, from every tie "
            "lost to every tie won"
        )

    @cached_property
    def confidence(self) -> dict[str, tuple[float, float]]:
        """95% bootstrap interval of each metric that the cases decide; empty for cases of one session only."""
        if (self.groups == self.groups[0]).all():
            return {}
        found: dict[str, tuple[float, float]] = {}
        plain = {name: column for name, column in self.values.items() if name not in self.weights}
        if plain:
            bounds = intervals(np.column_stack(list(plain.values())), self.groups, seed=self.seed)
            found |= {name: (float(low), float(high)) for name, (low, high) in zip(plain, bounds, strict=True)}
        for name, weights in self.weights.items():
            counted = weights > 0
            if len(np.unique(self.groups[counted])) > 1:
                ((low, high),) = intervals(
                    self.values[name][counted, None], self.groups[counted], weights=weights[counted], seed=self.seed
                )
                found[name] = (float(low), float(high))
        for name, statistic in self.statistics.items():
            found[name] = interval_of(statistic, self.groups, seed=self.seed)
        return {name: found[name] for name in self.metrics if name in found}
