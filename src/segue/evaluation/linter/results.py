"""Checks of the metrics of a model, compared with its validation metrics and with other models."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from segue.evaluation.linter.checks import Check, Finding, Issue, evenly_spaced, run_checks
from segue.evaluation.linter.entries import LeaderboardEntry, ResultRow, is_clearly_worse, lower_end, upper_end
from segue.evaluation.linter.training import overfitting, training_failed
from segue.evaluation.measure import evaluate, measure
from segue.evaluation.result import Evaluation
from segue.evaluation.scorer import Scorer
from segue.metrics import SELECTION_METRICS, MetricName, is_better, order_key
from segue.protocols.dataset import Dataset

MAX_VALIDATION_CASES = 5_000
"""Validation cases that are measured: enough to compare them with the test."""

MAX_RATIO = 1.25
"""Tolerated ratio of a validation value to the test value, beyond that of the baselines."""

EQUAL, LOWER = 0.98, 0.9
"""Share of another model's value at or above which a value counts as equal to it, and below which as lower."""


@dataclass(frozen=True)
class ScorerRow:
    """The metrics of a scorer that was not part of a run."""

    label: str
    metrics: Mapping[str, float]
    confidence: Mapping[str, tuple[float, float]]
    validation: Mapping[str, float] = field(default_factory=dict)
    validation_confidence: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    baseline: bool = False


def row_of(scorer: Scorer, data: Dataset, seed: int) -> ScorerRow:
    """Measure a scorer on test and validation; ``seed`` is that of the confidence intervals."""
    test, valid = evaluate(scorer, data, seed=seed), evaluate_validation(scorer, data, seed=seed)
    return ScorerRow(
        label=str(getattr(scorer, "name", type(scorer).__name__)),
        metrics=test.metrics,
        confidence=test.confidence,
        validation={} if valid is None else valid.metrics,
        validation_confidence={} if valid is None else valid.confidence,
        diagnostics=getattr(scorer, "diagnostics", {}),
    )


def evaluate_validation(scorer: Scorer, data: Dataset, *, seed: int = 0) -> Evaluation | None:
    """Measure the headline metrics of the protocol on at most ``MAX_VALIDATION_CASES`` cases, evenly spaced.

    Returns None without a validation part, or if all its labels are equal. ``seed`` is that of the intervals.
    """
    ranking, cases = data.protocol.ranking, data.valid
    if cases is None:
        return None
    cases = cases[evenly_spaced(len(cases), MAX_VALIDATION_CASES)]
    if cases.labels is not None and len(np.unique(cases.labels)) < 2:
        return None
    return measure(scorer, cases, ranking.model_copy(update={"metrics": ranking.headline}), seed=seed)


def loses_to_baseline(entry: LeaderboardEntry) -> Issue | None:
    """Find headline metrics that are worse than the best baseline's; only a note where intervals overlap."""
    row, baselines = entry.row, entry.baselines
    if row.baseline or not baselines:
        return None
    best = {name: min(baselines, key=lambda one: order_key(name, one.metrics[name])) for name in entry.headline}
    lost = [name for name, other in best.items() if is_better(name, other.metrics[name], row.metrics[name])]
    if not lost:
        return None
    comparisons = " and ".join(
        f"{name} {row.metrics[name]:.4f} is worse than the {best[name].metrics[name]:.4f} of the baseline "
        f"{best[name].label}"
        for name in lost
    )
    remedy = "tune it (segue tune), train it longer, or use the baseline"
    if any(is_clearly_worse(row, best[name], name) for name in lost):
        return Issue(f"{comparisons}: {remedy}")
    return Issue(f"{comparisons}, and the intervals overlap: {remedy}", "note")


def validation_above_test(entry: LeaderboardEntry) -> Issue | None:
    """Find metrics that are much better on validation than on the test, beyond the ratio of the baselines."""
    row = entry.row
    for name, value in row.validation.items():
        if row.baseline or MetricName.parse(name).name not in (*SELECTION_METRICS, "auc"):
            continue  # Metrics of lists depend on the number of cases.
        tested, usual = row.metrics[name], _usual_ratio(entry.baselines, name)
        low, _ = row.validation_confidence.get(name, (value, value))
        if low > upper_end(row, name) and value > MAX_RATIO * max(usual, 1.0) * tested:
            times = f"{value / tested:.2f} times the {tested:.4f}" if tested else "above the 0"
            baselines = f" (the baselines': {usual:.2f} times)" if entry.baselines else ""
            return Issue(
                f"{name} {value:.4f} on validation is {times} on the test{baselines}: the model overfits the "
                "validation part; hold out more for it, and check that training holds nothing of it"
            )
    return None


