"""Which differences between the models of a run are significant, which models lose to a baseline, and slices."""

from collections.abc import Iterable, Mapping, Sequence
from math import comb

import numpy as np

from segue.evaluation.confidence import intervals
from segue.evaluation.significance import ALPHA, RESAMPLES, PairedTest, holm, paired_tests
from segue.evaluation.slices import Partition
from segue.experiment.comparison.case_values import CaseValues
from segue.experiment.results import Difference, ModelResult, Slice
from segue.metrics import is_better

OVERLAP = " (the intervals overlap, which leaves it open)"
"""Note on overlapping intervals, which neither prove nor exclude a difference."""


Pair = tuple[str, str, str]
"""A metric, and the labels of two models compared by it, the better one first."""

_DRAWS_EACH = 100
"""Draws behind a test for each comparison that it is corrected for: the least adjusted p-value is about 0.01."""


def run_pairs(rows: Sequence[ModelResult], metrics: Iterable[str]) -> list[Pair]:
    """Return the pairs that a run tests: each requested model against the best model and the best baseline.

    ``segue compare`` tests further pairs.
    """
    requested = [row for row in rows if not row.baseline] or list(rows)
    pairs: list[Pair] = []
    for metric in metrics:
        ranked = sorted(rows, key=lambda row: row.order_key(metric))
        for rival in (ranked[0], *[row for row in ranked if row.baseline][:1]):
            for model in requested:
                if model is not rival:
                    one, other = (row.label for row in ranked if row in (rival, model))
                    pairs.append((metric, one, other))
    return list(dict.fromkeys(pairs))


def run_choices(rows: Sequence[ModelResult]) -> int:
    """Count the pairs of one metric that ``run_pairs`` picks from: those with a requested model."""
    baselines = sum(row.baseline for row in rows)
    return comb(len(rows), 2) - (comb(baselines, 2) if baselines < len(rows) else 0)


def differences_of(
    pairs: Sequence[Pair], cases: Mapping[str, CaseValues], *, seed: int, choices: int | None = None
) -> list[Difference]:
    """Test pairs of models on the cases that both were measured on, with Holm's correction over all of them.

    A metric without values per case (coverage) is not tested, nor are values that are not finite, nor the cases of one
    session alone.

    Args:
        pairs: the comparisons.
        cases: values of each model, all on the same cases.
        seed: equal seeds give equal results.
        choices: number of pairs per metric from which these were picked by their results; None for pairs that were
            fixed before.
    """
    groups = next(iter(cases.values())).groups
    if (groups == groups[0]).all():
        return []
    pairs = [pair for pair in pairs if _testable(pair, cases)]
    among = len(pairs) if choices is None else choices * len({metric for metric, *_ in pairs})
    resamples = max(RESAMPLES, _DRAWS_EACH * among)
    tests: dict[Pair, PairedTest] = {}
    for some in _by_weights(pairs, cases):
        metric, one, _ = some[0]
        columns = [cases[one].values[metric] - cases[other].values[metric] for metric, one, other in some]
        weights = cases[one].weights.get(metric)
        found = paired_tests(np.column_stack(columns), groups, weights=weights, seed=seed, resamples=resamples)
        tests |= dict(zip(some, found, strict=True))
    adjusted = holm(np.array([tests[pair].p_value for pair in pairs]), among=among)
    return [_difference(pair, tests[pair], float(p)) for pair, p in zip(pairs, adjusted, strict=True)]


def _testable(pair: Pair, cases: Mapping[str, CaseValues]) -> bool:
    metric, *labels = pair
    return all(metric in cases[label].values and np.isfinite(cases[label].values[metric]).all() for label in labels)


def _by_weights(pairs: Sequence[Pair], cases: Mapping[str, CaseValues]) -> list[list[Pair]]:
    """Group pairs whose means weight the cases alike."""
    alike: dict[str | None, list[Pair]] = {}
    for pair in pairs:
        alike.setdefault(pair[0] if pair[0] in cases[pair[1]].weights else None, []).append(pair)
    return list(alike.values())


