"""Time: the budget, and what a network costs, measured in a few steps of its training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from segue.data.cases import Cases
from segue.data.sessions import Sessions
from segue.evaluation.measure import measure
from segue.models.base import Model
from segue.progress import Progress, Task
from segue.protocols.ranking import Ranking
from segue.training.runtime import Runtime

_STEPS = 2
"""Steps that are taken at least; the first one, which warms up, is not counted."""
_CASES = 500
"""Validation cases that are timed."""


class Clock:
    """The budget.

    Args:
        budget: seconds.
        spent: seconds that earlier processes took.
    """

    def __init__(self, budget: float, spent: float = 0.0) -> None:
        self.budget = budget
        self._begun = time.monotonic() - spent

    def spent(self) -> float:
        """Return the seconds that have passed."""
        return time.monotonic() - self._begun

    def left(self) -> float:
        """Return the seconds that are left; below 0 once the budget is used."""
        return self.budget - self.spent()


def spoken(seconds: float) -> str:
    """Return a duration in words, such as ``12 s`` or ``3.5 minutes``."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def in_epochs(count: int) -> str:
    """Return a number of epochs in words, such as ``1 epoch``."""
    return "1 epoch" if count == 1 else f"{count} epochs"


@dataclass(frozen=True)
class Cost:
    """Seconds that a network takes.

    Attributes:
        start: before the first step.
        epoch: of an epoch of training.
        case: to rank one case.
    """

    start: float
    epoch: float
    case: float


class _StepTimer(Progress):
    """Counts the steps of an epoch, and stops the training when enough of them are timed."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._asked: list[float] = []  # Once before the first step, then after each.
        self._enough = False
        self.steps = 0

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """Take the number of steps."""
        self.steps = total
        with super().task(name, total) as task:
            yield task

    def stop(self) -> bool:
        """Return whether enough steps are timed; see ``Runtime.stop``."""
        if not self._enough:
            self._asked.append(time.monotonic())
            self._enough = len(self._asked) > _STEPS and self._asked[-1] - self._asked[0] >= self._seconds
        return self._enough

    @property
    def first(self) -> float:
        """When the first step began."""
        return self._asked[0]

    def epoch(self) -> float:
        """Return the seconds of an epoch: the median of the timed steps, times their number."""
        steps = np.diff(self._asked)
        return float(np.median(steps[1:] if len(steps) > 1 else steps)) * self.steps


def measure_cost(model: Model, train: Sessions, valid: Cases, *, seed: int, runtime: Runtime, seconds: float) -> Cost:
    """Train a network for some seconds, and rank a few cases with it.

    Args:
        model: the network.
        train: the training sessions.
        valid: validation cases.
        seed: seed of the fit.
        runtime: device and precision.
        seconds: time for the steps.
    """
    began, timer = time.monotonic(), _StepTimer(seconds)
    plain = replace(runtime, stop=timer.stop, progress=timer, checkpoint=None, resume=False, on_epoch_end=None)
    fitted = model.fit(train, seed=seed, runtime=plain)
    cases = valid[: min(len(valid), _CASES)]
    ranking = Ranking(metrics=("ndcg@20",))
    measure(fitted, cases[:1], ranking)  # The first call compiles what the ranking needs.
    ranked = time.monotonic()
    measure(fitted, cases, ranking)
    return Cost(timer.first - began, timer.epoch(), (time.monotonic() - ranked) / len(cases))
