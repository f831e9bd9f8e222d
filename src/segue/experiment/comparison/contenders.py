"""The models of several runs, read to be compared: whose they are, and whether they can be compared at all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segue.artifact import is_artifact
from segue.errors import ArtifactError, InputError, ParameterError
from segue.experiment.begun import read_settings
from segue.experiment.comparison.cases import CaseValues, cases_file
from segue.experiment.folder import BEGUN, RESULTS
from segue.experiment.results import ModelResult, Results
from segue.parameters import typed
from segue.protocols.identity import differences
from segue.protocols.protocol import Protocol
from segue.strict_json import dumps

_SHOWN = 5
"""Parameters that are named where protocols differ."""


@dataclass(frozen=True, eq=False)
class Contender:
    """A model of a run, or what several runs made of one model with different seeds.

    Attributes:
        label: its name in the comparison.
        runs: folder of each run.
        rows: what each run found.
        seeds: seed of each run.
        log: name of the log.
        protocol: the protocol, with hash, fingerprint of the log and headline.
        decides: what else decided the outcome, the seed aside, as text.
    """

    label: str
    runs: tuple[Path, ...]
    rows: tuple[ModelResult, ...]
    seeds: tuple[int, ...]
    log: str
    protocol: Mapping[str, Any]
    decides: str

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
            ArtifactError: a run does not hold them, or those of another protocol.
        """
        found = [CaseValues.read(cases_file(run, row.label), metrics) for run, row in self._sources()]
        for (run, row), one in zip(self._sources(), found, strict=True):
            if one.hash != self.hash:
                raise ArtifactError(
                    f"{cases_file(run, row.label)}: does not belong to {run / RESULTS}, which has protocol {self.hash} "
                    f"and the file {one.hash}; the command of the run with --resume measures the model again"
                )
            check_same_cases((self.runs[0], found[0]), (run, one))
        values = {name: np.mean([one.values[name] for one in found], axis=0) for name in found[0].values}
        return CaseValues(found[0].groups, values, found[0].weights, self.hash, found[0].key)

    def _sources(self) -> list[tuple[Path, ModelResult]]:
        return list(zip(self.runs, self.rows, strict=True))


def check_same_cases(one: tuple[Path, CaseValues], other: tuple[Path, CaseValues]) -> None:
    """Refuse to pair cases that are not the same.

    Args:
        one: folder of a run, and values of one of its models.
        other: the same of another one under the same hash.

    Raises:
        ArtifactError: the cases differ.
    """
    if not np.array_equal(one[1].groups, other[1].groups):
        raise ArtifactError(
            f"{other[0]}: was tested on other cases than {one[0]} under the same protocol, so they were run by "
            "different versions of segue; run one of them again"
        )


def read_contenders(paths: Sequence[Path]) -> list[Contender]:
    """Read the models of runs, each once.

    Args:
        paths: folders of runs, for all their models, or of single models in them.

    Raises:
        ArtifactError: a folder is neither, or its run is not finished or damaged.
    """
    found: dict[tuple[Path, str], Contender] = {}
    for path in paths:
        run, label = _run_of(path)
        results = Results.read(run / RESULTS)
        chosen = [row for row in results.models if label in (None, row.label)]
        if not chosen:
            raise ArtifactError(f"{path}: is not in the table of {run / RESULTS}; name the run, or a model of it")
        begun = read_settings(run) or {"run": {}, "models": {}}
        for row in chosen:
            decides = {"model": row.model, "config": row.config, **begun["models"].get(row.label, {})}
            text = dumps([decides, begun["run"].get("precision")], sort_keys=True)
            one = Contender(row.label, (run,), (row,), (results.seed,), results.log, results.protocol, text)
            found.setdefault((run.resolve(), row.label), one)
    return list(found.values())


