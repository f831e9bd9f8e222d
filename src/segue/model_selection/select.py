"""From a log to its best model within a budget: prepare, search on validation, choose, test once, report."""

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segue.data.cases import Cases
from segue.data.events import Events
from segue.errors import InputError, MissingExtraError, ParameterError
from segue.evaluation.linter import lint_log
from segue.evaluation.linter.checks import evenly_spaced
from segue.evaluation.slices import slice_problems
from segue.experiment.candidates import SearchResult
from segue.experiment.config import PROTOCOL, RunConfig
from segue.experiment.leaderboard import leaderboard
from segue.experiment.model_specs import (
    BASELINES,
    ModelSpec,
    build_runtime,
    build_specs,
    check_specs,
    recent_popularity_specs,
)
from segue.experiment.prepared_data import prepare_log, require_validation, with_prepared
from segue.experiment.results import Results
from segue.experiment.run_folder import BEST, claimed_folder
from segue.experiment.run_settings import read_settings
from segue.experiment.run_writer import RunWriter
from segue.experiment.suggestions import COUNT_BASED, NETWORKS, Traits, suggested_presets
from segue.metrics import MetricName
from segue.metrics.rank_metrics import RANK_METRICS
from segue.model_selection import BestConfig
from segue.model_selection.choice import Choice, choose, train_blend
from segue.model_selection.costs import Clock
from segue.model_selection.record import Record
from segue.model_selection.search import Search
from segue.model_selection.verdict import costs_of, verdict
from segue.models.blend import Blend
from segue.models.neural import NeuralModel
from segue.models.registry import BUILT_IN, COMPOSED, model_class
from segue.parameters import merge
from segue.progress import Progress
from segue.protocols.dataset import Dataset
from segue.storage.filesystem import Kind, kind_of
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

_CASES_PER_SECOND, _FEWEST_CASES, _MOST_CASES = 10, 4_000, 10_000
"""Validation cases that decide: so many per second of the budget, within these bounds."""


@dataclass(frozen=True, eq=False)
class Best:
    """The outcome of a search.

    Attributes:
        results: the leaderboard on the test part: the chosen model, what it consists of, the best single model and the
            baselines.
        record: every candidate, with its validation.
        verdict: what was found, in sentences.
    """

    results: Results
    record: Record
    verdict: list[str]

    @property
    def chosen(self) -> str:
        """Label of the best model on validation."""
        assert self.record.chosen is not None
        return self.record.chosen


