"""What is searched, on what data, and by what it is judged."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segue.data.events import Events
from segue.errors import ParameterError
from segue.evaluation.measure import measure
from segue.experiment.config import PROTOCOL, RunConfig
from segue.experiment.model_specs import ModelSpec, build_specs
from segue.experiment.run_folder import settings_of
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


@dataclass(frozen=True, eq=False)
class Task:
    """A search that is ready to begin.

    Attributes:
        config: one model, with the metric by which its epochs are picked.
        data: the prepared log; only its training and validation parts are used.
        spaces: where each parameter is searched.
        metric: what is looked for the best of.
        plan: how the search goes on.
        runtime: device, precision and progress of each fit.
    """

    config: RunConfig
    data: Dataset
    spaces: Mapping[str, Space]
    metric: str
    plan: Tuning
    runtime: Runtime

    @classmethod
    def of(
        cls,
        config: RunConfig,
        plan: Tuning,
        *,
        events: Events | None = None,
        data: Dataset | None = None,
        progress: Progress,
    ) -> "Task":
        """Check a config and a plan, and prepare the log.

        Args:
            config: the configuration.
            plan: the plan.
            events: the log, if it is not to be read.
            data: what was prepared of the log already, for this very configuration.
            progress: receives progress updates.

        Raises:
            InputError: the config, the spaces, the protocol or the log breaks a rule.
        """
        if len(set(config.models)) != 1:
            raise ParameterError(f"--model: must name one model to tune, got {', '.join(config.models) or 'none'}")
        config = config.model_copy(update={"models": config.models[:1], "baselines": False})
        if data is None:
            config, data = with_prepared(config, events)
        build_specs(config, alone=True)
        spaces = search_space(config, plan.search, only=plan.only)
        runtime = Runtime(device=config.device, precision=config.precision)
        runtime.check()
        data = data or prepare_log(config, events)
        config = _with_protocol(config, data)
        for note in data.notes:
            logger.info(note)
        _check_validation(data)
        metric = _metric(config, plan, data)
        config = _picking_epochs_by(config, metric)
        build_model(config).check(data.train)
        spaces = suited(config, spaces, plan.search.get(config.models[0], {}), data.train)
        return cls(config, data, spaces, metric, plan, runtime)

    def settings(self) -> dict[str, Any]:
        """Return what decides the outcome, as run.json holds it."""
        name = self.config.models[0]
        search = {name: str(space) for name, space in self.spaces.items()}
        spec = ModelSpec(name, build_model(self.config), extra={"search": search})
        settings = settings_of(self.data, self.config, self.runtime, [spec])
        return {**settings, "run": {**settings["run"], "metric": self.metric, "prune": self.plan.prune}}

    def found(self, values: Mapping[str, Any]) -> RunConfig:
        """Return the config with values that were found."""
        name = self.config.models[0]
        return self.config.model_copy(update={"set": merge(self.config.set, {name: nested(values)})})

    def defaults(self) -> dict[str, Any]:
        """Return the values that the parameters have without a search, as far as they lie in their spaces."""
        values = flatten(build_model(self.config).config.model_dump())
        return {name: values[name] for name, space in self.spaces.items() if name in values and values[name] in space}

    def judge(self, model: Model) -> float:
        """Return the value of the metric on the validation part, among all items, as a training measures it."""
        assert self.data.valid is not None
        return measure(model, self.data.valid, metrics=[self.metric]).metrics[self.metric]


def _with_protocol(config: RunConfig, data: Dataset) -> RunConfig:
    """Return the config with the protocol of a data set, so that what is found prepares the log as it was prepared."""
    name, own = protocol_settings(data.protocol)
    settings = {model: values for model, values in config.set.items() if model != PROTOCOL}
    return config.model_copy(update={"protocol": name, "set": settings | ({PROTOCOL: own} if own else {})})


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


def _metric(config: RunConfig, plan: Tuning, data: Dataset) -> str:
    """Return what is looked for the best of: what was asked for, what epochs are picked by, or the protocol's own."""
    (name,) = config.models
    given = flatten(config.set.get(name, {})).get("training.metric")
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


def _picking_epochs_by(config: RunConfig, metric: str) -> RunConfig:
    """Return the config whose model, if it learns in epochs, picks the best one by a metric."""
    (name,) = config.models
    if not isinstance(build_model(config).config, NeuralConfig):
        return config
    return config.model_copy(update={"set": merge(config.set, {name: {"training": {"metric": metric}}})})
