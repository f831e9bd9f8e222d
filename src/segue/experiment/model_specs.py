"""The models of a run, built from a recipe."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segue.data.cases import Cases
from segue.data.sessions import SECONDS_PER_DAY, Sessions
from segue.errors import InputError, ParameterError, UnknownNameError
from segue.experiment.recipe import PROTOCOL, Recipe
from segue.models.base import Model
from segue.models.catalog import model_class, model_names
from segue.models.popularity import Popularity
from segue.parameters import merge
from segue.protocols.protocol import Protocol
from segue.training.runtime import Runtime

BASELINES = ("popularity", "markov", "sequential-rules", "v-sknn")
"""Trained in every run that does not refuse them, besides popularity in the last days where the log has times."""


@dataclass(frozen=True)
class Entry:
    """A model to train, under the name that it has in this run."""

    label: str
    model: Model
    baseline: bool

    def fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Train the model."""
        self.model.fit(train, valid=valid, seed=seed, runtime=runtime)

    def decides(self) -> dict[str, Any]:
        """Return what decides the outcome besides log, model, parameters and seed, ready for JSON."""
        return {}


def build_entries(recipe: Recipe, *, alone: bool = False) -> list[Entry]:
    """Build the models that were asked for, and the baselines that were not.

    Args:
        recipe: names the models and sets their parameters.
        alone: the recipe has one model and takes no other; so messages do not ask to add one.

    Raises:
        ParameterError: names and parameters that are wrong; all mistakes come together.
    """
    asked = list(dict.fromkeys(recipe.models))
    names = list(dict.fromkeys([*asked, *(BASELINES if recipe.baselines else ())]))
    if not names:
        raise ParameterError("--model: names no model and the baselines are off; name one (see: segue models)")
    remedy = (
        f"is not the model that is trained here, {names[0]}; leave it out"
        if alone
        else "is not trained in this run; add it to --model"
    )
    entries, mistakes = [], _strangers("--set", recipe.set, [PROTOCOL, *names], remedy)
    mistakes += _strangers("--preset", recipe.preset, names, remedy)
    for name in names:
        try:
            kind = model_class(name)
            model = kind(preset=recipe.preset.get(name), **_parameters(kind, recipe))
            entries.append(Entry(name, model, baseline=name not in asked))
        except InputError as error:
            mistakes.append(str(error))
    _raise(mistakes)
    return entries


def _parameters(kind: type[Model], recipe: Recipe) -> dict[str, Any]:
    """Return what was set for a model; the protocol's metric, if it names one, chooses the best epoch."""
    preset: Mapping[str, Any] = Protocol.presets.get(recipe.protocol or "", {})
    metric = {**preset, **recipe.set.get(PROTOCOL, {})}.get("valid_metric")
    training = getattr(kind.Config.model_construct(), "training", None)
    judged = {"training": {"metric": metric}} if metric is not None and hasattr(training, "metric") else {}
    return merge(judged, recipe.set.get(kind.name, {}))


def recent_popularity(train: Sessions) -> list[Entry]:
    """Return the baseline that depends on the log: popularity in its last days, where it has times."""
    if train.times is None:
        return []
    # "Recent" is the last week of a log of some weeks, the last day of a shorter one.
    days = 7 if train.times.max() - train.times.min() >= 21 * SECONDS_PER_DAY else 1
    return [Entry(f"popularity-{days}d", Popularity(window_days=float(days)), baseline=True)]


def check_entries(entries: Sequence[Entry], train: Sessions) -> None:
    """Refuse models that cannot learn from the log.

    Raises:
        ParameterError: the parameters that do not suit it, all together.
    """
    mistakes = []
    for entry in entries:
        try:
            entry.model.check(train)
        except ParameterError as error:
            mistakes.append(str(error))
    _raise(mistakes)


def _strangers(option: str, owners: Iterable[str], names: Sequence[str], remedy: str) -> list[str]:
    """Say whose parameters are given without any use for them in this run."""
    known = set(model_names())
    return [
        f"{option}: {owner} {remedy}"
        if owner in known
        else f"{option}: {UnknownNameError('model', owner, known | set(names))}"
        for owner in owners
        if owner not in names
    ]


def _raise(mistakes: Sequence[str]) -> None:
    if mistakes:
        raise ParameterError("\n".join(mistakes))
