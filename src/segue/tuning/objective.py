"""The objective of a search: a model, its search space, the data, and the metric to maximise."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segue.data.events import Events
from segue.errors import ParameterError
from segue.evaluation.measure import measure
from segue.experiment.config import PROTOCOL, RunConfig
from segue.experiment.model_specs import ModelSpec, build_runtime, build_specs
from segue.experiment.prepared_data import prepare_log, protocol_settings, require_validation, with_prepared
from segue.experiment.run_settings import settings_of
from segue.metrics import SELECTION_METRICS, MetricName
from segue.models.base import Model
from segue.models.neural import NeuralConfig
from segue.parameters import flatten, merge, nested
from segue.progress import Progress
from segue.protocols.dataset import Dataset
from segue.protocols.ranking import Ranking
from segue.spaces import Space
from segue.threads import worker_threads
from segue.training.runtime import Runtime
from segue.tuning import TuningConfig
from segue.tuning.search_space import applicable, build_model, search_space

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Objective:
    """The objective of a search, checked and ready to start.

    Attributes:
        run_config: one model, with the metric by which its epochs are picked.
        data: the prepared log; only its training and validation parts are used.
        spaces: the search space of each parameter.
        metric: the validation metric to maximise.
        config: the options of the search.
        runtime: device, precision and progress of each fit.
    """

    run_config: RunConfig
    data: Dataset
    spaces: Mapping[str, Space]
    metric: str
    config: TuningConfig
    runtime: Runtime

    @classmethod
    def of(
        cls,
        run_config: RunConfig,
        config: TuningConfig,
        *,
        events: Events | None = None,
        data: Dataset | None = None,
        progress: Progress,
    ) -> "Objective":
        """Check a run configuration and the options of a search, and prepare the log.

        Args:
            run_config: the run configuration.
            config: the options of the search.
            events: the log, if it is not to be read.
            data: the prepared log, if it exists already for this very run configuration.
            progress: receives progress updates.

        Raises:
            InputError: the run configuration, the spaces, the protocol or the log breaks a rule.
        """
        if len(set(run_config.models)) != 1:
            raise ParameterError(f"--model: must name one model to tune, got {', '.join(run_config.models) or 'none'}")
        run_config = run_config.model_copy(update={"models": run_config.models[:1], "baselines": False})
        if data is None:
            run_config, data = with_prepared(run_config, events)
        build_specs(run_config, alone=True)
        spaces = search_space(run_config, config.search, only=config.only)
        runtime = build_runtime(run_config)
        data = data or prepare_log(run_config, events)
        run_config = _with_protocol(run_config, data)
        for note in data.notes:
            logger.info(note)
        require_validation(data, "tune")
        metric = _metric(run_config, config, data)
        run_config = _with_metric(run_config, metric)
        build_model(run_config).check(data.train)
        spaces = applicable(run_config, spaces, config.search.get(run_config.models[0], {}), data.train)
        return cls(run_config, data, spaces, metric, config, runtime)

    def settings(self) -> dict[str, Any]:
        """Return all settings that affect the result, as in run.json."""
        name = self.run_config.models[0]
        search = {name: str(space) for name, space in self.spaces.items()}
        spec = ModelSpec(name, build_model(self.run_config), extra={"search": search})
        threads = worker_threads(self.config.workers)
        settings = settings_of(self.data, self.run_config, self.runtime, [spec], threads=threads)
        return {**settings, "run": {**settings["run"], "metric": self.metric, "prune": self.config.prune}}

    def config_with(self, values: Mapping[str, Any]) -> RunConfig:
        """Return the run configuration with values of its parameters."""
        name = self.run_config.models[0]
        return self.run_config.model_copy(update={"set": merge(self.run_config.set, {name: nested(values)})})

    def defaults(self) -> dict[str, Any]:
        """Return the values that the parameters have before the search, as far as they lie in their spaces."""
        values = flatten(build_model(self.run_config).config.model_dump())
        return {name: values[name] for name, space in self.spaces.items() if name in values and values[name] in space}

    def value(self, model: Model) -> float:
        """Return the metric on the validation part, ranked among all items, as a training measures it."""
        assert self.data.valid is not None
        return measure(model, self.data.valid, Ranking(metrics=(self.metric,))).metrics[self.metric]


def _with_protocol(run_config: RunConfig, data: Dataset) -> RunConfig:
    """Return the run configuration with the protocol of a data set, so that its best model prepares logs alike."""
    name, own = protocol_settings(data.protocol)
    settings = {model: values for model, values in run_config.set.items() if model != PROTOCOL}
    return run_config.model_copy(update={"protocol": name, "set": settings | ({PROTOCOL: own} if own else {})})


def _metric(run_config: RunConfig, config: TuningConfig, data: Dataset) -> str:
    """Return the metric to maximise: the option, the metric that selects epochs, or the protocol's first."""
    (name,) = run_config.models
    given = flatten(run_config.set.get(name, {})).get("training.metric")
    if given and config.metric and given != config.metric:
        raise ParameterError(
            f"--metric: must be {name}.training.metric, which is {given}, got {config.metric}: "
            "a trial is judged by the metric that selects its best epoch; give one of them"
        )
    metric: str = config.metric or given or data.protocol.valid_metric or data.protocol.ranking.metrics[0]
    if MetricName.parse(metric).name not in SELECTION_METRICS:
        raise ParameterError(
            f"--metric: must be a metric of ranks, got {metric}; name one of {', '.join(sorted(SELECTION_METRICS))}"
        )
    return metric


def _with_metric(run_config: RunConfig, metric: str) -> RunConfig:
    """Return the run configuration whose model, if it trains in epochs, selects the best one by a metric."""
    (name,) = run_config.models
    if not isinstance(build_model(run_config).config, NeuralConfig):
        return run_config
    return run_config.model_copy(update={"set": merge(run_config.set, {name: {"training": {"metric": metric}}})})
