"""From a log to a leaderboard: prepare, fit, test, write, compare."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from segue.data.events import Events
from segue.errors import ParameterError
from segue.evaluation.linter import lint_log
from segue.evaluation.slices import slice_problems
from segue.experiment.comparison.verdicts import Pair
from segue.experiment.config import RunConfig
from segue.experiment.fit_and_test import TestedModel, fit_and_test
from segue.experiment.leaderboard import leaderboard
from segue.experiment.model_specs import ModelSpec, build_runtime, build_specs, check_specs, recent_popularity_specs
from segue.experiment.prepared_data import prepare_log, with_prepared
from segue.experiment.results import Results
from segue.experiment.run_folder import claimed_folder
from segue.experiment.run_writer import RunWriter
from segue.experiment.suggestions import preset_hint
from segue.experiment.tracking.tracker import check_trackers
from segue.progress import Progress
from segue.protocols.dataset import Dataset
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)


def run(
    config: RunConfig,
    out: Path,
    *,
    events: Events | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Results:
    """Train and test the models of a configuration on one log.

    Args:
        config: log (or the folder of a prepared data set), models, protocol, parameters, seed.
        out: folder for results.json, report.md, run.json and one artifact folder per model.
        events: the log itself, if it is not to be read; ``config.log`` is only its name then.
        resume: continue an interrupted run of the same configuration: finished models are kept, and training goes on
            from its checkpoint. Further models may be added.
        overwrite: replace an older run in ``out``.
        progress: receives progress updates.

    Raises:
        InputError: the configuration, the protocol, the log or the folder breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    folders = {config.seed: out}
    (results,) = run_seeds(config, folders, events=events, resume=resume, overwrite=overwrite, progress=progress)
    return results


def run_seeds(
    config: RunConfig,
    folders: Mapping[int, Path],
    *,
    events: Events | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Results]:
    """Run a configuration with several seeds on data that are prepared once; see ``run``.

    Args:
        config: log, models, protocol, parameters; its seed is not used.
        folders: folder of the run with each seed.
        events: the log itself, if it is not to be read.
        resume: continue interrupted runs.
        overwrite: replace older runs.
        progress: receives progress updates.

    Raises:
        InputError: the configuration, the protocol, the log or a folder breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    progress = progress or Progress()
    with ExitStack() as stack:
        for out in folders.values():
            stack.enter_context(claimed_folder(out, "segue run", resume=resume, overwrite=overwrite))
        return _run_seeds(config, folders, events, resume=resume, progress=progress)


def _run_seeds(
    config: RunConfig, folders: Mapping[int, Path], events: Events | None, *, resume: bool, progress: Progress
) -> list[Results]:
    """Run a configuration with several seeds in folders that are claimed."""
    check_trackers(config.track)
    config, opened = with_prepared(config, events)
    build_specs(config)  # Raises every problem, as the next line does, before the log is read.
    runtime = build_runtime(config, resume=resume, progress=progress)
    data = opened or prepare_log(config, events)
    for note in (*config.notes, *data.notes):
        logger.info(note)
    if hint := preset_hint(config, data):
        logger.info(hint)
    if problems := [f"--slices: {problem}" for problem in slice_problems(config.slices, data.train)]:
        raise ParameterError(*problems)
    results = []
    for seed, out in folders.items():
        if len(folders) > 1:
            logger.info("seed %d: %s", seed, out)
        seeded = config.model_copy(update={"seed": seed})
        specs = build_specs(seeded) + (recent_popularity_specs(data.train) if config.baselines else [])
        check_specs(specs, data.train)
        results.append(run_specs(specs, data, seeded, out, runtime))
    return results


def run_specs(
    specs: Sequence[ModelSpec],
    data: Dataset,
    config: RunConfig,
    out: Path,
    runtime: Runtime,
    *,
    pairs: Sequence[Pair] | None = None,
    verdicts: Callable[[Results], list[str]] | None = None,
) -> Results:
    """Fit, test and write models one after the other, then the results of all.

    Args:
        specs: the models.
        data: the prepared log.
        config: configuration of the run.
        out: folder of the run.
        runtime: device, precision, progress, and whether an interrupted run is resumed.
        pairs: differences to test, fixed before the results; None uses the default pairs of a run.
        verdicts: replaces the verdicts on baselines.
    """
    writer, findings = RunWriter(out, data, config, runtime), lint_log(data)
    writer.begin(specs)
    for finding in findings:
        logger.warning("%s", finding)
    tested: list[TestedModel] = []
    for planned in specs:
        spec = planned.after({one.row.label: (one.model, one.row.curve) for one in tested})
        one = (writer.finished(spec) if runtime.resume else None) or _fitted(spec, data, config, runtime, writer)
        tested.append(
            replace(one, cases=one.cases.only(data.protocol.ranking.headline))
        )  # The others need not stay in memory.
    results = leaderboard(tested, data, config, log_findings=findings, pairs=pairs)
    if verdicts is not None:
        results = results.model_copy(update={"verdicts": verdicts(results)})
    writer.write_results(results)
    return results


def _fitted(spec: ModelSpec, data: Dataset, config: RunConfig, runtime: Runtime, writer: RunWriter) -> TestedModel:
    """Fit, test and write one model."""
    with writer.track(spec) as trackers:
        own = replace(runtime, checkpoint=writer.checkpoint(spec))
        tested = fit_and_test(spec, data, seed=config.seed, runtime=own, on_epoch=trackers.epoch)
        writer.write_model(spec, tested)
        trackers.result(tested.row)
    metrics, protocol = tested.row.metrics, data.protocol
    headline = "  ".join(f"{name} {metrics[name]:.{protocol.decimals}f}" for name in protocol.ranking.headline)
    logger.info("%s: %s", spec.label, headline)
    return tested
