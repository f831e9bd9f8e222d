"""Checks of the figures of one model, beside those of the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from statistics import median
from typing import Protocol, runtime_checkable

from segue.evaluation.linter.finding import Check, Finding, Found, run_all
from segue.metrics import CHOOSING_METRICS, MetricName, is_better, lower_is_better, order_key

ABOVE = 1.25
"""How many times the test value a validation value may be, beyond what the baselines' are."""

EQUAL, LOWER = 0.98, 0.9
"""Share of another model's value from which on a value counts as equal to it, and below which as lower."""

LEAST_AUC = 0.8
"""train_auc below which a factorisation has not learnt."""


@runtime_checkable
class Row(Protocol):
    """The figures of a model, as a row of a leaderboard has them."""

    @property
    def label(self) -> str:
        """Name of the model."""

    @property
    def baseline(self) -> bool:
        """Whether the others are measured against it."""

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
        """What the training tells of itself, such as ``train_auc``."""


@dataclass(frozen=True)
class Standing:
    """A model among others.

    Attributes:
        row: the model.
        rows: all models that were tested on the same cases, this one among them.
        headline: the metrics by which they are compared.
    """

    row: Row
    rows: Sequence[Row]
    headline: Sequence[str]

    @property
    def baselines(self) -> list[Row]:
        """The baselines among the other models."""
        return [row for row in self.rows if row.baseline and row.label != self.row.label]


def loses_to_baseline(standing: Standing) -> Found | None:
    """Find headline metrics that are worse than the best baseline's; no more than a note where intervals overlap."""
    row = standing.row
    if row.baseline or not standing.baselines:
        return None
    best = {
        name: min(standing.baselines, key=lambda one: order_key(name, one.metrics[name])) for name in standing.headline
    }
    lost = [name for name, other in best.items() if is_better(name, other.metrics[name], row.metrics[name])]
    if not lost:
        return None
    figures = " and ".join(
        f"{name} {row.metrics[name]:.4f} is worse than the {best[name].metrics[name]:.4f} of the baseline "
        f"{best[name].label}"
        for name in lost
    )
    sure = any(_clearly_worse(row, best[name], name) for name in lost)
    return Found(
        f"{figures}{'' if sure else ', and the intervals overlap'}: tune it (segue tune), train it longer, or take the "
        "baseline",
        None if sure else "note",
    )


def validation_above_test(standing: Standing) -> Found | None:
    """Find figures that are much better on validation than on the test, beyond what the baselines' are."""
    row = standing.row
    if row.baseline:
        return None
    for name, value in row.validation.items():
        if not _is_quality(name):
            continue
        tested, usual = row.metrics[name], _usual_ratio(standing.baselines, name)
        low, _ = row.validation_confidence.get(name, (value, value))
        if low > _high(row, name) and value > ABOVE * max(usual, 1.0) * tested:
            times = f"{value / tested:.2f} times the {tested:.4f}" if tested else "above the 0"
            beside = f" (the baselines': {usual:.2f} times)" if standing.baselines else ""
            return Found(
                f"{name} {value:.4f} on validation is {times} on the test{beside}: the model fits the validation part; "
                "hold out more for it, and check that training holds nothing of it"
            )
    return None


def order_in_list(standing: Standing) -> Found | None:
    """Find lists that hold the targets and have them in a bad order; what a baseline's order is worth is known."""
    row = standing.row
    if row.baseline:
        return None
    for k in _cutoffs(row, "recall", "mrr"):
        by_chance = _low(row, f"recall@{k}") * sum(1 / place for place in range(1, k + 1)) / k
        if row.metrics[f"recall@{k}"] > 0 and _high(row, f"mrr@{k}") < by_chance:
            return Found(
                f"mrr@{k} {row.metrics[f'mrr@{k}']:.4f} is below the {by_chance:.4f} that a random order of the same "
                f"lists would have (recall@{k} {row.metrics[f'recall@{k}']:.4f}): the order inside the lists is wrong; "
                "check the sign of the scores, and what sorts them; where the session's own items stand first and "
                "nobody returns to them, set protocol.cases.exclude_seen"
            )
    found = [(better, k) for k in _cutoffs(row, "recall", "ndcg", "map") if (better := _better_order(standing, k))]
    if not found:
        return None
    other, k = found[-1]
    pairs = (f"{name}@{k} {row.metrics[f'{name}@{k}']:.4f} and {other.metrics[f'{name}@{k}']:.4f}" for name in _LISTED)
    return Found(
        f"finds as many targets as {other.label} and ranks them lower ({', '.join(pairs)}): the order inside the lists "
        "is wrong; take a loss that ranks, rank the lists anew (two-stage), or check whether scores are cut or rounded"
    )


