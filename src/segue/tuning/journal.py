"""The study on disk: every step of a search is a line of JSON in study.journal, which several processes may append to.

A process that is killed leaves at most an unfinished line. Optuna's own lock would then be waited for half a minute,
and the next line would be written behind the unfinished one; so the lock here is one that the system takes back, and
whoever gets it cuts off what is unfinished.
"""

import fcntl
import os
import warnings
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial

from segue.rng import derive

_NAME = "segue"

_STARTUP_TRIALS = 5
"""Finished trials before the first one is pruned."""

_WARMUP_EPOCHS = 1
"""Epochs after which no trial is pruned yet."""


class Lock(JournalFileOpenLock):
    """Exclusive use of a journal, given back by the system when its holder ends in whatever way."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """Wait for the lock; cut off an unfinished line."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        _cut_unfinished_line(self._descriptor)
        return True

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)


def _cut_unfinished_line(descriptor: int) -> None:
    end = size = os.fstat(descriptor).st_size
    while end and os.pread(descriptor, 1, end - 1) != b"\n":
        end -= 1
    if end < size:
        os.ftruncate(descriptor, end)


class SeededByTrial(BaseSampler):
    """TPE whose draws depend on the seed, the number of the trial and the trials before it, on nothing else.

    So a search that was interrupted goes on as if it had not been.

    Args:
        seed: seed of the search.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._tpe = TPESampler()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Start the generator of a trial."""
        seed = derive(self._seed, "trial", trial.number) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # Both arguments are, in Optuna 4.
            self._tpe = TPESampler(seed=seed, multivariate=True, constant_liar=True)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return what is drawn together."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, object]:
        """Draw together."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> object:
        """Draw alone."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)


def open_study(path: Path, *, seed: int, prune: bool) -> Study:
    """Open the study in a journal, or begin one."""
    storage = JournalStorage(JournalFileBackend(str(path), lock_obj=Lock(path)))
    pruner: BasePruner = MedianPruner(_STARTUP_TRIALS, _WARMUP_EPOCHS) if prune else NopPruner()
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(
            storage=storage,
            study_name=_NAME,
            direction="maximize",
            load_if_exists=True,
            sampler=SeededByTrial(seed),
            pruner=pruner,
        )
    finally:
        optuna.logging.set_verbosity(told)
