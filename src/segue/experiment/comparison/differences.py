"""Which models of a table are tested against each other, and what comes of it."""

from collections.abc import Iterable, Mapping, Sequence
from math import comb

import numpy as np

from segue.evaluation.significance import ALPHA, RESAMPLES, PairedTest, holm, paired_tests
from segue.experiment.comparison.cases import CaseValues
from segue.experiment.results import Difference, ModelResult

Pair = tuple[str, str, str]
"""A metric, and the labels of the two models that are compared by it, the better one first."""

_DRAWS_EACH = 100
"""Draws behind a test for each comparison that it is corrected for: the least adjusted p-value is about 0.01."""


def run_pairs(rows: Sequence[ModelResult], metrics: Iterable[str]) -> list[Pair]:
    """Pick what the table of a run is to tell: who is best, and who beats the baselines.

    By each metric, every model that was asked for is compared with the best of the table and with the best baseline.
    A table of all with all would say little more; what two models differ by is told by ``segue compare``.
    """
    asked = [row for row in rows if not row.baseline] or list(rows)
    pairs: list[Pair] = []
    for metric in metrics:
        ranked = sorted(rows, key=lambda row: row.order_key(metric))
        for rival in (ranked[0], *[row for row in ranked if row.baseline][:1]):
            for model in asked:
                if model is not rival:
                    one, other = (row.label for row in ranked if row in (rival, model))
                    pairs.append((metric, one, other))
    return list(dict.fromkeys(pairs))


def run_choices(rows: Sequence[ModelResult]) -> int:
    """Count what ``run_pairs`` picks from for one metric: the pairs that hold a model that was asked for."""
    baselines = sum(row.baseline for row in rows)
    return comb(len(rows), 2) - (comb(baselines, 2) if baselines < len(rows) else 0)


def differences_of(
    pairs: Sequence[Pair], cases: Mapping[str, CaseValues], *, seed: int, choices: int | None = None
) -> list[Difference]:
    """Test pairs of models on the cases that both were measured on, with Holm's correction over all of them.

    A metric without values per case (coverage) is not tested, nor are values that are not finite, nor the cases of one
    session alone.

    Args:
        pairs: what is compared.
        cases: values of each model, all on the same cases.
        seed: equal seeds give equal results.
        choices: from how many pairs those of one metric were picked by the results; None for pairs that were fixed
            before.
    """
    groups = next(iter(cases.values())).groups
    if (groups == groups[0]).all():
        return []
    pairs = [pair for pair in pairs if _testable(pair, cases)]
    among = len(pairs) if choices is None else choices * len({metric for metric, *_ in pairs})
    resamples = max(RESAMPLES, _DRAWS_EACH * among)
    tests: dict[Pair, PairedTest] = {}
    for some in _weighed_alike(pairs, cases):
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


def _weighed_alike(pairs: Sequence[Pair], cases: Mapping[str, CaseValues]) -> list[list[Pair]]:
    """Put pairs together whose means weigh the cases alike."""
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
        real=adjusted < ALPHA,
    )
