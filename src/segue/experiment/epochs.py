"""How many epochs a fit without validation takes: as many as validation chose in an earlier one."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from segue.experiment.results import Epoch
from segue.parameters import flatten, merge, nested

_TRAINING, _FINE_TUNING, _LISTS = "training", "fine-tuning", "lists"
_FURTHER = (_FINE_TUNING, _LISTS)
"""Stages that go on with a trained model: validation may keep none of their epochs."""
_PAIR = ("retriever", "ranker")


class Epochs(BaseModel):
    """Epochs of one stage of a training."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    epochs: int
    """How many; 0 leaves the stage out."""
    why: str
    """Where the number comes from, for example ``best of 7 on validation``."""


def chosen_epochs(curve: Iterable[Epoch]) -> dict[str, Epochs]:
    """Return by stage how many epochs led to the weights that a fit kept.

    With validation these are the epochs up to the best one, without it all of them. A teacher is not among the stages:
    it trains for as many epochs as its student.
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
        return Epochs(epochs=0, why=f"none of {len(epochs)} was better on validation than none")
    return Epochs(epochs=len(epochs), why="all, for validation could not tell them apart")


def with_epochs(
    config: Mapping[str, Any],
    epochs: Mapping[str, Epochs],
    changes: Mapping[str, Any],
    declared: type[BaseModel] | None = None,
) -> tuple[dict[str, Any], dict[str, Epochs]]:
    """Return a configuration with the epochs of each stage and changes on top of them, and the epochs in force.

    Args:
        config: all parameters of a model.
        epochs: epochs by stage.
        changes: parameters that the user sets; epochs among them replace those of ``epochs``.
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
    """Return the epochs that a configuration names for its main training, if it learns in epochs."""
    epochs = flatten(config).get("training.epochs")
    return {} if epochs is None else {_TRAINING: Epochs(epochs=epochs, why=why)}


def _parameter(stage: str) -> str | None:
    """Return the dotted name of the parameter that says how many epochs a stage takes."""
    first, *rest = stage.split(", ")
    if first in _PAIR:
        own = _parameter(rest[0] if rest else _TRAINING)
        return None if own is None else f"{first}_parameters.{own}"
    known = {_TRAINING: "training.epochs", _FINE_TUNING: "training.fine_tuning.epochs", _LISTS: "listwise.epochs"}
    return known.get(first)