def best(
    run_config: RunConfig,
    out: Path,
    *,
    config: BestConfig | None = None,
    events: Events | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    began: float | None = None,
) -> Best:
    """Search for the best model of a log within a budget of time.

    Count-based models are trained first, then the networks that suit the log, always the one next with the highest
    expected gain per second, then a blend. Validation chooses; the test part is used once, after the choice.

    Args:
        run_config: log (or the folder of a prepared data set), protocol, parameters, seed; its models, if it names any,
            are the only networks that are tried.
        out: folder for the models, the reports, best.json, results.json and run.json.
        config: budget and metric.
        events: the log itself, if it is not to be read; ``run_config.log`` is only its name then.
        resume: continue an interrupted search in ``out``, with what is left of the budget.
        overwrite: replace an older run in ``out``.
        progress: receives progress updates.
        began: the ``time.monotonic()`` from which the budget counts; None counts from this call.

    Raises:
        InputError: a configuration, the protocol, the log or the folder breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    config, progress = config or BestConfig(), progress or Progress()
    clock = Clock(config.budget, 0.0 if began is None else time.monotonic() - began)
    started = read_settings(out) if resume and kind_of(out / BEST) is Kind.NOTHING else None
    if started is not None and started["models"]:
        raise ParameterError(f"--resume: {out} contains a run and no search to continue; choose another folder")
    with claimed_folder(out, "segue best", resume=resume, overwrite=overwrite):
        if run_config.track:
            raise ParameterError("track: is not an option of segue best; run the chosen model with segue run --track")
        run_config, opened = with_prepared(run_config, events)
        record = Record.read(out / BEST) if resume else None
        if record is not None:
            clock = Clock(config.budget, record.spent_seconds + clock.spent())
        check_models(run_config)
        runtime = build_runtime(run_config, resume=resume, progress=progress)
        data = opened or prepare_log(run_config, events)
        for note in (*run_config.notes, *data.notes):
            logger.info(note)
        return _search(data, run_config, out, config, record, runtime, clock)


def check_models(config: RunConfig) -> None:
    """Check the names and parameters of the models, before the log is read.

    Raises:
        ParameterError: wrong names and parameters, all together.
    """
    if composed := [name for name in config.models if name in COMPOSED]:
        raise ParameterError(
            f"--model: must name single models, got {', '.join(composed)}; a blend of the best ones is always tried"
        )
    if others := [name for name in config.models if not _may_be_network(name)]:
        networks = [name for name in BUILT_IN if _may_be_network(name)]
        raise ParameterError(
            f"--model: must name the networks to try, got {', '.join(others)}; choose among "
            f"{', '.join(networks)}, or leave --model out (models that count, such as {COUNT_BASED[-1]}, are always "
            "tried)"
        )
    everything = [name for networks in NETWORKS.values() for name in networks]
    names = [*(config.models or everything), *COUNT_BASED]
    build_specs(config.model_copy(update={"models": names, "baselines": False}))


def _may_be_network(name: str) -> bool:
    """Whether a name is that of a network, or of no model, which ``build_specs`` refuses."""
    if name in COMPOSED:
        return False
    try:
        return issubclass(model_class(name), NeuralModel)
    except (InputError, MissingExtraError):
        return name not in BUILT_IN


def _search(
    data: Dataset,
    config: RunConfig,
    out: Path,
    options: BestConfig,
    record: Record | None,
    runtime: Runtime,
    clock: Clock,
) -> Best:
    require_validation(data, "choose")
    if problems := [f"slices: {problem}" for problem in slice_problems(config.slices, data.train)]:
        raise ParameterError(*problems)
    if options.metric is not None:
        data = _headed_by(data, options.metric)
    assert data.valid is not None
    traits, metric = Traits.of(data), options.metric or _metric_of(data)
    logger.info("the log: %s", traits)
    specs = _specs(config, data, traits, metric)
    models = {spec.label: spec.model.config.model_dump(mode="json") for spec in specs}
    earlier = record
    if record is None:
        at_most = int(np.clip(_CASES_PER_SECOND * options.budget, _FEWEST_CASES, _MOST_CASES))
        record = Record(metric=metric, cases=len(deciding_cases(data.valid, at_most)), models=models)
    else:
        record = record.continued(models, metric, out / BEST)
    valid = deciding_cases(data.valid, record.cases)
    if len(valid) < len(data.valid):  # Other cases choose other epochs than in a run.
        specs = [replace(spec, extra={"validation cases": len(valid)}) for spec in specs]
    writer = RunWriter(out, data, config, runtime)
    writer.begin(None, [BEST])
    if not any(isinstance(spec.model, NeuralModel) for spec in specs):
        logger.info("no network is tried: none of those that suit the log can learn from it")
    search = Search(data, valid, config, record=record, path=out / BEST, writer=writer, runtime=runtime, clock=clock)
    try:
        search.train_counted([spec for spec in specs if not isinstance(spec.model, NeuralModel)])
        search.train_networks([spec for spec in specs if isinstance(spec.model, NeuralModel)], NETWORKS[traits.preset])
        train_blend(search)
        choice = choose(search)
        results, again = _tested(search, choice, data, config, writer)
        record.tests = max(1, record.tests + again)
        sentences = verdict(record, choice, results, traits)
        found = SearchResult(metric=metric, verdict=sentences, candidates=list(record.candidates.values()))
        results = results.model_copy(update={"search": found})
        writer.write_results(results)
    finally:
        search.save()
    if earlier is not None and earlier.chosen is not None and not again and record.outcomes() == earlier.outcomes():
        record.spent_seconds = earlier.spent_seconds  # It had ended: nothing was trained or tested since.
        record.write(out / BEST)
    return Best(results, record, [*sentences, costs_of(record, options.budget)])


def deciding_cases(valid: Cases, at_most: int) -> Cases:
    """Return the validation cases that decide: those with something relevant, evenly spaced."""
    if valid.labels is not None:
        valid = valid[np.flatnonzero(valid.labels > 0)]
    return valid[evenly_spaced(len(valid), at_most)]


def _headed_by(data: Dataset, metric: str) -> Dataset:
    """Return the data whose models are compared by a metric first."""
    ranking = data.protocol.ranking
    metrics = (metric, *(one for one in ranking.metrics if one != metric))
    ranking = ranking.model_copy(update={"metrics": metrics})
    return replace(data, protocol=data.protocol.model_copy(update={"ranking": ranking}))


def _metric_of(data: Dataset) -> str:
    """Return the validation metric of the protocol, or else ndcg with the cut-off of its first metric."""
    chosen = data.protocol.valid_metric
    if chosen is not None and MetricName.parse(chosen).name in RANK_METRICS:
        return chosen
    cutoff = MetricName.parse(data.protocol.ranking.metrics[0]).k
    return f"ndcg@{20 if cutoff == np.inf else int(cutoff)}"


def _specs(config: RunConfig, data: Dataset, traits: Traits, metric: str) -> list[ModelSpec]:
    """Return the candidates; a model that cannot learn from the log is left out, unless it was asked for."""
    asked = [*config.models, *(name for name in (*config.set, *config.preset) if name != PROTOCOL)]
    names = list(dict.fromkeys([*COUNT_BASED, *([] if config.models else NETWORKS[traits.preset]), *asked]))
    presets = suggested_presets((name for name in names if name not in config.set), traits.preset) | config.preset
    logger.info("presets: %s", ", ".join(f"{name}={preset}" for name, preset in presets.items()) or "none")
    configured = config.model_copy(
        update={
            "models": names,
            "baselines": False,
            "preset": presets,
            "set": merge(config.set, {PROTOCOL: {"valid_metric": metric}}),
        }
    )
    specs = [replace(spec, baseline=spec.label in BASELINES) for spec in build_specs(configured)]
    specs += recent_popularity_specs(data.train)
    able = []
    for spec in specs:
        try:
            check_specs([spec], data.train)
        except ParameterError:
            if spec.label in asked:
                raise
            continue
        able.append(spec)
    return able


def _tested(
    search: Search, choice: Choice, data: Dataset, config: RunConfig, writer: RunWriter
) -> tuple[Results, bool]:
    """Test the chosen model, its parts, the best single model and the baselines; say if one was not tested before."""
    chosen = search.trained[choice.label]
    parts = chosen.fitted.model.parts if isinstance(chosen.fitted.model, Blend) else {}
    baselines = [label for label, one in search.trained.items() if one.spec.baseline]
    labels = dict.fromkeys([choice.label, *parts, *([choice.other] if choice.other else []), *baselines])
    headline = data.protocol.ranking.headline
    again = not all(search.trained[label].fitted.row.metrics for label in labels)
    tested = [writer.tested(search.trained[label].spec, search.trained[label].fitted) for label in labels]
    tested = [replace(one, cases=one.cases.only(headline)) for one in tested]
    pairs = [(metric, choice.label, label) for metric in headline for label in labels if label != choice.label]
    return leaderboard(tested, data, config, log_findings=lint_log(data), pairs=pairs), again
