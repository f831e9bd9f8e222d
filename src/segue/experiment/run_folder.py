"""The folder of a run: what it may be written into, and run.json, which says what the run was started with."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segue.artifact import EVERYTHING, Artifact, is_artifact
from segue.data.fingerprint import fingerprint
from segue.errors import ArtifactError, InputError, ParameterError
from segue.experiment.config import RunConfig
from segue.experiment.model_specs import ModelSpec
from segue.parameters import flatten, typed
from segue.protocols.dataset import Dataset
from segue.protocols.hashing import differences
from segue.protocols.protocol import Protocol
from segue.storage import make_folder, remove, write_text
from segue.storage.scratch import is_unfinished
from segue.strict_json import dumps
from segue.training.runtime import Runtime

RESULTS, REPORT, PAGE, SETTINGS = "results.json", "report.md", "report.html", "run.json"
CHECKPOINTS, ENVIRONMENT, CURVES, CASES = "checkpoints", "environment.json", "curves", "cases"
TENSORBOARD, MLFLOW = "tensorboard", "mlruns"

_SHOWN = 5
"""Differences that a message lists before it only counts the rest."""


@dataclass(frozen=True)
class FolderKind:
    """The content of the folder of a command: what it is called, and the names of its files and folders."""

    noun: str
    names: frozenset[str]


RUN = FolderKind(
    "run",
    frozenset((RESULTS, REPORT, PAGE, SETTINGS, CHECKPOINTS, ENVIRONMENT, CURVES, CASES, TENSORBOARD, MLFLOW)),
)


def check_folder(out: Path, *, resume: bool, overwrite: bool, kind: FolderKind = RUN) -> None:
    """Refuse to write into a folder that is not empty, unless it is of the same kind and may be resumed or replaced.

    Raises:
        ParameterError: the folder is not empty.
    """
    if resume and overwrite:
        raise ParameterError("--resume: cannot be combined with --overwrite; give one of them")
    if out.exists() and not out.is_dir():
        raise ParameterError(f"--out: must be a folder, and {out} is a file; choose another name")
    if not out.exists() or not any(out.iterdir()):
        return
    if not any(path.name in kind.names or is_unfinished(path) for path in out.iterdir()):
        raise ParameterError(f"--out: {out} contains other files; choose another folder")
    if not (resume or overwrite):
        raise ParameterError(
            f"--out: {out} already contains a {kind.noun}; add --resume to continue it, --overwrite to replace it, "
            "or choose another folder"
        )


def begin_folder(out: Path, *, resume: bool, kind: FolderKind = RUN) -> None:
    """Create the folder and remove the files of an older run; if the run is resumed, only half-written files.

    Raises:
        StorageError: the write failed.
    """
    make_folder(out)
    for path in (*(out / CASES).glob("*"), *_written(out, kind)):
        if is_unfinished(path) or not resume:
            remove(path)


def next_folder(name: str) -> Path:
    """Return the first of runs/NAME-1, runs/NAME-2, ... that does not exist."""
    number = 1
    while (folder := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return folder


def _written(out: Path, kind: FolderKind) -> list[Path]:
    """List the files of a run in a folder, including half-written files."""
    return [path for path in out.iterdir() if path.name in kind.names or _is_of_run(path) or is_unfinished(path)]


def _is_of_run(path: Path) -> bool:
    """Return whether a run wrote this model; production models and models saved in Python are kept."""
    if not is_artifact(path):
        return False
    try:
        about = Artifact.facts(path)
    except ArtifactError:  # Models are written atomically, so this one is damaged, or of a newer version.
        return False
    return "result" in about and about.get("trained_on") != EVERYTHING


def settings_of(data: Dataset, config: RunConfig, runtime: Runtime, specs: Sequence[ModelSpec]) -> dict[str, Any]:
    """Return all settings that affect the results of a run, as in run.json."""
    metadata = data.vocabulary.table.select(data.vocabulary.metadata)
    settings = {
        "run": {
            "log": config.log_name,
            "seed": config.seed,
            "fingerprint of the log": data.fingerprint,
            "precision": runtime.arithmetic(),
            "threads": runtime.threads(),
            "protocol": data.protocol.model_dump(mode="json", exclude={"name"}),
            "fingerprint of the metadata": fingerprint(metadata) if metadata.width else None,
        },
        "models": {spec.label: {**spec.model.config.model_dump(mode="json"), **spec.extra} for spec in specs},
    }
    content: dict[str, Any] = json.loads(dumps(settings))
    return content


def write_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Write run.json.

    Raises:
        StorageError: the write failed.
    """
    write_text(out / SETTINGS, dumps(settings, indent=2) + "\n")


def read_settings(out: Path, kind: FolderKind = RUN) -> dict[str, Any] | None:
    """Return the settings of the run in a folder, or None if the folder contains no run.

    Raises:
        ParameterError: run.json is missing or damaged.
    """
    if not out.is_dir() or all(is_unfinished(path) for path in _written(out, kind)):
        return None
    try:
        content: dict[str, Any] = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
        return {"run": dict(content["run"]), "models": dict(content["models"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError(
            f"{out}: contains a {kind.noun} whose settings are unknown ({SETTINGS} is missing or damaged); "
            "choose another folder, or replace it"
        ) from error


def check_same(out: Path, started: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse to resume a run with other settings.

    Further models, other metrics, and parameters of the protocol that do not affect results are allowed.

    Raises:
        ParameterError: the differences.
    """
    found = list(_differences(started, settings))
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise ParameterError(
            f"{out}: was started with {'; '.join(found[:_SHOWN])}{more}; "
            "resume with the same settings, choose another --out, or --overwrite"
        )


def _differences(started: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    shared = [label for label in started["models"] if label in settings["models"]]
    old, new = (
        flatten({**one["run"], "protocol": {}, **{label: one["models"][label] for label in shared}})
        for one in (started, settings)
    )
    pairs = {name: (old.get(name), new.get(name)) for name in {**old, **new}}
    try:
        protocols = (Protocol.of(one["run"].get("protocol", {})) for one in (started, settings))
        pairs |= {f"protocol.{name}": values for name, values in differences(*protocols).items()}
    except InputError:
        yield "a protocol of another version of segue"
    for name, (before, now) in pairs.items():
        if before != now:
            remedy = f" (set OMP_NUM_THREADS={before})" if name == "threads" and before else ""
            yield f"{name} {typed(before)}, got {typed(now)}{remedy}"
    yield from (f"{label}, which is not requested now" for label in started["models"] if label not in shared)
