"""The settings of a run in its run.json: what it was started with, and what it may be resumed with."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from segue.data.content_vectors import describe_vectors
from segue.data.fingerprint import fingerprint
from segue.errors import InputError, ParameterError
from segue.experiment.config import RunConfig
from segue.experiment.model_specs import ModelSpec
from segue.experiment.run_folder import RUN, SETTINGS, FolderKind
from segue.parameters import flatten, typed
from segue.protocols.dataset import Dataset
from segue.protocols.hashing import differences
from segue.protocols.protocol import Protocol
from segue.storage import write_errors
from segue.storage.filesystem import Kind, kind_of
from segue.storage.markers import read_marker
from segue.strict_json import dumps
from segue.threads import other_threads
from segue.training.checkpoint import THREADS
from segue.training.runtime import Runtime

_SHOWN = 5
"""Differences that a message lists before it only counts the rest."""


def settings_of(
    data: Dataset, config: RunConfig, runtime: Runtime, specs: Sequence[ModelSpec], *, threads: int | None = None
) -> dict[str, Any]:
    """Return all settings that affect the results of a run, as in run.json.

    Args:
        data: the prepared log.
        config: configuration of the run.
        runtime: device and precision.
        specs: the models.
        threads: number of threads that they are fitted in; None is that of this process.
    """
    count = {THREADS: threads or torch.get_num_threads()}
    metadata = data.vocabulary.table.select(data.vocabulary.metadata)
    settings = {
        "run": {
            "log": config.log_name,
            "seed": config.seed,
            "fingerprint of the log": data.fingerprint,
            "precision": runtime.arithmetic(),
            "protocol": data.protocol.model_dump(mode="json", exclude={"name"}),
            "fingerprint of the metadata": fingerprint(metadata) if metadata.width else None,
            **{name: facts["sha256"] for name, facts in describe_vectors(data.vocabulary).items()},
        },
        "models": {
            spec.label: {
                **spec.model.config.model_dump(mode="json"),
                **spec.extra,
                **(count if spec.model.depends_on_threads(runtime) else {}),
            }
            for spec in specs
        },
    }
    content: dict[str, Any] = json.loads(dumps(settings))
    return content


def read_settings(out: Path, kind: FolderKind = RUN) -> dict[str, Any] | None:
    """Return the settings of the run in a folder, or None if the folder contains no run.

    Raises:
        ParameterError: run.json is missing or damaged.
        StorageError: the path cannot be read.
    """
    with write_errors(out):
        if all(kind_of(out / name) is Kind.NOTHING for name in kind.parts):
            return None
    try:
        return _Settings.model_validate(read_marker(out / SETTINGS, kind.noun) or {}).model_dump()
    except ValueError as error:
        raise ParameterError(
            f"{out}: contains a {kind.noun} whose settings are unknown ({SETTINGS} is missing or damaged); "
            "choose another folder"
        ) from error


class _Run(BaseModel):
    model_config = ConfigDict(extra="allow")

    protocol: dict[str, Any] = {}


class _Settings(BaseModel):
    """The settings in run.json."""

    run: _Run
    models: dict[str, dict[str, Any]]


def check_same(out: Path, started: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse to resume a run with other settings.

    Further models, other metrics, and parameters of the protocol that do not affect results are allowed; so is another
    number of threads, if no model depends on it.

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
    counts = {pairs.pop(name) for name in [f"{label}.{THREADS}" for label in shared] if name in pairs}
    yield from (other_threads(before, now) for before, now in counts if before and now and before != now)
    for name, (before, now) in pairs.items():
        if before != now:
            yield f"{name} {typed(before)}, got {typed(now)}"
    yield from (f"{label}, which is not requested now" for label in started["models"] if label not in shared)
