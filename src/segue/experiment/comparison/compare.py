"""Compare the models of several runs in one table, with significance tests."""

from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from segue.errors import ParameterError, UnknownNameError
from segue.evaluation.confidence import intervals
from segue.experiment.comparison.case_values import CaseValues
from segue.experiment.comparison.compared_models import (
    ComparedModel,
    check_comparable,
    check_same_cases,
    distinct_labels,
    over_seeds,
    read_models,
)
from segue.experiment.comparison.verdicts import Pair, differences_of
from segue.experiment.results import Difference
from segue.metrics import order_key
from segue.strict_json import Number


class ComparisonRow(BaseModel):
    """One model by one metric."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    label: str
    """Name of the model, with its run where that is needed."""
    metric: str
    """The metric."""
    hash: str
    """Hash of protocol and data."""
    value: Number
    """The value of the metric; over several seeds, its mean."""
    interval: tuple[Number, Number] | None
    """The 95% interval over the sessions of the test; over several seeds, the interval of the mean."""
    seeds: tuple[int, ...]
    """Seeds of the runs behind it."""
    deviation: Number | None
    """Standard deviation over the seeds, if there are several."""
    to_best: Difference | None
    """The test of the best model with this hash (``one``) against this one; None for the best, and where no test is
    possible."""


class Comparison(BaseModel):
    """Models side by side."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    log: str
    """Name of the log; where hashes differ, of the first."""
    cases: int
    """Number of test cases; where hashes differ, of the first."""
    protocol: dict[str, Any]
    """The protocol with its hash; where hashes differ, the first."""
    metrics: tuple[str, ...]
    """The metrics of the comparison."""
    rows: tuple[ComparisonRow, ...]
    """By metric and hash, best first."""
    lines: tuple[str, ...]
    """Which differences are significant, in words."""

    @property
    def hashes(self) -> tuple[str, ...]:
        """The different hashes, in order."""
        return tuple(dict.fromkeys(row.hash for row in self.rows))


def compare(*runs: Path | str, metrics: Sequence[str] = (), force: bool = False) -> Comparison:
    """Put models of one or several runs in one table, and test each against the best.

    Runs of one model that differ only in their seed are one row: mean and deviation over the seeds, and the mean of
    each test case in the tests.

    Args:
        *runs: folders of runs, for all their models, or of single models in them.
        metrics: what is compared; none takes the headline, or as much of it as all runs measured.
        force: also show runs of different protocols or logs, without tests across them.

    Raises:
        ArtifactError: a folder is not a run or a damaged one.
        ParameterError: hashes differ, there is only one model, the runs share no metric, or ``metrics`` is not a list.
        UnknownNameError: a metric was not measured by all of them.
    """
    if isinstance(metrics, str):
        raise ParameterError(f"metrics: must be a list of names, got '{metrics}'; write ['{metrics}']")
    models = over_seeds(read_models([Path(run) for run in runs]))
    if sum(len(one.runs) for one in models) < 2:
        raise ParameterError(
            "RUN: must contain at least two models to compare; name a further run, or one with several"
        )
    if not force:
        check_comparable(models)
    names = _metrics(models, metrics)
    by_label = dict(zip(distinct_labels(models), models, strict=True))
    cases = {label: one.cases(names) for label, one in by_label.items()}
    _check_cases(by_label, cases)
    pairs = [pair for metric in names for pair in _pairs(by_label, metric)]
    seed = models[0].seeds[0]
    tests = _tested(pairs, by_label, cases, seed)
    rows = tuple(
        _row(label, by_label[label], cases[label], metric, tests.get((metric, label)), seed)
        for metric in names
        for ranking in _rankings(by_label, metric)
        for label in ranking
    )
    return Comparison(
        log=models[0].log,
        cases=len(next(iter(cases.values())).groups),
        protocol=dict(models[0].protocol),
        metrics=tuple(names),
        rows=rows,
        lines=tuple(words(rows)),
    )


