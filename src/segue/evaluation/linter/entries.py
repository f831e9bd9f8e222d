"""One row of a leaderboard among others, as the checks of metrics see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Protocol, runtime_checkable

from segue.metrics import lower_is_better


@runtime_checkable
class ResultRow(Protocol):
    """The metrics of a model, as a row of a leaderboard has them."""

    @property
    def label(self) -> str:
        """Name of the model."""

    @property
    def baseline(self) -> bool:
        """Whether the others are compared with it."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Test metrics."""

    @property
    def confidence(self) -> Mapping[str, tuple[float, float]]:
        """Their 95% intervals."""

    @property
    def validation(self) -> Mapping[str, float]:
        """Validation metrics, if any."""

    @property
    def validation_confidence(self) -> Mapping[str, tuple[float, float]]:
        """Their 95% intervals."""

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """Diagnostics of its training, such as ``train_auc``."""


@dataclass(frozen=True)
class LeaderboardEntry:
    """A model among others.

    Attributes:
        row: the model.
        rows: all models that were tested on the same cases, this one among them.
        headline: the metrics by which they are compared.
    """

    row: ResultRow
    rows: Sequence[ResultRow]
    headline: Sequence[str]

    @property
    def others(self) -> list[ResultRow]:
        """The other models."""
        return [row for row in self.rows if row.label != self.row.label]

    @property
    def baselines(self) -> list[ResultRow]:
        """The baselines among them."""
        return [row for row in self.others if row.baseline]


def is_clearly_worse(row: ResultRow, other: ResultRow, metric: str) -> bool:
    """Return whether a value is worse and the intervals do not overlap; NaN is worse than any value."""
    if isnan(row.metrics[metric]):
        return True
    if lower_is_better(metric):
        return lower_end(row, metric) > upper_end(other, metric)
    return upper_end(row, metric) < lower_end(other, metric)


def lower_end(row: ResultRow, metric: str) -> float:
    """Return the lower end of the interval of a metric; where there is none, its value."""
    value = row.metrics[metric]
    return row.confidence.get(metric, (value, value))[0]


def upper_end(row: ResultRow, metric: str) -> float:
    """Return the upper end of the interval of a metric; where there is none, its value."""
    value = row.metrics[metric]
    return row.confidence.get(metric, (value, value))[1]
