"""What `segue fit` trains, found in a tested model or in a configuration: a model, its epochs, and the cleaning."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from segue.artifact import EVERYTHING, Artifact
from segue.data.events import LogFacts
from segue.errors import ArtifactError, ParameterError
from segue.experiment.config import PROTOCOL, RunConfig
from segue.experiment.model_specs import ModelSpec, build_specs
from segue.experiment.results import Epoch, ModelResult
from segue.experiment.training_facts import Epochs, check_facts
from segue.models.registry import model_class, model_names
from segue.parameters import flatten, merge, nested
from segue.protocols.protocol import Protocol
from segue.protocols.selection import choose

Settings = Mapping[str, Mapping[str, Any]]
"""Parameters to change, by model name and ``protocol``."""

_TRAINING, _FINE_TUNING, _LISTS = "training", "fine-tuning", "lists"
_FURTHER = (_FINE_TUNING, _LISTS)
"""Stages that continue a training; validation may reject all their epochs."""
_PAIR = ("retriever", "ranker")


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained: a model, for how many epochs, on a log that is cleaned in which way.

    Attributes:
        spec: the model.
        epochs: its epochs by stage.
        seed: seed of every random draw.
        config: names and sets the protocol, where ``protocol`` is None.
        protocol: cleans the log, before the changes of ``config``.
        like: facts about the tested model that the configuration comes from.
        metadata: columns of its items.
    """

    spec: ModelSpec
    epochs: dict[str, Epochs]
    seed: int
    config: RunConfig
    protocol: Protocol | None = None
    like: dict[str, Any] | None = None
    metadata: Sequence[str] = ()

    def cleaning(self, events: LogFacts) -> Protocol:
        """Return the protocol whose cleaning steps are taken."""
        changes = self.config.set.get(PROTOCOL, {})
        return self.protocol.changed(changes) if self.protocol else choose(events, self.config.protocol, changes)[0]


def plan_training(like: str | Path | RunConfig, settings: Settings | None = None) -> TrainingPlan:
    """Return the training plan for the configuration of a tested model, or for a configuration with one model.

    Args:
        like: folder of the model, or the configuration.
        settings: parameters to change.

    Raises:
        ArtifactError: ``like`` is not a model of a run.
        InputError: a parameter breaks a rule, or the configuration does not name one model.
    """
    settings = settings or {}
    return _plan_of_config(like, settings) if isinstance(like, RunConfig) else _plan_of_model(Path(like), settings)


def _plan_of_model(folder: Path, settings: Settings) -> TrainingPlan:
    """Return the training plan for the configuration of a model."""
    artifact = Artifact.read(folder)
    about, name = artifact.about, artifact.model
    if not {"protocol", "seed"} <= about.keys() or not ("result" in about or about.get("trained_on") == EVERYTHING):
        raise ArtifactError(
            f"{folder}: has no protocol, so it was not written by a run; name a model of a run, or use --config"
        )
    check_facts(folder, about)
    if about.get("extra"):
        raise ArtifactError(
            f"{folder}: was trained by distillation, or is a teacher; name a model that a run trained without a teacher"
        )
    if "result" in about:
        row = ModelResult.model_validate(about["result"])
        epochs, like = chosen_epochs(row.curve), _tested(folder, about, row)
    else:
        epochs = {stage: Epochs.model_validate(one) for stage, one in about["epochs"].items()}
        like = about["like"]
    kind = model_class(name)
    chosen = {**artifact.config, **kind.chosen_parameters(artifact.config, artifact.arrays, settings.get(name, {}))}
    values, epochs = with_epochs(chosen, epochs, settings.get(name, {}), kind.Config)
    own = {owner: dict(some) for owner, some in settings.items() if owner != PROTOCOL}
    (spec,) = build_specs(RunConfig(models=[name], set={**own, name: values}, baselines=False), alone=True)
    changes = RunConfig(set={PROTOCOL: dict(settings.get(PROTOCOL, {}))})
    protocol = Protocol.of(about["protocol"], folder)
    return TrainingPlan(spec, epochs, about["seed"], changes, protocol, like, artifact.vocabulary.metadata)