def _metrics(models: Sequence[ComparedModel], wanted: Sequence[str]) -> list[str]:
    """Return the metrics of the comparison: the requested metrics, or the headline metrics that all models share."""
    first, *others = models
    known = [name for name in first.measured if all(name in one.measured for one in others)]
    if not known:
        raise ParameterError("RUN: must share a metric to be compared by, and no metric was measured by all of them")
    for name in wanted:
        if name not in known:
            raise UnknownNameError("metric shared by these runs", name, known)
    headline = [name for name in first.protocol["headline"] if name in known]
    return list(dict.fromkeys(wanted)) or headline or known[:1]


def _rankings(models: Mapping[str, ComparedModel], metric: str) -> list[list[str]]:
    """Return the labels of each hash, best first; equal values stay in order, and NaN comes last."""
    alike: dict[str, list[str]] = {}
    for label, one in models.items():
        alike.setdefault(one.hash, []).append(label)
    return [
        sorted(labels, key=lambda label: order_key(metric, float(np.mean(models[label].values(metric)))))
        for labels in alike.values()
    ]


def _pairs(models: Mapping[str, ComparedModel], metric: str) -> list[Pair]:
    """Compare each with the best of its hash."""
    return [(metric, best, other) for best, *others in _rankings(models, metric) for other in others]


def _tested(
    pairs: Sequence[Pair], models: Mapping[str, ComparedModel], cases: Mapping[str, CaseValues], seed: int
) -> dict[tuple[str, str], Difference]:
    """Test all pairs; the correction is over those of one hash, which are one table, whichever is the best there."""
    tests: dict[tuple[str, str], Difference] = {}
    for mark in dict.fromkeys(one.hash for one in models.values()):
        some = {label: cases[label] for label, one in models.items() if one.hash == mark}
        inside = [pair for pair in pairs if pair[1] in some]
        found = differences_of(inside, some, seed=seed, choices=comb(len(some), 2))
        tests |= {(test.metric, test.other): test for test in found}
    return tests


def _check_cases(models: Mapping[str, ComparedModel], cases: Mapping[str, CaseValues]) -> None:
    """Refuse to pair cases of one hash that are not the same.

    Raises:
        ArtifactError: they differ.
    """
    first: dict[str, str] = {}
    for label, one in models.items():
        known = first.setdefault(one.hash, label)
        check_same_cases((models[known].runs[0], cases[known]), (one.runs[0], cases[label]))


def _row(
    label: str, model: ComparedModel, cases: CaseValues, metric: str, to_best: Difference | None, seed: int
) -> ComparisonRow:
    values = model.values(metric)
    interval = model.rows[0].confidence.get(metric)
    if len(values) > 1 and interval is not None:
        interval = _interval_of_mean(cases, metric, seed)
    return ComparisonRow(
        label=label,
        metric=metric,
        hash=model.hash,
        value=float(np.mean(values)),
        interval=interval,
        seeds=model.seeds,
        deviation=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        to_best=to_best,
    )


def _interval_of_mean(cases: CaseValues, metric: str, seed: int) -> tuple[float, float] | None:
    if metric not in cases.values:
        return None
    weights = cases.weights.get(metric)
    ((low, high),) = intervals(cases.values[metric][:, None], cases.groups, weights=weights, seed=seed)
    return float(low), float(high)


def words(rows: Sequence[ComparisonRow]) -> list[str]:
    """Say for each metric (and hash) which models are significantly behind the best, and which are not."""
    tables: dict[tuple[str, str], list[ComparisonRow]] = {}
    for row in rows:
        tables.setdefault((row.metric, row.hash), []).append(row)
    several = len({mark for _, mark in tables}) > 1
    lines = []
    for (metric, mark), (best, *others) in tables.items():
        place = f"{metric}, protocol {mark}" if several else metric
        behind = [one.label for one in others if one.to_best is not None and one.to_best.significant]
        level = [one.label for one in others if one.to_best is not None and not one.to_best.significant]
        untested = [one.label for one in others if one.to_best is None]
        said = [f"is significantly better than {_listed(behind)}"] if behind else []
        said += [f"is not significantly better than {_listed(level)}"] if level else []
        said += [f"is not tested against {_listed(untested)}"] if untested else []
        lines.append(f"{place}: {best.label} {'; it '.join(said) or 'is the only model'}")
    return lines


def _listed(labels: Sequence[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