def _run_of(path: Path) -> tuple[Path, str | None]:
    """Return the folder of a run, and the label of the model if one of its models is named."""
    if (path / RESULTS).is_file():
        return path, None
    if is_artifact(path):
        here = path if path.name not in ("", "..") else path.resolve()
        if (here.parent / RESULTS).is_file():
            return here.parent, here.name
        raise ArtifactError(
            f"{path}: is a model that stands in no run (there is no {here.parent / RESULTS}); "
            "name a run, or a model in one"
        )
    if (path / BEGUN).is_file():
        raise ArtifactError(f"{path}: is a run that is not finished; go on with it (--resume), then compare")
    raise ArtifactError(f"{path}: is no run of segue (it has no {RESULTS}); name a folder that segue run wrote")


def check_comparable(contenders: Sequence[Contender]) -> None:
    """Refuse to put figures side by side that were not measured alike.

    Raises:
        ParameterError: the hashes differ; the message says in what.
    """
    first = contenders[0]
    for other in contenders:
        if other.hash == first.hash:
            continue
        found = list(_unlike(first, other)) or ["the protocols look alike, so the versions of segue differ"]
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise ParameterError(
            f"{first.runs[0]} and {other.runs[0]}: must share one protocol and log, and have the hashes {first.hash} "
            f"and {other.hash}: {'; '.join(found[:_SHOWN])}{more}; run both alike, or show them side by side without "
            "a test by --force"
        )


def _unlike(one: Contender, other: Contender) -> Iterator[str]:
    places = f"in {one.runs[0]}", f"in {other.runs[0]}"
    if one.protocol["fingerprint"] != other.protocol["fingerprint"]:
        logs = (f"'{each.log}' (fingerprint {each.protocol['fingerprint']})" for each in (one, other))
        yield "the log is " + " and ".join(f"{log} {place}" for log, place in zip(logs, places, strict=True))
    try:
        found = differences(Protocol.of(one.protocol), Protocol.of(other.protocol))
    except InputError:
        yield "one of the protocols is of another version of segue"
        return
    for name, values in found.items():
        yield f"protocol.{name} is {typed(values[0])} {places[0]} and {typed(values[1])} {places[1]}"


def over_seeds(contenders: Sequence[Contender]) -> list[Contender]:
    """Put together what differs by seed alone: same label, same parameters, same protocol and log.

    Where a seed comes twice, nothing says what belongs together, and each stays on its own.
    """
    alike: dict[tuple[str, str, str], list[Contender]] = {}
    for one in contenders:
        alike.setdefault((one.label, one.hash, one.decides), []).append(one)
    merged: list[Contender] = []
    for some in alike.values():
        seeds = [one.seeds[0] for one in some]
        if len(some) == 1 or len(set(seeds)) < len(seeds):
            merged += some
        else:
            merged.append(_merged(sorted(some, key=lambda one: one.seeds[0])))
    return merged


def _merged(some: Sequence[Contender]) -> Contender:
    first = some[0]
    return Contender(
        label=first.label,
        runs=tuple(one.runs[0] for one in some),
        rows=tuple(one.rows[0] for one in some),
        seeds=tuple(one.seeds[0] for one in some),
        log=first.log,
        protocol=first.protocol,
        decides=first.decides,
    )


def distinct_labels(contenders: Sequence[Contender]) -> list[str]:
    """Return a name for each: its label, with its run before it where several have that label."""
    labels = [one.label for one in contenders]
    for named in (_short, _long):
        doubled = {label for label in labels if labels.count(label) > 1}
        labels = [named(one) if label in doubled else label for one, label in zip(contenders, labels, strict=True)]
    return labels


def _short(contender: Contender) -> str:
    """Name the folder of the run; of several runs, the one that holds them."""
    runs = contender.runs
    return f"{(runs[0] if len(runs) == 1 else runs[0].parent).resolve().name}/{contender.label}"


def _long(contender: Contender) -> str:
    more = f"+{len(contender.runs) - 1}" if len(contender.runs) > 1 else ""
    return f"{contender.runs[0]}{more}/{contender.label}"
