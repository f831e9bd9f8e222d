"""The processes that share one search: who is alive, and who takes which trial."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from segue.storage import is_locked, locked, make_folder

WORKER, BEGUN_TIMES, REASON = "worker", "begun", "reason"
"""What is kept of a trial beside Optuna's own: its process, how often it was begun, why it failed."""

_MOST_TIMES = 3
"""A trial whose process died so often is held to be what kills it, by the memory that it takes."""


class Crew:
    """The processes at work in a folder. Each holds a lock that the system takes back when the process ends.

    Args:
        folder: folder of the search.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "workers"
        self._lock = folder / "study.lock"
        self.name = f"{uuid.uuid4().hex}.lock"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other process take a trial, come or leave meanwhile."""
        with locked(self._lock):
            yield

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Be one of them."""
        make_folder(self._folder)
        own = self._folder / self.name
        try:
            with locked(own):
                yield
        finally:
            own.unlink(missing_ok=True)

    def is_alive(self, name: str | None) -> bool:
        """Say if a process is at work; to be asked alone."""
        return name is not None and not _is_free(self._folder / name)

    def others(self) -> int:
        """Return how many other processes are at work; to be asked alone."""
        names = [path.name for path in self._folder.glob("*.lock")]
        return sum(self.is_alive(name) for name in names if name != self.name)


def take_trial(study: Study, crew: Crew, total: int, first: dict[str, Any]) -> Trial | None:
    """Take the next trial, while no other process does; None if all have been taken.

    A trial whose process is gone comes first, with the parameters that it has and its checkpoint.

    Args:
        study: the study.
        crew: the processes that share it.
        total: trials in all.
        first: values that the first trial takes.
    """
    trials = study.get_trials()
    for trial in trials:
        left = trial.state == TrialState.RUNNING and not crew.is_alive(trial.user_attrs.get(WORKER))
        if left and (taken := _take_over(study, crew, trial)) is not None:
            return taken
    if not trials:
        study.enqueue_trial(first)
    elif len(trials) >= total and not any(trial.state == TrialState.WAITING for trial in trials):
        return None
    return _taken(study.ask(), crew, 1)


def _take_over(study: Study, crew: Crew, left: FrozenTrial) -> Trial | None:
    trial, times = Trial(study, left._trial_id), left.user_attrs.get(BEGUN_TIMES, 0) + 1
    if times <= _MOST_TIMES:
        return _taken(trial, crew, times)
    trial.set_user_attr(REASON, f"its process ended {_MOST_TIMES} times without a word, as when memory runs out")
    study.tell(trial, state=TrialState.FAIL)
    return None


def _taken(trial: Trial, crew: Crew, times: int) -> Trial:
    trial.set_user_attr(WORKER, crew.name)
    trial.set_user_attr(BEGUN_TIMES, times)
    return trial


def _is_free(path: Path) -> bool:
    if is_locked(path):
        return False
    path.unlink(missing_ok=True)
    return True
