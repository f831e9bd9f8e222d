"""From a log to a leaderboard: prepare, fit, evaluate, save, compare."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from segue.data.events import Events
from segue.experiment.comparison.verdicts import check_slices
from segue.experiment.folder import check_folder
from segue.experiment.model_specs import Entry, build_entries, check_entries, recent_popularity
from segue.experiment.recipe import Recipe
from segue.experiment.results import Results
from segue.experiment.runner import Runner
from segue.experiment.source import prepare_log, with_prepared
from segue.experiment.tracking.follow import check_trackers
from segue.progress import Progress
from segue.protocols.dataset import Dataset
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)


def run(
    recipe: Recipe,
    out: Path,
    *,
    events: Events | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Results:
    """Train and test the models of a recipe on one log.

    Args:
        recipe: log (or the folder of a prepared data set), models, protocol, parameters, seed.
        out: folder for results.json, report.md, begun.json and one artifact folder per model.
        events: the log itself, where it is not to be read; the recipe's ``log`` is its name then.
        resume: take over the models that an interrupted run of the same recipe finished, and go on with the one it
            was training; further models may be added.
        overwrite: replace an older run in ``out``.
        progress: receives progress updates.

    Raises:
        InputError: the recipe, the protocol, the log or the folder breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    folders = {recipe.seed: out}
    (results,) = _runs(recipe, folders, events=events, resume=resume, overwrite=overwrite, progress=progress)
    return results


def run_seeds(
    recipe: Recipe,
    folders: Mapping[int, Path],
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Results]:
    """Run a recipe with several seeds on data that are prepared once; see ``run``.

    Args:
        recipe: log, models, protocol, parameters; its seed is not used.
        folders: folder of the run with each seed.
        resume: take over what interrupted runs finished.
        overwrite: replace older runs.
        progress: receives progress updates.

    Raises:
        InputError: the recipe, the protocol, the log or a folder breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    return _runs(recipe, folders, resume=resume, overwrite=overwrite, progress=progress)


def _runs(
    recipe: Recipe,
    folders: Mapping[int, Path],
    *,
    events: Events | None = None,
    resume: bool,
    overwrite: bool,
    progress: Progress | None,
) -> list[Results]:
    progress = progress or Progress()
    for out in folders.values():
        check_folder(out, resume=resume, overwrite=overwrite)
    check_trackers(recipe.track)
    recipe, opened = with_prepared(recipe, events)
    build_entries(recipe)  # Refuses mistakes, as the next line does, before the log is read.
    runtime = Runtime(device=recipe.device, precision=recipe.precision, resume=resume, progress=progress)
    runtime.check()
    data = opened or prepare_log(recipe, events)
    for note in (*recipe.notes, *data.notes):
        logger.info(note)
    check_slices(recipe.slices, data)
    results = []
    for seed, out in folders.items():
        if len(folders) > 1:
            logger.info("seed %d: %s", seed, out)
        results.append(_run(recipe.model_copy(update={"seed": seed}), data, out, runtime))
    return results


def _run(recipe: Recipe, data: Dataset, out: Path, runtime: Runtime) -> Results:
    entries: Sequence[Entry] = build_entries(recipe)
    if recipe.baselines:
        entries = [*entries, *recent_popularity(data.train)]
    check_entries(entries, data.train)
    runner = Runner(data, recipe, out, runtime)
    runner.begin(entries)
    rows = [runner.result(entry) for entry in entries]
    results = runner.results(rows).model_copy(update={"examples": runner.examples(rows)})
    runner.finish(results)
    return results
