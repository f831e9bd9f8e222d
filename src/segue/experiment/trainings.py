"""The trainings of a run, as its charts show them: each model once, and each part of a model on a line of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segue.experiment.results import Epoch, ModelResult
from segue.models.factorisation import FACTORISATION
from segue.parameters import flatten

_OWN = ("training", "fine-tuning", "lists", FACTORISATION)
"""Stages in which a model itself is trained; other stages name the part of it that is."""


@dataclass(frozen=True)
class Training:
    """The training of a model, or of a part of one.

    Attributes:
        label: label of the model, with the name of the part in brackets.
        epochs: its epochs, counted from 1.
        metric: the metric that was validated; None if the configuration does not name it.
    """

    label: str
    epochs: list[Epoch]
    metric: str | None

    @property
    def factorises(self) -> bool:
        """Whether the model is a factorisation, whose loss is on a scale of its own."""
        return self.epochs[0].stage.split(", ")[-1] == FACTORISATION or self.epochs[0].train_auc is not None


def trainings(rows: Sequence[ModelResult]) -> list[Training]:
    """Return the trainings of some models, in their order.

    A part that was trained as a model of its own, as those of a blend in a run are, is not repeated, nor are its parts.

    Args:
        rows: the models.
    """
    split = [(row, part, epochs) for row in rows for part, epochs in _by_part(row.curve)]
    by_depth = sorted(range(len(split)), key=lambda index: _depth(split[index][1]))
    shown: list[list[dict[str, float]]] = []
    kept = set()
    for index in by_depth:
        _, part, epochs = split[index]
        if not part or _figures(epochs) not in shown:
            shown.append(_figures(epochs))
            kept.add(index)
    return [_training(*one) for index, one in enumerate(split) if index in kept]


def _training(row: ModelResult, part: str, epochs: Sequence[Epoch]) -> Training:
    counted = [epoch.model_copy(update={"epoch": number}) for number, epoch in enumerate(epochs, 1)]
    return Training(f"{row.label} ({part})" if part else row.label, counted, _metric(row, part))


def _depth(part: str) -> int:
    """Return how far inside a model a part is; 0 for the model itself."""
    return part.count(", ") + 1 if part else 0


def _by_part(curve: Sequence[Epoch]) -> Iterator[tuple[str, list[Epoch]]]:
    """Yield the epochs of each part of a model; the name of the model itself is empty."""
    parts: dict[str, list[Epoch]] = {}
    for epoch in curve:
        *part, stage = epoch.stage.split(", ")
        parts.setdefault(", ".join(part if stage in _OWN else [*part, stage]), []).append(epoch)
    yield from parts.items()


def _figures(epochs: Sequence[Epoch]) -> list[dict[str, float]]:
    return [epoch.figures() for epoch in epochs]


def _metric(row: ModelResult, part: str) -> str | None:
    """Return the metric by which validation chooses among the epochs."""
    owners = (f"parameters.{part}.", f"{part}_parameters.") if part else ("",)
    config = flatten(row.config)
    return next((config[name] for owner in owners if (name := f"{owner}training.metric") in config), None)
