"""The choice among what a search has trained, and a blend of the best of it, on validation alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from segue.evaluation.linter.checks import evenly_spaced
from segue.evaluation.result import Evaluation
from segue.experiment.fit_and_test import FittedModel
from segue.experiment.model_specs import BlendSpec
from segue.model_selection.search import Search
from segue.models.blend import Blend

_NETWORKS, _COUNTS = 4, 4
"""Networks and count-based models that a blend is made of at most."""
_KINDS = {
    **dict.fromkeys(("v-sknn", "vstan", "stan"), "similar sessions"),
    **dict.fromkeys(("markov", "sequential-rules"), "next items"),
}
"""Count-based models that know much the same, of which the best one is blended; others are a kind of their own."""
_FAR = 0.5
"""Models below this share of the best value are not blended."""
_LEAST_WEIGHT = 0.05
"""Models of a lower weight are left out of the blend."""
_FIRST_CASES = 4_000
"""Validation cases that decide which models a blend needs."""
_FEWEST_BLENDED = 2


class Choice(NamedTuple):
    """The best model on validation.

    Attributes:
        label: the model.
        other: the next best single model; None if nothing else was trained.
        difference: by how much it is better, with a 95% interval.
    """

    label: str
    other: str | None
    difference: tuple[float, float, float] | None


def train_blend(search: Search) -> None:
    """Blend the best of what is trained, and keep only the models that have a weight.

    The weights are chosen on all validation cases. The value of the blend is cross-fitted: each half of the cases is
    ranked with weights that the other half chose.
    """
    if not _blended(search):
        search.record.candidates.pop(Blend.name, None)


def _blended(search: Search) -> bool:
    parts = _parts(search)
    if min(len(parts), len(search.valid)) < _FEWEST_BLENDED:
        return False
    some = evenly_spaced(len(search.valid), _FIRST_CASES)
    weights = _weighed(search, parts, some).weights
    used = [part for part, weight in zip(parts, weights, strict=True) if weight >= _LEAST_WEIGHT]
    if len(used) < _FEWEST_BLENDED:
        return False
    models = {label: search.trained[label].fitted for label in used}
    parameters = {label: one.model.config.model_dump(mode="json") for label, one in models.items()}
    spec = BlendSpec(
        Blend.name,
        Blend(models=used, parameters=parameters, metric=search.record.metric),
        extra=search.trained[used[0]].spec.extra,
        fitted={label: (one.model, one.row.curve) for label, one in models.items()},
    )
    fitted = search.written(spec)
    if fitted is None:
        search.record.candidates.pop(Blend.name, None)  # That of an interrupted search had other parts.
        fitted = search.fitted(spec)
    if fitted is None:
        return False
    search.measured(spec, fitted, _cross_fitted(search, used, fitted))
    return True


def choose(search: Search) -> Choice:
    """Choose the model with the highest value."""
    best, *others = (one.label for one in search.record.trained())
    other = next((label for label in others if label != Blend.name), None)
    search.record.chosen = best
    search.save()
    return Choice(best, other, None if other is None else _difference(search, best, other))


def _parts(search: Search) -> list[str]:
    """Return the models that are worth blending: those that go by their own name, and are not far behind."""
    trained = search.record.trained()
    ranked = [one for one in trained if search.trained[one.label].fitted.model.name == one.label]
    close = [one for one in ranked if (one.value or 0.0) >= _FAR * (ranked[0].value or 0.0)]
    networks = [one.label for one in close if one.epochs is not None][:_NETWORKS]
    best_of_kind: dict[str, str] = {}
    for one in close:
        if one.epochs is None:
            best_of_kind.setdefault(_KINDS.get(one.label, one.label), one.label)
    return networks + list(best_of_kind.values())[:_COUNTS]


def _weighed(search: Search, parts: Sequence[str], cases: np.ndarray) -> Blend:
    """Return a blend whose weights some validation cases choose."""
    blend = Blend(models=list(parts), metric=search.record.metric)
    models = [search.trained[label].fitted.model for label in parts]
    blend.take(models, search.valid[cases], search.runtime.progress, gains=False)
    return blend


def _cross_fitted(search: Search, parts: Sequence[str], fitted: FittedModel) -> Evaluation:
    """Return the validation of a blend, each half of the cases ranked with weights that the other half chose."""
    halves = np.array_split(np.arange(len(search.valid)), 2)
    found = []
    for chosen_on, measured_on in (halves[::-1], halves):
        model = _weighed(search, parts, chosen_on)
        found.append(search.ranked(replace(fitted, model=model), search.valid[measured_on]))
    metric = search.record.metric
    values = np.concatenate([one.values[metric] for one in found])
    return Evaluation(
        metrics={metric: float(values.mean())},
        values={metric: values},
        ranks=np.concatenate([one.ranks for one in found]),
        groups=np.concatenate([one.groups for one in found]),
        seed=search.seed,
    )


def _difference(search: Search, one: str, other: str) -> tuple[float, float, float]:
    """Return by how much one model is better than another on validation, with a 95% interval."""
    metric, first, second = search.record.metric, search.trained[one].evaluation, search.trained[other].evaluation
    values = first.values[metric] - second.values[metric]
    mean = float(values.mean())
    low, high = replace(first, values={metric: values}).confidence.get(metric, (mean, mean))
    return mean, low, high
