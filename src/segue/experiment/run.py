"""From a log to a leaderboard: prepare, fit, evaluate, save, compare."""

from pathlib import Path

from segue.data.events import Events
from segue.evaluation.prepare import prepare
from segue.experiment.entries import build_entries, check_entries, recent_popularity
from segue.experiment.folder import check_folder
from segue.experiment.judging import check_slices
from segue.experiment.recipe import PROTOCOL, Recipe, read_log
from segue.experiment.results import Results
from segue.experiment.runner import Runner
from segue.experiment.tracking.follow import check_trackers
from segue.progress import Progress
from segue.training.runtime import Runtime


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
        recipe: log, models, protocol, parameters, seed.
        out: folder for results.json, report.md, begun.json and one artifact folder per model.
        events: the log itself, where it is not to be read; the recipe's ``log`` is its name then.
        resume: take over the models that an interrupted run of the same recipe finished, and go on with the one it
            was training; further models may be added.
        overwrite: replace an older run in ``out``.
        progress: who is told how far the work is.

    Raises:
        InputError: the recipe, the protocol, the log or the folder breaks a rule; nothing has been written.
        StorageError: the disk refused.
    """
    progress = progress or Progress()
    check_folder(out, resume=resume, overwrite=overwrite)
    check_trackers(recipe.track)
    entries = build_entries(recipe)
    runtime = Runtime(device=recipe.device, precision=recipe.precision, resume=resume, progress=progress)
    runtime.check()  # Before the log is read.
    data = prepare(events or read_log(recipe), recipe.protocol, **recipe.set.get(PROTOCOL, {}))
    for note in (*recipe.notes, *data.notes):
        progress.say(note)
    if recipe.baselines:
        entries += recent_popularity(data.train)
    check_entries(entries, data.train)
    check_slices(recipe.slices, data)
    runner = Runner(data, recipe, out, runtime)
    runner.begin(entries)
    rows = [runner.result(entry) for entry in entries]
    results = runner.results(rows).model_copy(update={"examples": runner.examples(rows)})
    runner.finish(results)
    return results
