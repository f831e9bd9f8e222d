"""Tune the model of a run configuration: start or join a search, run its trials, write the result."""

import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from optuna.study import Study

from segue.data.events import Events
from segue.errors import ParameterError, SegueError
from segue.experiment.config import RunConfig
from segue.experiment.run_folder import CHECKPOINTS, begin_folder, check_folder
from segue.experiment.run_settings import check_same, read_settings
from segue.progress import Progress, Task
from segue.storage import make_folder, remove
from segue.storage.claims import ClaimedError, claimed
from segue.storage.scratch import sweep
from segue.tuning import TuningConfig
from segue.tuning.objective import Objective
from segue.tuning.report import write_result
from segue.tuning.result import TrialRecord, TuningResult
from segue.tuning.study import DATA, JOURNAL, SEARCH, WORKERS, WorkerLocks, open_study
from segue.tuning.workers import Worker, WorkerPool, run_worker_pool

logger = logging.getLogger(__name__)


def tune(
    run_config: RunConfig,
    out: Path,
    *,
    config: TuningConfig | None = None,
    events: Events | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    pool: WorkerPool | None = None,
) -> TuningResult:
    """Search for the parameters of one model that are best on the validation part; the test part is not used.

    Args:
        run_config: log (or the folder of a prepared data set), one model, protocol, parameters that are fixed, seed.
        out: folder for best.yaml, trials.csv, report.md, the charts, run.json and the study.
        config: number of trials, search space, metric, number of workers.
        events: the log, if it is in memory; the run configuration's ``log`` is its name then.
        resume: continue an interrupted search in ``out``, or join one that is running there.
        overwrite: replace an older search in ``out``.
        progress: receives progress updates.
        pool: runs the workers, elsewhere than on this machine.

    Raises:
        InputError: a configuration, the protocol, the log or the folder breaks a rule, or no trial is finished.
        StorageError: the write failed.
        SegueError: the workers ended with an error.
    """
    progress, config = progress or Progress(), config or TuningConfig()
    with _claimed_or_joined(out, resume=resume, overwrite=overwrite):
        return _tune(run_config, out, config, events, resume=resume, progress=progress, pool=pool)


def _tune(
    run_config: RunConfig,
    out: Path,
    config: TuningConfig,
    events: Events | None,
    *,
    resume: bool,
    progress: Progress,
    pool: WorkerPool | None,
) -> TuningResult:
    """Search in a folder that is claimed, or in which another process searches."""
    objective = Objective.of(run_config, config, events=events, progress=progress)
    make_folder(out)
    locks = WorkerLocks(out)
    with ExitStack() as registration:
        with locks.exclusive():
            _begin(objective, out, locks, resume=resume)
            registration.enter_context(locks.registered())
        study = open_study(out / JOURNAL, seed=run_config.seed, prune=config.prune)
        errors = _run_trials(objective, out, study, progress, pool)
        for error in errors:
            logger.warning("a worker ended early: %s", error)
        if errors and not any(trial.state.is_finished() for trial in study.get_trials()):
            raise SegueError(f"{out}: the workers ended before any trial did: {errors[0]}")
        result = TuningResult.of(objective, study, out)
        write_result(objective, result)
        with locks.exclusive():
            registration.close()
            _clear(result, locks)
    sweep(out)
    return result


@contextmanager
def _claimed_or_joined(out: Path, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Claim the folder of a search; one that another process has claimed may be joined, if it is resumed."""
    check = partial(check_folder, out, resume=resume, overwrite=overwrite, kind=SEARCH)
    remedy = "add --resume to join it, or choose another folder"
    with ExitStack() as stack:
        try:
            stack.enter_context(claimed(out, "segue tune", check, remedy=remedy))
        except ClaimedError:
            if not resume:
                raise
        yield


def _begin(objective: Objective, out: Path, locks: WorkerLocks, *, resume: bool) -> None:
    """Prepare the folder, or check that the search in it is this one; call it in ``locks.exclusive``."""
    settings = objective.settings()
    started = read_settings(out, SEARCH) if resume else None
    if started is not None:
        check_same(out, started, settings)
    elif resume:
        logger.info("%s: contains nothing to resume; starting from the beginning", out)
    others = locks.others()
    if others and not resume:
        raise ParameterError(f"--out: a search is running in {out}; add --resume to join it, or choose another folder")
    if not others:
        begin_folder(out, started or settings, (), resume=resume, kind=SEARCH)


def _run_trials(
    objective: Objective, out: Path, study: Study, progress: Progress, pool: WorkerPool | None
) -> list[str]:
    """Run trials in this process or in a worker pool until all are taken; return the errors of the workers."""
    if pool is None and objective.config.workers > 1:
        pool = run_worker_pool
    with progress.task("trials", objective.config.trials) as bar:
        reporter = _TrialReporter(objective.metric, study, progress, bar)
        if pool is not None:
            return pool(objective, out, reporter.report)
        Worker(objective, out, study, reporter.report).run()
        reporter.report()
    return []


class _TrialReporter:
    """Reports each trial that ends, in whatever process."""

    def __init__(self, metric: str, study: Study, progress: Progress, bar: Task) -> None:
        self._metric = metric
        self._study = study
        self._progress = progress
        self._bar = bar
        self._reported: set[int] = set()
        self._best = -math.inf
        self._last = ""
        earlier = [self._line(row) for row in self._new()]
        if earlier:
            logger.info("trials finished already: %d, the best with %s %.4f", len(earlier), self._metric, self._best)

    def report(self, note: str = "") -> None:
        """Report what has happened since the last call."""
        for row in self._new():
            logger.info(self._line(row))
        note = note or (f"best {self._best:.4f}" if math.isfinite(self._best) else "")
        if note != self._last:
            self._last = note
            self._bar.advance(0, note)

    def _new(self) -> list[TrialRecord]:
        rows = map(TrialRecord.of, self._study.get_trials())
        return [row for row in rows if row.state != "unfinished" and row.number not in self._reported]

    def _line(self, row: TrialRecord) -> str:
        """Count a trial, and return a line about it."""
        self._reported.add(row.number)
        self._bar.advance()
        if row.state == "failed":
            return f"trial {row.number}: failed, {row.reason}"
        value = row.value or 0.0
        line = f"trial {row.number}: {self._metric} {value:.4f}"
        if row.state == "pruned":
            return f"{line}, pruned after epoch {row.epochs}"
        better, self._best = value > self._best, max(value, self._best)
        return f"{line}, the best so far" if better else line


def _clear(result: TuningResult, locks: WorkerLocks) -> None:
    """Remove what only a resumed search needs, if no other worker is running and no trial is unfinished.

    Call it in ``locks.exclusive``.
    """
    if locks.others() or result.count("unfinished"):
        return
    for name in (CHECKPOINTS, WORKERS, DATA):
        if (result.folder / name).exists():
            remove(result.folder / name)
