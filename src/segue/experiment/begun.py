"""What a run was begun with: begun.json, by which no other run is taken for it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segue.data.fingerprint import fingerprint
from segue.errors import InputError, ParameterError
from segue.experiment.folder import BEGUN, RUN, Layout, is_begun
from segue.experiment.model_specs import Entry
from segue.experiment.recipe import Recipe
from segue.parameters import flatten, typed
from segue.protocols.dataset import Dataset
from segue.protocols.identity import differences
from segue.protocols.protocol import Protocol
from segue.storage import write_text
from segue.strict_json import dumps
from segue.training.runtime import Runtime

_SHOWN = 5
"""Differences that are named; those of a whole other run are told by the first ones."""


def settings_of(data: Dataset, recipe: Recipe, runtime: Runtime, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what decides the outcome of a run, as begun.json holds it."""
    metadata = data.vocabulary.table.select(data.vocabulary.metadata)
    settings = {
        "run": {
            "log": recipe.log_name,
            "seed": recipe.seed,
            "fingerprint of the log": data.fingerprint,
            "precision": runtime.arithmetic(),
            "protocol": data.protocol.model_dump(mode="json", exclude={"name"}),
            "fingerprint of the metadata": fingerprint(metadata) if metadata.width else None,
        },
        "models": {entry.label: {**entry.model.config.model_dump(mode="json"), **entry.decides()} for entry in entries},
    }
    content: dict[str, Any] = json.loads(dumps(settings))
    return content


def write_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Write begun.json.

    Raises:
        StorageError: the write failed.
    """
    write_text(out / BEGUN, dumps(settings, indent=2) + "\n")


def read_settings(out: Path, layout: Layout = RUN) -> dict[str, Any] | None:
    """Return what the run in a folder was begun with, or None where nothing was begun.

    Raises:
        ParameterError: there is a run that does not say so, or whose begun.json is damaged.
    """
    if not is_begun(out, layout):
        return None
    try:
        content: dict[str, Any] = json.loads((out / BEGUN).read_text(encoding="utf-8"))
        return {"run": dict(content["run"]), "models": dict(content["models"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError(
            f"{out}: holds a {layout.noun} that does not say what it was begun with ({BEGUN} is missing or damaged); "
            "choose another folder, or replace it"
        ) from error


def check_same(out: Path, begun: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse to go on with a run that was begun with something else.

    Further models may be added, and other metrics asked for; a parameter of the protocol that changes no figure may
    differ.

    Raises:
        ParameterError: what differs.
    """
    found = list(_differences(begun, settings))
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise ParameterError(
            f"{out}: was begun with {'; '.join(found[:_SHOWN])}{more}; "
            "resume with what it was begun with, choose another --out, or --overwrite"
        )


def _differences(begun: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    shared = [label for label in begun["models"] if label in settings["models"]]
    old, new = (
        flatten({**one["run"], "protocol": {}, **{label: one["models"][label] for label in shared}})
        for one in (begun, settings)
    )
    told = {name: (old.get(name), new.get(name)) for name in {**old, **new}}
    try:
        protocols = (Protocol.of(one["run"].get("protocol", {})) for one in (begun, settings))
        told |= {f"protocol.{name}": values for name, values in differences(*protocols).items()}
    except InputError:
        yield "a protocol of another version of segue"
    for name, (before, now) in told.items():
        if before != now:
            yield f"{name} {typed(before)}, got {typed(now)}"
    for label in begun["models"]:
        if label not in shared:
            yield f"{label}, which is not asked for now"
