"""What the figures of a run are worth: parts of the test cases, paired tests, verdicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segue.errors import ParameterError
from segue.evaluation.confidence import intervals
from segue.evaluation.slices import Partition, partitions, slice_problems
from segue.experiment.comparison.cases import CaseValues, cases_file
from segue.experiment.comparison.differences import Pair, differences_of, run_choices, run_pairs
from segue.experiment.results import Results, Slice, judge
from segue.protocols.dataset import Dataset


def check_slices(names: Sequence[str], data: Dataset) -> None:
    """Refuse to take test cases apart by what the log does not hold.

    Raises:
        ParameterError: the names that are wrong, all together.
    """
    mistakes = [f"--slices: {problem}" for problem in slice_problems(names, data.train)]
    if mistakes:
        raise ParameterError("\n".join(mistakes))


def judged(
    results: Results, data: Dataset, run: Path, *, slices: Sequence[str] = (), pairs: Sequence[Pair] | None = None
) -> Results:
    """Add the slices of each model, the tests between them, and what they mean for the verdicts.

    Args:
        results: the rows of the run.
        data: the prepared log.
        run: folder that holds the values of each model in each case.
        slices: ways to take the cases apart, besides the usual ones.
        pairs: what is compared, fixed before the results; None takes ``run_pairs``.
    """
    headline, seed = results.protocol["headline"], results.seed
    cases = {row.label: CaseValues.read(cases_file(run, row.label), headline) for row in results.models}
    if pairs is None:
        picked, choices = run_pairs(results.models, headline), run_choices(results.models)
        differences = differences_of(picked, cases, seed=seed, choices=choices)
    else:
        differences = differences_of(pairs, cases, seed=seed)
    found = slices_of(partitions(data.test, data.vocabulary, slices), cases, seed=seed)
    return results.model_copy(
        update={
            "models": [row.model_copy(update={"slices": found[row.label]}) for row in results.models],
            "differences": differences,
            "verdicts": judge(results.models, headline, differences),
        }
    )


def slices_of(parts: Sequence[Partition], cases: Mapping[str, CaseValues], *, seed: int) -> dict[str, list[Slice]]:
    """Measure each model on each part of the cases; by label.

    Args:
        parts: how the cases are taken apart.
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
    """Return the values of each model on some cases, and their intervals; all models see the same draws."""
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
