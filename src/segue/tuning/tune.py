"""From a config to the best parameters for its model: begin or join a search, work, write down what was found."""

import logging
import math
from pathlib import Path

from optuna.study import Study

from segue.data.events import Events
from segue.errors import ParameterError, SegueError
from segue.experiment.config import RunConfig
from segue.experiment.run_folder import (
    CHECKPOINTS,
    begin_folder,
    check_folder,
    check_same,
    read_settings,
    write_settings,
)
from segue.progress import Progress
from segue.progress import Task as Bar
from segue.storage import make_folder, remove
from segue.tuning.crew import Crew
from segue.tuning.folder import DATA, JOURNAL, SEARCH, WORKERS
from segue.tuning.journal import open_study
from segue.tuning.outcome import TrialRow, Tuned
from segue.tuning.pictures import draw
from segue.tuning.plan import Tuning
from segue.tuning.report import write_outcome
from segue.tuning.task import Task
from segue.tuning.team import work_together
from segue.tuning.worker import Worker

logger = logging.getLogger(__name__)


def tune(
    config: RunConfig,
    out: Path,
    *,
    plan: Tuning | None = None,
    events: Events | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Tuned:
    """Search the parameters of one model for those that are best on the validation part; the test part is not used.

    Args:
        config: log (or the folder of a prepared data set), one model, protocol, parameters that are fixed, seed.
        out: folder for best.yaml, trials.csv, report.md, the pictures, run.json and the study.
        plan: how many trials, where to search, by what metric, how many processes.
        events: the log itself, where it is not to be read; the config's ``log`` is its name then.
        resume: go on with an interrupted search in ``out``, or join one that is at work there.
        overwrite: replace an older search in ``out``.
        progress: receives progress updates.

    Raises:
        InputError: the config, the plan, the protocol, the log or the folder breaks a rule, or no trial is finished.
        StorageError: the write failed.
        SegueError: the processes of the search ended with an error.
    """
    progress, plan = progress or Progress(), plan or Tuning()
    check_folder(out, resume=resume, overwrite=overwrite, kind=SEARCH)
    task = Task.of(config, plan, events=events, progress=progress)
    _begin(task, out, resume=resume, progress=progress)
    study = open_study(out / JOURNAL, seed=config.seed, prune=plan.prune)
    troubles = _work(task, out, study, progress)
    for trouble in troubles:
        logger.warning("a process of the search ended early: %s", trouble)
    if troubles and not any(trial.state.is_finished() for trial in study.get_trials()):
        raise SegueError(f"{out}: the processes of the search ended before any trial did: {troubles[0]}")
    tuned = Tuned.of(task, study, out)
    write_outcome(task, tuned)
    draw(tuned)
    _clear(tuned)
    return tuned


def _begin(task: Task, out: Path, *, resume: bool, progress: Progress) -> None:
    """Make the folder ready, or see that the search in it is this one."""
    settings = task.settings()
    started = read_settings(out, SEARCH) if resume else None
    if started is not None:
        check_same(out, started, settings)
    elif resume:
        logger.info("%s: holds nothing to resume; starting from the beginning", out)
    make_folder(out)
    crew = Crew(out)
    with crew.alone():
        others = crew.others()
    if others and not resume:
        raise ParameterError(f"--out: a search is at work in {out}; add --resume to join it, or choose another folder")
    if not others:
        begin_folder(out, resume=resume, kind=SEARCH)
    if started is None:
        write_settings(out, settings)


def _work(task: Task, out: Path, study: Study, progress: Progress) -> list[str]:
    """Work alone or with others until all trials are taken; return what went wrong in the others."""
    with progress.task("trials", task.plan.trials) as bar:
        news = _News(task, study, progress, bar)
        if task.plan.workers > 1:
            return work_together(task, out, news.tell)
        Worker(task, out, study, news.tell).run()
        news.tell()
    return []


class _News:
    """Tells of each trial that ends, by whatever process."""

    def __init__(self, task: Task, study: Study, progress: Progress, bar: Bar) -> None:
        self._metric = task.metric
        self._study = study
        self._progress = progress
        self._bar = bar
        self._told: set[int] = set()
        self._best = -math.inf
        self._last = ""
        earlier = [self._note(row) for row in self._new()]
        if earlier:
            logger.info("trials done already: %d, the best with %s %.4f", len(earlier), self._metric, self._best)

    def tell(self, note: str = "") -> None:
        """Say what has happened since it was asked last."""
        for row in self._new():
            logger.info(self._note(row))
        note = note or (f"best {self._best:.4f}" if math.isfinite(self._best) else "")
        if note != self._last:
            self._last = note
            self._bar.advance(0, note)

    def _new(self) -> list[TrialRow]:
        rows = map(TrialRow.of, self._study.get_trials())
        return [row for row in rows if row.state != "unfinished" and row.number not in self._told]

    def _note(self, row: TrialRow) -> str:
        """Count a trial, and say what came of it."""
        self._told.add(row.number)
        self._bar.advance()
        if row.state == "failed":
            return f"trial {row.number}: failed, {row.reason}"
        value = row.value or 0.0
        said = f"trial {row.number}: {self._metric} {value:.4f}"
        if row.state == "pruned":
            return f"{said}, ended after epoch {row.epochs}"
        better, self._best = value > self._best, max(value, self._best)
        return f"{said}, the best so far" if better else said


def _clear(tuned: Tuned) -> None:
    """Remove what was only needed to go on, once nobody is at work and nothing is left to go on with."""
    crew = Crew(tuned.folder)
    with crew.alone():
        if crew.others() or tuned.count("unfinished"):
            return
        for name in (CHECKPOINTS, WORKERS, DATA):
            if (tuned.folder / name).exists():
                remove(tuned.folder / name)
