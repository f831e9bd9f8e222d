"""A model for production: trained on a whole log, with nothing held out, as validation chose in an earlier run."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segue.artifact import EVERYTHING, Artifact, is_artifact
from segue.data.events import Events
from segue.data.readers.read import read
from segue.errors import ArtifactError, ParameterError
from segue.experiment.epochs import Epochs, chosen_epochs, epochs_of, with_epochs
from segue.experiment.folder import RESULTS
from segue.experiment.model_specs import Entry, build_entries, check_entries
from segue.experiment.recipe import PROTOCOL, Recipe
from segue.experiment.results import ModelResult
from segue.models.base import Model
from segue.models.catalog import model_class
from segue.parameters import merge
from segue.protocols.dataset import dataset_at
from segue.protocols.prepare import WholeLog, prepare_whole
from segue.protocols.protocol import Protocol
from segue.protocols.selection import choose
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class _Plan:
    """What is trained.

    Attributes:
        entry: the model.
        epochs: its epochs by stage.
        seed: seed of every random draw.
        protocol: how the log was cleaned for the model that it is like; None leaves it to the recipe and the log.
        recipe: names and sets the protocol where there is no such model.
        like: facts about the model that it is like.
    """

    entry: Entry
    epochs: dict[str, Epochs]
    seed: int
    recipe: Recipe
    protocol: Protocol | None = None
    like: dict[str, Any] | None = field(default=None)

    def cleaning(self, events: Events) -> Protocol:
        """Return the protocol whose cleaning steps are taken."""
        changes = self.recipe.set.get(PROTOCOL, {})
        return self.protocol.changed(changes) if self.protocol else choose(events, self.recipe.protocol, changes)[0]


def check_log(log: str | Path) -> None:
    """Refuse a prepared data set.

    Raises:
        ParameterError: ``log`` is one.
    """
    if (folder := dataset_at(log)) is not None:
        raise ParameterError(
            f"LOG: must be the log itself, for a model is trained on all of it and {folder} holds parts out; "
            "name the log"
        )


def fit(
    log: Events | str | Path,
    *,
    like: str | Path | Recipe,
    out: str | Path,
    settings: Settings | None = None,
    seed: int | None = None,
    runtime: Runtime | None = None,
    overwrite: bool = False,
    log_name: str | None = None,
) -> Model:
    """Train a model on a whole log, with nothing held out, and write it to a folder.

    The configuration, the cleaning of the log and the seed are those of a model that was tested before. It trains for
    as many epochs as validation chose there, each stage for its own number; a schedule of the learning rate spans these
    epochs, not those of the run. The manifest of the artifact says what the model was trained on, and what the model
    that it is like was worth on held-out data. For the model itself there is no such figure.

    Args:
        log: the log, or its file, folder or name; no prepared data set, which holds parts of the log out.
        like: folder of a model that a run or this function wrote; or a recipe that names one model, whose epochs are
            those of its configuration, or what its ``chosen_epochs`` say.
        out: folder to write.
        settings: parameters to change, by model name and ``protocol``, as in ``Recipe.set``.
        seed: seed of every random draw; None takes that of ``like``.
        runtime: device, precision and progress.
        overwrite: replace a model in ``out``.
        log_name: name of the log for the manifest; None takes the name of the file.

    Raises:
        ArtifactError: ``like`` is no model of a run.
        InputError: a parameter, the log or ``out`` breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    out, runtime = Path(out), runtime or Runtime()
    check_target(out, overwrite=overwrite)
    if not isinstance(log, Events):
        check_log(log)
    runtime.check()
    plan = _of_recipe(like, settings or {}) if isinstance(like, Recipe) else _of_model(Path(like), settings or {})
    events = log if isinstance(log, Events) else read(log)
    whole = prepare_whole(events, plan.cleaning(events))
    for note in whole.notes:
        logger.info(note)
    check_entries([plan.entry], whole.train)
    model, seed = plan.entry.model, plan.seed if seed is None else seed
    for stage, one in plan.epochs.items():
        logger.info("%s, %s: %d epochs (%s)", model.name, stage, one.epochs, one.why)
    model.fit(whole.train, seed=seed, runtime=runtime)
    name = log_name or (None if isinstance(log, Events) else Path(log).name.split(".")[0])
    model.save(out, log=name, seed=seed, precision=runtime.arithmetic(), **_facts(plan, whole))
    return model


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse to write over anything but a model of which the user says so, and over a model of a run.

    Raises:
        ParameterError: what is at ``out``.
    """
    if (out.resolve().parent / RESULTS).is_file():
        raise ParameterError(
            f"--out: {out} is in the folder of a run, which holds what it tested; choose another folder"
        )
    if not out.exists():
        return
    if not out.is_dir():
        raise ParameterError(f"--out: must be a folder, and {out} is a file; choose another name")
    if is_artifact(out) and not overwrite:
        raise ParameterError(
            f"--out: {out} holds a model already; add --overwrite to replace it, or choose another folder"
        )
    if not is_artifact(out) and any(out.iterdir()):
        raise ParameterError(f"--out: {out} holds other files; choose another folder")


def _of_model(folder: Path, settings: Settings) -> _Plan:
    """Return what trains the configuration of a model."""
    artifact = Artifact.read(folder)
    about = artifact.about
    if not {"protocol", "seed"} <= about.keys() or not ("result" in about or about.get("trained_on") == EVERYTHING):
        raise ArtifactError(
            f"{folder}: names no protocol, so it was not written by a run; name a model of a run, or use --config"
        )
    if about.get("decides"):
        raise ArtifactError(
            f"{folder}: learnt from a teacher, or was one and not trained there; name a model that a run trained alone"
        )
    name = artifact.model
    if "result" in about:
        row = ModelResult.model_validate(about["result"])
        epochs, like = chosen_epochs(row.curve), _tested(folder, about, row)
    else:
        epochs = {stage: Epochs.model_validate(one) for stage, one in about["epochs"].items()}
        like = about["like"]
    config, epochs = with_epochs(artifact.config, epochs, settings.get(name, {}), model_class(name).Config)
    own = {owner: dict(values) for owner, values in settings.items() if owner != PROTOCOL}
    recipe = Recipe(models=[name], set={**own, name: config}, baselines=False)
    (entry,) = build_entries(recipe, alone=True)
    changes = {PROTOCOL: dict(settings.get(PROTOCOL, {}))}
    return _Plan(
        entry,
        epochs,
        about["seed"],
        recipe.model_copy(update={"set": changes}),
        Protocol.of(about["protocol"]),
        like,
    )


def _of_recipe(recipe: Recipe, settings: Settings) -> _Plan:
    """Return what trains the model of a recipe."""
    if len(set(recipe.models)) != 1:
        raise ParameterError(f"--config: must name one model, got {', '.join(recipe.models) or 'none'}")
    recipe = recipe.model_copy(update={"baselines": False, "set": merge(recipe.set, settings)})
    (entry,) = build_entries(recipe, alone=True)
    name, config = entry.model.name, entry.model.config.model_dump(mode="json")
    why = "best of the trial on validation" if recipe.chosen_epochs else "of the configuration"
    epochs = {stage: Epochs(epochs=count, why=why) for stage, count in recipe.chosen_epochs.items()}
    config, epochs = with_epochs(config, epochs or epochs_of(config, why), settings.get(name, {}), entry.model.Config)
    rebuilt = recipe.model_copy(update={"preset": {}, "set": {**recipe.set, name: config}})
    (entry,) = build_entries(rebuilt)
    return _Plan(entry, epochs, recipe.seed, recipe)


def _tested(folder: Path, about: Mapping[str, Any], row: ModelResult) -> dict[str, Any]:
    """Return what the manifest says of the model that this one is like."""
    return {
        "path": folder.as_posix(),
        "model": row.model,
        "log": about["log"],
        "key": about["key"],
        "hash": about["protocol"]["hash"],
        "fingerprint": about["protocol"]["fingerprint"],
        "metrics": row.metrics,
    }


def _facts(plan: _Plan, whole: WholeLog) -> dict[str, Any]:
    left = whole.stages[-1].statistics
    return {
        "trained_on": EVERYTHING,
        "data": {
            "fingerprint": whole.fingerprint,
            "events": left.events,
            "sessions": left.sessions,
            "items": left.items,
            "first_time": left.first_time,
            "last_time": left.last_time,
        },
        "protocol": {"fingerprint": whole.fingerprint, **whole.protocol.model_dump(mode="json")},
        "epochs": {stage: one.model_dump() for stage, one in plan.epochs.items()},
        "like": plan.like,
    }