_LISTED = ("recall", "ndcg", "map")


def precision_without_recall(standing: Standing) -> Found | None:
    """Find the lowest recall of all models beside a good precision: the two count other relevant items."""
    row = standing.row
    others = [one for one in standing.rows if one.label != row.label]
    if len(others) < 2:
        return None
    for k in _cutoffs(row, "precision", "recall"):
        precision, recall = f"precision@{k}", f"recall@{k}"
        lowest = _high(row, recall) < min(_low(one, recall) for one in others)
        middle = median(one.metrics[precision] for one in standing.rows)
        if lowest and row.metrics[precision] >= middle:
            return Found(
                f"{recall} {row.metrics[recall]:.4f} is the lowest of {len(standing.rows)} models while {precision} "
                f"{row.metrics[precision]:.4f} is not below their median {middle:.4f}: the relevant items are wrong; "
                "check the targets of the cases for items that nobody was shown, and for copies"
            )
    return None


def training_failed(standing: Standing) -> Found | None:
    """Find a factorisation that ranks the items of its own training sessions badly."""
    auc = standing.row.diagnostics.get("train_auc", 1.0)
    if auc >= LEAST_AUC:
        return None
    return Found(
        f"train_auc {auc:.3f} is below {LEAST_AUC}: the training failed; try another training.learning_rate, more "
        "training.epochs and less regularization"
    )


RESULT_CHECKS: tuple[Check[Standing], ...] = (
    Check("loses-to-baseline", "warning", loses_to_baseline),
    Check("validation-above-test", "warning", validation_above_test),
    Check("order-in-list", "warning", order_in_list),
    Check("precision-without-recall", "warning", precision_without_recall),
    Check("training-failed", "warning", training_failed),
)
"""Each looks at the figures of one model among others."""


def lint_results(rows: Sequence[Row], headline: Sequence[str]) -> list[Finding]:
    """Look at the figures of models that were tested on the same cases.

    Args:
        rows: the models.
        headline: the metrics by which they are compared; each row has them.
    """
    return [found for row in rows for found in run_all(RESULT_CHECKS, row.label, Standing(row, rows, headline))]


def _usual_ratio(baselines: Sequence[Row], metric: str) -> float:
    """Return how many times the test value the validation value of a baseline is, in the median."""
    ratios = [
        one.validation[metric] / one.metrics[metric]
        for one in baselines
        if metric in one.validation and one.metrics[metric] > 0
    ]
    return median(ratios) if ratios else 1.0


def _better_order(standing: Standing, k: int) -> Row | None:
    """Return the model with the best NDCG among those that find no more targets and still rank them clearly higher."""
    row = standing.row
    found = [f"{name}@{k}" for name in ("recall", "hit") if f"{name}@{k}" in row.metrics]
    ranked = (f"ndcg@{k}", f"map@{k}")
    better = [
        one
        for one in standing.rows
        if all(row.metrics[name] >= EQUAL * one.metrics[name] for name in found)
        and all(row.metrics[name] < LOWER * one.metrics[name] for name in ranked)
        and _high(row, ranked[0]) < _low(one, ranked[0])
    ]
    return max(better, key=lambda one: one.metrics[ranked[0]], default=None)


def _cutoffs(row: Row, *names: str) -> Iterator[int]:
    """Yield the cut-offs at which a row has all of some metrics."""
    for text in row.metrics:
        name, _, k = text.partition("@")
        if name == names[0] and k and all(f"{other}@{k}" in row.metrics for other in names):
            yield int(k)


def _is_quality(metric: str) -> bool:
    """Tell whether a metric says how well targets are ranked; those of lists depend on the number of cases."""
    return MetricName.parse(metric).name in (*CHOOSING_METRICS, "auc")


def _clearly_worse(row: Row, other: Row, metric: str) -> bool:
    """Tell whether the intervals of two models do not overlap; a value that is NaN is worse than any."""
    if isnan(row.metrics[metric]):
        return True
    if lower_is_better(metric):
        return _low(row, metric) > _high(other, metric)
    return _high(row, metric) < _low(other, metric)


def _low(row: Row, metric: str) -> float:
    value = row.metrics[metric]
    return row.confidence.get(metric, (value, value))[0]


def _high(row: Row, metric: str) -> float:
    value = row.metrics[metric]
    return row.confidence.get(metric, (value, value))[1]
