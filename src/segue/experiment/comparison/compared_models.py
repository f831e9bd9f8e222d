"""Read the models of several runs, and check that they can be compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segue.artifact import is_artifact
from segue.errors import ArtifactError, InputError, ParameterError
from segue.experiment.comparison.case_values import CaseValues, cases_file
from segue.experiment.results import ModelResult, Results
from segue.experiment.run_folder import RESULTS, SETTINGS
from segue.experiment.run_settings import read_settings
from segue.parameters import typed
from segue.protocols.hashing import differences
from segue.protocols.protocol import Protocol
from segue.strict_json import dumps

_SHOWN = 5
"""Maximum number of differences that a message lists."""


@dataclass(frozen=True, eq=False)
class ComparedModel:
    """A model of one run, or of several runs that differ only in their seed.

    Attributes:
        label: its name in the comparison.
        runs: folder of each run.
        rows: its row in each run.
        seeds: seed of each run.
        log: name of the log.
        protocol: the protocol, with hash, fingerprint of the log and headline.
        settings: all other settings that affect results, except the seed, as text.
    """

    label: str
    runs: tuple[Path, ...]
    rows: tuple[ModelResult, ...]
    seeds: tuple[int, ...]
    log: str
    protocol: Mapping[str, Any]
    settings: str

    @property
    def hash(self) -> str:
        """Hash of protocol and data."""
        return str(self.protocol["hash"])

    @property
    def measured(self) -> tuple[str, ...]:
        """The metrics that each of the runs measured."""
        first, *others = (row.metrics for row in self.rows)
        return tuple(name for name in first if all(name in metrics for metrics in others))

    def values(self, metric: str) -> list[float]:
        """Return the value of a metric with each seed."""
        return [row.metrics[metric] for row in self.rows]

    def cases(self, metrics: Sequence[str]) -> CaseValues:
        """Return the values in each test case, their mean over the seeds.

        Raises:
            ArtifactError: the values of a run are missing or belong to another protocol.
        """
        found = [CaseValues.read(cases_file(run, row.label), metrics) for run, row in self._sources()]
        for (run, row), one in zip(self._sources(), found, strict=True):
            if one.hash != self.hash:
                raise ArtifactError(
                    f"{cases_file(run, row.label)}: does not belong to {run / RESULTS}: its protocol is {one.hash}, "
                    f"not {self.hash}; run the command of the run again with --resume to measure the model again"
                )
            check_same_cases((self.runs[0], found[0]), (run, one))
        values = {name: np.mean([one.values[name] for one in found], axis=0) for name in found[0].values}
        return CaseValues(found[0].groups, values, found[0].weights, self.hash, found[0].key)

    def _sources(self) -> list[tuple[Path, ModelResult]]:
        return list(zip(self.runs, self.rows, strict=True))


def check_same_cases(one: tuple[Path, CaseValues], other: tuple[Path, CaseValues]) -> None:
    """Refuse to pair different cases.

    Args:
        one: folder of a run, and values of one of its models.
        other: folder and values of another run with the same hash.

    Raises:
        ArtifactError: the cases differ.
    """
    if not np.array_equal(one[1].groups, other[1].groups):
        raise ArtifactError(
            f"{other[0]}: was tested on different cases than {one[0]} under the same protocol, because the versions of "
            "segue differ; run one of them again"
        )


def read_models(paths: Sequence[Path]) -> list[ComparedModel]:
    """Read the models of runs, each once; a baseline that several runs trained alike is one model.

    Args:
        paths: folders of runs, for all their models, or of single models in them.

    Raises:
        ArtifactError: a folder is neither, or its run is unfinished or damaged.
    """
    found: dict[tuple[Path, str], ComparedModel] = {}
    for path in paths:
        run, label = _run_of(path)
        results = Results.read(run / RESULTS)
        chosen = [row for row in results.models if label in (None, row.label)]
        if not chosen:
            raise ArtifactError(f"{path}: is not in the table of {run / RESULTS}; name the run, or a model of it")
        started = read_settings(run) or {"run": {}, "models": {}}
        for row in chosen:
            settings = {"model": row.model, "config": row.config, **started["models"].get(row.label, {})}
            text = dumps([settings, started["run"].get("precision")], sort_keys=True)
            one = ComparedModel(row.label, (run,), (row,), (results.seed,), results.log, results.protocol, text)
            if label is not None or not any(_same_baseline(one, other) for other in found.values()):
                found.setdefault((run.resolve(), row.label), one)
    return list(found.values())


def _same_baseline(one: ComparedModel, other: ComparedModel) -> bool:
    """Tell whether a model is also the baseline of another run, with equal results."""
    rows = (*one.rows, *other.rows)
    same = (one.label, one.hash, one.settings, one.seeds) == (other.label, other.hash, other.settings, other.seeds)
    return same and any(row.baseline for row in rows) and rows[0].metrics == rows[1].metrics


def _run_of(path: Path) -> tuple[Path, str | None]:
    """Return the folder of a run, and the label of the model if one of its models is named."""
    if (path / RESULTS).is_file():
        return path, None
    if is_artifact(path):
        here = path if path.name not in ("", "..") else path.resolve()
        if (here.parent / RESULTS).is_file():
            return here.parent, here.name
        raise ArtifactError(
            f"{path}: is a model that does not belong to a run (there is no {here.parent / RESULTS}); "
            "name a run, or a model of a run"
        )
    if (path / SETTINGS).is_file():
        raise ArtifactError(f"{path}: is an unfinished run; finish it with --resume, then compare")
    raise ArtifactError(f"{path}: is not a run of segue (it has no {RESULTS}); name a folder that segue run wrote")


def check_comparable(models: Sequence[ComparedModel]) -> None:
    """Refuse to compare results of different protocols or logs.

    Raises:
        ParameterError: the hashes differ; the message names the differences.
    """
    first = models[0]
    for other in models:
        if other.hash == first.hash:
            continue
        found = list(_protocol_differences(first, other)) or [
            "the protocols have equal parameters, so the versions of segue differ"
        ]
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise ParameterError(
            f"{first.runs[0]} and {other.runs[0]}: cannot be compared, because their protocols or logs differ (hashes "
            f"{first.hash} and {other.hash}): {'; '.join(found[:_SHOWN])}{more}; run both with the same settings, or "
            "use --force to show them side by side without a test"
        )


def _protocol_differences(one: ComparedModel, other: ComparedModel) -> Iterator[str]:
    places = f"in {one.runs[0]}", f"in {other.runs[0]}"
    if one.protocol["fingerprint"] != other.protocol["fingerprint"]:
        logs = (f"'{each.log}' (fingerprint {each.protocol['fingerprint']})" for each in (one, other))
        yield "the log is " + " and ".join(f"{log} {place}" for log, place in zip(logs, places, strict=True))
    try:
        found = differences(Protocol.of(one.protocol), Protocol.of(other.protocol))
    except InputError:
        yield "one of the protocols was written by another version of segue"
        return
    for name, values in found.items():
        yield f"protocol.{name} is {typed(values[0])} {places[0]} and {typed(values[1])} {places[1]}"


def over_seeds(models: Sequence[ComparedModel]) -> list[ComparedModel]:
    """Merge models that differ only in the seed: same label, same parameters, same protocol and log.

    If a seed occurs twice, the runs cannot be matched, and each stays separate.
    """
    alike: dict[tuple[str, str, str], list[ComparedModel]] = {}
    for one in models:
        alike.setdefault((one.label, one.hash, one.settings), []).append(one)
    merged: list[ComparedModel] = []
    for some in alike.values():
        seeds = [one.seeds[0] for one in some]
        if len(some) == 1 or len(set(seeds)) < len(seeds):
            merged += some
            continue
        some.sort(key=lambda one: one.seeds[0])
        runs, rows, seeds = ([getattr(one, name)[0] for one in some] for name in ("runs", "rows", "seeds"))
        merged.append(replace(some[0], runs=tuple(runs), rows=tuple(rows), seeds=tuple(seeds)))
    return merged


def distinct_labels(models: Sequence[ComparedModel]) -> list[str]:
    """Return a distinct name for each model: its label, prefixed by its run if several models have the same label."""
    labels = [one.label for one in models]
    for prefix in (_run_name, _run_path):
        doubled = {label for label in labels if labels.count(label) > 1}
        labels = [
            f"{prefix(one.runs)}/{one.label}" if label in doubled else label
            for one, label in zip(models, labels, strict=True)
        ]
    return labels


def _run_name(runs: Sequence[Path]) -> str:
    """Return the folder name of the run, or of the parent of several runs."""
    return (runs[0] if len(runs) == 1 else runs[0].parent).resolve().name


def _run_path(runs: Sequence[Path]) -> str:
    return f"{runs[0]}+{len(runs) - 1}" if len(runs) > 1 else str(runs[0])
