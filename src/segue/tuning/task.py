"""What is searched, on what data, and by what it is judged."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segue.data.events import Events
from segue.errors import ParameterError
from segue.evaluation.measure import measure
from segue.experiment.begun import settings_of
from segue.experiment.model_specs import Entry, build_entries
from segue.experiment.recipe import PROTOCOL, Recipe
from segue.experiment.source import prepare_log, protocol_settings, with_prepared
from segue.metrics import CHOOSING_METRICS, MetricName
from segue.models.base import Model
from segue.models.neural import NeuralConfig
from segue.parameters import flatten, merge, nested
from segue.progress import Progress
from segue.protocols.dataset import Dataset
from segue.spaces import Space
from segue.training.runtime import Runtime
from segue.tuning.plan import Tuning
from segue.tuning.space import build_model, search_space, suited

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Searched(Entry):
    """The model as it stands, and where its parameters are searched."""

    spaces: Mapping[str, Space]

    def decides(self) -> dict[str, Any]:
        """Return the spaces, as they are typed."""
        return {"search": {name: str(space) for name, space in self.spaces.items()}}


@dataclass(frozen=True, eq=False)
class Task:
    """A search that is ready to begin.

    Attributes:
        recipe: one model, with the metric by which its epochs are picked.
        data: the prepared log; only its training and validation parts are used.
        spaces: where each parameter is searched.
        metric: what is looked for the best of.
        plan: how the search goes on.
        runtime: device, precision and progress of each fit.
    """

    recipe: Recipe
    data: Dataset
    spaces: Mapping[str, Space]
    metric: str
    plan: Tuning
    runtime: Runtime

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        plan: Tuning,
        *,
        events: Events | None = None,
        data: Dataset | None = None,
        progress: Progress,
    ) -> "Task":
        """Check a recipe and a plan, and prepare the log.

        Args:
            recipe: the recipe.
            plan: the plan.
            events: the log, if it is not to be read.
            data: what was prepared of the log already, for this very recipe.
            progress: receives progress updates.

        Raises:
            InputError: the recipe, the spaces, the protocol or the log breaks a rule.
        """
        if len(set(recipe.models)) != 1:
            raise ParameterError(f"--model: must name one model to tune, got {', '.join(recipe.models) or 'none'}")
        recipe = recipe.model_copy(update={"models": recipe.models[:1], "baselines": False})
        if data is None:
            recipe, data = with_prepared(recipe, events)
        build_entries(recipe, alone=True)
        spaces = search_space(recipe, plan.search, only=plan.only)
        runtime = Runtime(device=recipe.device, precision=recipe.precision)
        runtime.check()
        data = data or prepare_log(recipe, events)
        recipe = _with_protocol(recipe, data)
        for note in data.notes:
            logger.info(note)
        _check_validation(data)
        metric = _metric(recipe, plan, data)
        recipe = _picking_epochs_by(recipe, metric)
        build_model(recipe).check(data.train)
        spaces = suited(recipe, spaces, plan.search.get(recipe.models[0], {}), data.train)
        return cls(recipe, data, spaces, metric, plan, runtime)

    def settings(self) -> dict[str, Any]:
        """Return what decides the outcome, as begun.json holds it."""
        name = self.recipe.models[0]
        entry = Searched(name, build_model(self.recipe), baseline=False, spaces=self.spaces)
        settings = settings_of(self.data, self.recipe, self.runtime, [entry])
        return {**settings, "run": {**settings["run"], "metric": self.metric, "prune": self.plan.prune}}

    def found(self, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe with values that were found."""
        name = self.recipe.models[0]
        return self.recipe.model_copy(update={"set": merge(self.recipe.set, {name: nested(values)})})

    def defaults(self) -> dict[str, Any]:
        """Return the values that the parameters have without a search, as far as they lie in their spaces."""
        values = flatten(build_model(self.recipe).config.model_dump())
        return {name: values[name] for name, space in self.spaces.items() if name in values and values[name] in space}

    def judge(self, model: Model) -> float:
        """Return the value of the metric on the validation part, among all items, as a training measures it."""
        assert self.data.valid is not None
        return measure(model, self.data.valid, metrics=[self.metric]).metrics[self.metric]


def _with_protocol(recipe: Recipe, data: Dataset) -> Recipe:
    """Return the recipe with the protocol of a data set, so that what is found prepares the log as it was prepared."""
    name, own = protocol_settings(data.protocol)
    settings = {model: values for model, values in recipe.set.items() if model != PROTOCOL}
    return recipe.model_copy(update={"protocol": name, "set": settings | ({PROTOCOL: own} if own else {})})


def _check_validation(data: Dataset) -> None:
    if not data.protocol.tests_apart:
        raise ParameterError(
            "protocol.leave: must be 'valid_and_test' to tune, got 'valid_only': there the events of validation are "
            "those of the test, and what is best on them looks better than it is"
        )
    if data.valid is None:
        raise ParameterError(
            f"protocol: must hold out a validation part to tune on, and '{data.protocol.name}' with the split "
            f"'{data.protocol.split}' holds out none here; set what its split asks for: protocol.valid_days, "
            "valid_share, valid_from, ratios or leave"
        )


def _metric(recipe: Recipe, plan: Tuning, data: Dataset) -> str:
    """Return what is looked for the best of: what was asked for, what epochs are picked by, or the protocol's own."""
    (name,) = recipe.models
    given = flatten(recipe.set.get(name, {})).get("training.metric")
    if given and plan.metric and given != plan.metric:
        raise ParameterError(
            f"--metric: must be {name}.training.metric, which is {given}, got {plan.metric}: "
            "a trial is judged by what its best epoch is picked by; give one of them"
        )
    metric: str = plan.metric or given or data.protocol.valid_metric or data.protocol.metrics[0]
    if MetricName.parse(metric).name not in CHOOSING_METRICS:
        raise ParameterError(
            f"--metric: must be a metric of ranks, got {metric}; name one of {', '.join(sorted(CHOOSING_METRICS))}"
        )
    return metric


def _picking_epochs_by(recipe: Recipe, metric: str) -> Recipe:
    """Return the recipe whose model, if it learns in epochs, picks the best one by a metric."""
    (name,) = recipe.models
    if not isinstance(build_model(recipe).config, NeuralConfig):
        return recipe
    return recipe.model_copy(update={"set": merge(recipe.set, {name: {"training": {"metric": metric}}})})