def _plan_of_config(config: RunConfig, settings: Settings) -> TrainingPlan:
    """Return the training plan for the model of a configuration."""
    if len(set(config.models)) != 1:
        raise ParameterError(f"--config: must name one model, got {', '.join(config.models) or 'none'}")
    config = config.model_copy(update={"baselines": False, "set": merge(config.set, settings)})
    (spec,) = build_specs(config, alone=True)
    name, values = spec.model.name, spec.model.config.model_dump(mode="json")
    why = "best of the trial on validation" if config.chosen_epochs else "of the configuration"
    epochs = {stage: Epochs(epochs=count, why=why) for stage, count in config.chosen_epochs.items()}
    values, epochs = with_epochs(values, epochs or epochs_of(values, why), settings.get(name, {}), spec.model.Config)
    (spec,) = build_specs(config.model_copy(update={"preset": {}, "set": {**config.set, name: values}}))
    return TrainingPlan(spec, epochs, config.seed, config)


def _tested(folder: Path, about: Mapping[str, Any], row: ModelResult) -> dict[str, Any]:
    """Return the facts about the tested model for the manifest."""
    return {
        "path": folder.as_posix(),
        "model": row.model,
        "log": about["log"],
        "key": about["key"],
        "hash": about["protocol"]["hash"],
        "fingerprint": about["protocol"]["fingerprint"],
        "metrics": row.metrics,
    }


def chosen_epochs(curve: Iterable[Epoch]) -> dict[str, Epochs]:
    """Return, by stage, the number of epochs that led to the final weights of a fit.

    With validation, these are the epochs up to the best epoch; without validation, all epochs. A teacher is not a
    stage: it is trained for as many epochs as its student.
    """
    stages: dict[str, list[Epoch]] = {}
    for epoch in curve:
        stages.setdefault(epoch.stage, []).append(epoch)
    return {stage: _chosen(stage, epochs) for stage, epochs in stages.items() if _parameter(stage) is not None}


def _chosen(stage: str, epochs: list[Epoch]) -> Epochs:
    if epochs[-1].validation is None:
        return Epochs(epochs=len(epochs), why="all, without validation")
    kept = [number for number, epoch in enumerate(epochs, 1) if epoch.kept]
    if kept:
        return Epochs(epochs=kept[-1], why=f"best of {len(epochs)} on validation")
    if stage.rsplit(", ", maxsplit=1)[-1] in _FURTHER:
        return Epochs(epochs=0, why=f"no epoch of {len(epochs)} improved validation; the stage is skipped")
    return Epochs(epochs=len(epochs), why="all, because validation was equal for all epochs")


def with_epochs(
    config: Mapping[str, Any],
    epochs: Mapping[str, Epochs],
    changes: Mapping[str, Any],
    declared: type[BaseModel] | None = None,
) -> tuple[dict[str, Any], dict[str, Epochs]]:
    """Return a configuration with the epochs of each stage and further changes, and the resulting epochs.

    Args:
        config: all parameters of a model.
        epochs: epochs by stage.
        changes: parameters that the user sets; they override ``epochs``.
        declared: class of the configuration.
    """
    by_hand, in_force, found = flatten(changes), {}, dict(config)
    for stage, one in epochs.items():
        name = _parameter(stage)
        if name is None:
            continue
        given = by_hand.get(name)
        in_force[stage] = one if given is None else Epochs(epochs=given, why="set by hand")
        none = stage == _LISTS and not one.epochs
        found = merge(found, {"listwise": {"loss": None}} if none else nested({name: one.epochs}))
    return merge(found, changes, declared), in_force


def epochs_of(config: Mapping[str, Any], why: str) -> dict[str, Epochs]:
    """Return the epochs of the main training in a configuration, if the model is trained in epochs."""
    epochs = flatten(config).get("training.epochs")
    return {} if epochs is None else {_TRAINING: Epochs(epochs=epochs, why=why)}


def _parameter(stage: str) -> str | None:
    """Return the dotted name of the parameter that says how many epochs a stage takes."""
    first, *rest = stage.split(", ")
    if first in _PAIR:
        own = _parameter(rest[0] if rest else _TRAINING)
        return None if own is None else f"{first}_parameters.{own}"
    if first in model_names():  # A model of a blend.
        own = _parameter(", ".join(rest) or _TRAINING)
        return None if own is None else f"parameters.{first}.{own}"
    return {_TRAINING: "training.epochs", _FINE_TUNING: "training.fine_tuning.epochs", _LISTS: "listwise.epochs"}.get(
        first
    )
