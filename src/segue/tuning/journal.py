"""The study on disk: every step of a search is a line of JSON in study.journal, which several processes may append to.

A process that is killed leaves at most an unfinished line. Optuna's own lock would then be waited for half a minute,
and the next line would be written behind the unfinished one; so the lock here is one that the system releases when a
process ends, and whoever gets it cuts off what is unfinished. It is a file of its own, since Windows lets nobody write
to a locked file.
"""

import os
import warnings
from contextlib import ExitStack
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
from segue.storage import locked

_NAME = "segue"

_STARTUP_TRIALS = 5
"""Finished trials before the first one is pruned."""

_WARMUP_EPOCHS = 1
"""Epochs after which no trial is pruned yet."""


class Lock(JournalFileOpenLock):
    """Exclusive use of a journal, released by the system when its holder ends in whatever way.

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
