"""The study on disk: its folder, Optuna's journal, to which several processes may append, and who runs which trial.

Optuna's own journal locks outlive a killed process, and its reader refuses a line that was cut short once another one
follows. So the system releases the lock here when a process ends, and the next holder cuts off an unfinished line. It
is a file of its own, since Windows lets nobody write to a locked file. Optuna's relational storage was the alternative:
its heartbeats fail the trial of a killed process and repeat its values as another trial, after a grace period, so that
a resumed search would not have the trials of an uninterrupted one.
"""

import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from segue.experiment.run_folder import CHECKPOINT_FILES, CHECKPOINTS, FILE, REPORT, SETTINGS, FolderKind
from segue.manifest import DATASET
from segue.rng import derive
from segue.storage import is_locked, locked, make_folder
from segue.storage.scratch import CLAIM

BEST, TRIALS, JOURNAL, WORKERS = "best.yaml", "trials.csv", "study.journal", "workers"
DATA = ".segue-data"
"""The prepared data set that the worker pool opens; removed at the end."""
LOCK = f"{CLAIM}-study"
"""Lock of those who take a trial, register or leave; it may be there before run.json is."""
IMPORTANCE, HISTORY = "importance", "history"
"""Names of the charts, without suffix."""

_FILES = (
    *(SETTINGS, REPORT, BEST, TRIALS, JOURNAL, f"{JOURNAL}.lock"),
    *(f"{name}.{kind}" for name in (IMPORTANCE, HISTORY) for kind in ("png", "svg")),
)

SEARCH = FolderKind(
    "search",
    {
        **dict.fromkeys(_FILES, FILE),
        CHECKPOINTS: CHECKPOINT_FILES,
        WORKERS: (r"[0-9a-f]+\.lock", r"\d+-\d+\.log"),
        DATA: DATASET,
    },
    frozenset((*_FILES, CHECKPOINTS, WORKERS, DATA)),
)

WORKER, ATTEMPTS, REASON = "worker", "attempts", "reason"
"""User attributes of a trial: the worker that took it, how often it was started, why it failed."""

_MAX_ATTEMPTS = 3
"""Starts after which a trial has failed: it may be what kills its process, by the memory that it takes."""

_NAME = "segue"
_STARTUP_TRIALS = 5
"""Finished trials before the first one is pruned."""
_WARMUP_EPOCHS = 1
"""Epochs before a trial may be pruned."""


class JournalLock(JournalFileOpenLock):
    """Exclusive use of a journal, released by the system when its holder ends.

    Args:
        path: the journal.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._held = ExitStack()

    def acquire(self) -> bool:
        """Wait for the lock; cut off an unfinished line."""
        self._held.enter_context(locked(self._path.with_name(f"{self._path.name}.lock")))
        _cut_unfinished_line(self._path)
        return True

    def release(self) -> None:
        """Release the lock."""
        self._held.close()


def _cut_unfinished_line(path: Path) -> None:
    with path.open("r+b") as stream:
        end = size = stream.seek(0, os.SEEK_END)
        while end:
            stream.seek(end - 1)
            if stream.read(1) == b"\n":
                break
            end -= 1
        if end < size:
            stream.truncate(end)


class SeededSampler(BaseSampler):
    """TPE whose samples depend only on the seed, the number of the trial and the trials before it.

    So an interrupted search resumes as if it had not been interrupted.

    Args:
        seed: seed of the search.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._tpe = TPESampler()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed the generator of a trial."""
        seed = derive(self._seed, "trial", trial.number) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # Both arguments are, in Optuna 4.
            self._tpe = TPESampler(seed=seed, multivariate=True, constant_liar=True)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are sampled jointly."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, object]:
        """Draw jointly."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> object:
        """Draw one parameter."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)


def open_study(path: Path, *, seed: int, prune: bool) -> Study:
    """Open the study in a journal, or create it."""
    storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalLock(path)))
    pruner: BasePruner = MedianPruner(_STARTUP_TRIALS, _WARMUP_EPOCHS) if prune else NopPruner()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(
            storage=storage,
            study_name=_NAME,
            direction="maximize",
            load_if_exists=True,
            sampler=SeededSampler(seed),
            pruner=pruner,
        )
    finally:
        optuna.logging.set_verbosity(verbosity)


class WorkerLocks:
    """The workers of a search, by their locks.

    Args:
        folder: folder of the search.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / WORKERS
        self._study_lock = folder / LOCK
        self.name = f"{uuid.uuid4().hex}.lock"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other processes from taking a trial, registering or leaving meanwhile."""
        with locked(self._study_lock):
            yield

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Be one of the workers."""
        make_folder(self._folder)
        own = self._folder / self.name
        try:
            with locked(own):
                yield
        finally:
            own.unlink(missing_ok=True)

    def is_alive(self, name: str | None) -> bool:
        """Return whether a worker is running; call it in ``exclusive``."""
        if name is None:
            return False
        path = self._folder / name
        alive = is_locked(path)
        if not alive:
            path.unlink(missing_ok=True)
        return alive

    def others(self) -> int:
        """Return the number of other workers that are running; call it in ``exclusive``."""
        names = [path.name for path in self._folder.glob("*.lock")]
        return sum(self.is_alive(name) for name in names if name != self.name)


def take_trial(study: Study, locks: WorkerLocks, total: int, first: dict[str, Any]) -> Trial | None:
    """Take the next trial, in ``locks.exclusive``; None if all trials have been taken.

    A trial whose worker has died comes first, with its parameters and its checkpoint.

    Args:
        study: the study.
        locks: the workers that share it.
        total: trials in total.
        first: values of the first trial.
    """
    trials = study.get_trials()
    for trial in trials:
        orphaned = trial.state == TrialState.RUNNING and not locks.is_alive(trial.user_attrs.get(WORKER))
        if orphaned and (taken := _take_over(study, locks, trial)) is not None:
            return taken
    if not trials:
        study.enqueue_trial(first)
    elif len(trials) >= total and not any(trial.state == TrialState.WAITING for trial in trials):
        return None
    return _assigned(study.ask(), locks, 1)


def _take_over(study: Study, locks: WorkerLocks, orphan: FrozenTrial) -> Trial | None:
    trial, attempts = Trial(study, orphan._trial_id), orphan.user_attrs.get(ATTEMPTS, 0) + 1
    if attempts <= _MAX_ATTEMPTS:
        return _assigned(trial, locks, attempts)
    trial.set_user_attr(REASON, f"its process died {_MAX_ATTEMPTS} times, for example because memory ran out")
    study.tell(trial, state=TrialState.FAIL)
    return None


def _assigned(trial: Trial, locks: WorkerLocks, attempts: int) -> Trial:
    trial.set_user_attr(WORKER, locks.name)
    trial.set_user_attr(ATTEMPTS, attempts)
    return trial