def _difference(pair: Pair, test: PairedTest, adjusted: float) -> Difference:
    metric, one, other = pair
    return Difference(
        one=one,
        other=other,
        metric=metric,
        difference=test.difference,
        interval=test.interval,
        p_value=test.p_value,
        adjusted=adjusted,
        significant=adjusted < ALPHA,
    )


def verdicts_of(
    models: Iterable[ModelResult], metrics: Iterable[str], differences: Iterable[Difference] = ()
) -> list[str]:
    """Return one line per requested model that loses to a baseline.

    A model loses if its value is worse than that of the best baseline. The paired test of the two tells whether the
    difference is significant; without a test, the line says whether their intervals overlap.
    """
    rows, names = list(models), list(metrics)
    tests = {(test.metric, frozenset((test.one, test.other))): test for test in differences}
    best = {name: row for name in names if (row := _best_baseline(rows, name)) is not None}
    verdicts = []
    for row in rows:
        lost = [
            name
            for name, other in best.items()
            if not row.baseline and is_better(name, other.metrics[name], row.metrics[name])
        ]
        if lost:
            against = (
                _against(row, best[name], name, tests.get((name, frozenset((row.label, best[name].label)))))
                for name in lost
            )
            verdicts.append(f"{row.label} loses to the baseline {', and to '.join(against)}")
    return verdicts


def _best_baseline(rows: Iterable[ModelResult], metric: str) -> ModelResult | None:
    return min((row for row in rows if row.baseline), key=lambda row: row.order_key(metric), default=None)


def _against(row: ModelResult, baseline: ModelResult, metric: str, test: Difference | None) -> str:
    note = certainty(row, baseline, metric, test)
    return f"{baseline.label} on {metric}: {row.metrics[metric]:.4f} against {baseline.metrics[metric]:.4f}{note}"


def certainty(one: ModelResult, other: ModelResult, metric: str, test: Difference | None) -> str:
    """Return in brackets how certain a difference is: by the paired test, or else by whether the intervals overlap."""
    if test is not None:
        return f" ({test.verdict()})"
    (low, high), (other_low, other_high) = one.interval(metric), other.interval(metric)
    return OVERLAP if low <= other_high and other_low <= high else ""


def slices_of(parts: Sequence[Partition], cases: Mapping[str, CaseValues], *, seed: int) -> dict[str, list[Slice]]:
    """Measure each model on each slice of the cases; by label.

    Args:
        parts: how the cases are sliced.
        cases: values of each model, all on the same cases and by the same metrics.
        seed: equal seeds give equal intervals.
    """
    found: dict[str, list[Slice]] = {label: [] for label in cases}
    if not next(iter(cases.values())).values:
        return found
    for part in parts:
        for number, name in enumerate(part.labels):
            members = np.flatnonzero(part.members == number)
            for label, (metrics, confidence) in _figures(cases, members, seed).items():
                found[label].append(
                    Slice(
                        dimension=part.dimension,
                        label=name,
                        cases=len(members),
                        metrics=metrics,
                        confidence=confidence,
                    )
                )
    return found


_Figures = tuple[dict[str, float], dict[str, tuple[float, float]]]


def _figures(cases: Mapping[str, CaseValues], members: np.ndarray, seed: int) -> dict[str, _Figures]:
    """Return the metrics of each model on some cases, and their intervals; all models share the bootstrap resamples."""
    found: dict[str, _Figures] = {label: ({}, {}) for label in cases}
    first = next(iter(cases.values()))
    groups = first.groups[members]
    several = bool((groups != groups[0]).any())
    plain = [metric for metric in first.values if metric not in first.weights]
    for metrics in (plain, *([metric] for metric in first.weights)):
        weights = first.weights[metrics[0]][members] if metrics is not plain else None
        if not metrics or (weights is not None and not weights.any()):
            continue
        names = [(label, metric) for label in cases for metric in metrics]
        columns = np.column_stack([cases[label].values[metric][members] for label, metric in names])
        means = np.average(columns, axis=0, weights=weights)
        for (label, metric), mean in zip(names, means, strict=True):
            found[label][0][metric] = float(mean)
        if several:
            bounds = intervals(columns, groups, weights=weights, seed=seed)
            for (label, metric), (low, high) in zip(names, bounds, strict=True):
                found[label][1][metric] = (float(low), float(high))
    return found
