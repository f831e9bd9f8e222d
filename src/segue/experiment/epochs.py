"""How many epochs each stage of a training takes: those that validation chose, and the parameters that say so."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from segue.experiment.results import Epoch
from segue.models.registry import BUILT_IN
from segue.parameters import flatten, merge, nested

_TRAINING, _FINE_TUNING, _LISTS = "training", "fine-tuning", "lists"
_FURTHER = (_FINE_TUNING, _LISTS)
"""Stages that continue a training; validation may reject all their epochs."""
_PAIR = ("retriever", "ranker")


class Epochs(BaseModel):
    """Epochs of one stage of a training."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    epochs: int = Field(ge=0, le=1_000_000)
    """Number of epochs; 0 skips the stage."""
    why: str
    """Where the number comes from, for example ``best of 7 on validation``."""


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
    if first in BUILT_IN:  # A model of a blend.
        own = _parameter(", ".join(rest) or _TRAINING)
        return None if own is None else f"parameters.{first}.{own}"
    return {_TRAINING: "training.epochs", _FINE_TUNING: "training.fine_tuning.epochs", _LISTS: "listwise.epochs"}.get(
        first
    )