def order_in_list(entry: LeaderboardEntry) -> Issue | None:
    """Find lists that contain the targets in a bad order; baselines are skipped."""
    row = entry.row
    if row.baseline:
        return None
    for k in _cutoffs(row, "recall", "mrr"):
        by_chance = lower_end(row, f"recall@{k}") * sum(1 / place for place in range(1, k + 1)) / k
        if row.metrics[f"recall@{k}"] > 0 and upper_end(row, f"mrr@{k}") < by_chance:
            return Issue(
                f"mrr@{k} {row.metrics[f'mrr@{k}']:.4f} is below the {by_chance:.4f} of the same lists in random order "
                f"(recall@{k} {row.metrics[f'recall@{k}']:.4f}): the lists are in a bad order; check the sign "
                "of the scores, and what sorts them; where the session's own items come first and nobody returns to "
                "them, set protocol.cases.exclude_seen"
            )
    names = ("recall", "ndcg", "map")
    found = [(better, k) for k in _cutoffs(row, *names) if (better := _better_order(entry, k))]
    if not found:
        return None
    other, k = found[-1]
    pairs = (f"{name}@{k} {row.metrics[f'{name}@{k}']:.4f} and {other.metrics[f'{name}@{k}']:.4f}" for name in names)
    return Issue(
        f"finds as many targets as {other.label} and ranks them lower ({', '.join(pairs)}): rerank its lists with "
        f"{other.label} (two-stage), blend both, or train with a ranking loss; clipped or rounded scores do this, too",
        "note",
    )


def precision_without_recall(entry: LeaderboardEntry) -> Issue | None:
    """Find the lowest recall of all models at a good precision: the two count different relevant items."""
    row, others = entry.row, entry.others
    if len(others) < 2:
        return None
    for k in _cutoffs(row, "precision", "recall"):
        precision, recall = f"precision@{k}", f"recall@{k}"
        lowest = upper_end(row, recall) < min(lower_end(one, recall) for one in others)
        middle = median(one.metrics[precision] for one in entry.rows)
        if lowest and row.metrics[precision] >= middle:
            return Issue(
                f"{recall} {row.metrics[recall]:.4f} is the lowest of {len(entry.rows)} models while {precision} "
                f"{row.metrics[precision]:.4f} is not below their median {middle:.4f}: the relevant items are wrong; "
                "check the targets of the cases for items that nobody was shown, and for duplicates"
            )
    return None


TRAINING_CHECKS: tuple[Check[LeaderboardEntry], ...] = (Check("training-failed", "warning", training_failed),)
"""Those that do not depend on the test."""

RESULT_CHECKS: tuple[Check[LeaderboardEntry], ...] = (
    Check("loses-to-baseline", "warning", loses_to_baseline),
    Check("validation-above-test", "warning", validation_above_test),
    Check("order-in-list", "warning", order_in_list),
    Check("precision-without-recall", "warning", precision_without_recall),
    *TRAINING_CHECKS,
    Check("overfitting", "warning", overfitting),
)
"""Checks of the metrics of one model among others."""


def lint_results(rows: Sequence[ResultRow], headline: Sequence[str], *, enough_sessions: bool = True) -> list[Finding]:
    """Check the metrics of models that were tested on the same cases.

    Args:
        rows: the models.
        headline: the metrics that compare them.
        enough_sessions: False for test parts of few sessions (``few-test-sessions``), which say nothing about a model.
    """
    checks = RESULT_CHECKS if enough_sessions else TRAINING_CHECKS
    entries = (LeaderboardEntry(row, rows, headline) for row in rows)
    return [finding for entry in entries for finding in run_checks(checks, entry.row.label, entry)]


def _usual_ratio(baselines: Sequence[ResultRow], metric: str) -> float:
    """Return the median ratio of the validation value of a baseline to its test value."""
    ratios = [
        one.validation[metric] / one.metrics[metric]
        for one in baselines
        if metric in one.validation and one.metrics[metric] > 0
    ]
    return median(ratios) if ratios else 1.0


def _better_order(entry: LeaderboardEntry, k: int) -> ResultRow | None:
    """Return the model with the best NDCG among those that find no more targets and rank them clearly higher."""
    row = entry.row
    found = [f"{name}@{k}" for name in ("recall", "hit") if f"{name}@{k}" in row.metrics]
    ranked = (f"ndcg@{k}", f"map@{k}")
    better = [
        one
        for one in entry.rows
        if all(row.metrics[name] >= EQUAL * one.metrics[name] for name in found)
        and all(row.metrics[name] < LOWER * one.metrics[name] for name in ranked)
        and upper_end(row, ranked[0]) < lower_end(one, ranked[0])
    ]
    return max(better, key=lambda one: one.metrics[ranked[0]], default=None)


def _cutoffs(row: ResultRow, *names: str) -> Iterator[int]:
    """Yield the cut-offs at which a row has all of some metrics."""
    for text in row.metrics:
        name, _, k = text.partition("@")
        if name == names[0] and k and all(f"{other}@{k}" in row.metrics for other in names):
            yield int(k)
