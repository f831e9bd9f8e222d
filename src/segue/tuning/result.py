"""The result of a search: its trials, the best of them, and the run configuration that trains it."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from segue.errors import ParameterError
from segue.experiment.config import RunConfig
from segue.tuning.objective import Objective
from segue.tuning.study import REASON

State = Literal["finished", "pruned", "failed", "unfinished"]

_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}

_MIN_TRIALS = 4
"""Finished trials that importances need."""


@dataclass(frozen=True)
class TrialRecord:
    """A trial: one configuration and its value.

    Attributes:
        number: from 0; trial 0 has the values that the parameters have before the search.
        state: finished, pruned (stopped early), failed, or unfinished (running elsewhere, or interrupted).
        value: the metric on the validation part, of a pruned trial after its last epoch.
        epochs: epochs that were validated.
        best_epoch: which of them was the best, from 1; None where the model itself validates no epochs.
        seconds: wall time, with that of an interruption.
        parameters: values by dotted name.
        reason: why it failed.
    """

    number: int
    state: State
    value: float | None
    epochs: int
    best_epoch: int | None
    seconds: float | None
    parameters: dict[str, Any]
    reason: str | None

    @classmethod
    def of(cls, trial: FrozenTrial) -> "TrialRecord":
        """Return the record of a trial of the study."""
        return cls(
            number=trial.number,
            state=_STATES.get(trial.state, "unfinished"),
            value=None if trial.state == TrialState.FAIL else trial.value,
            epochs=len(trial.intermediate_values),
            best_epoch=_best_epoch(trial.intermediate_values),
            seconds=None if trial.duration is None else round(trial.duration.total_seconds(), 3),
            parameters=dict(trial.params),
            reason=trial.user_attrs.get(REASON),
        )


@dataclass(frozen=True)
class TuningResult:
    """The result of a search.

    Attributes:
        metric: the validation metric that was maximised.
        best: the best finished trial; of equal ones the first.
        run_config: trains the best configuration, and is best.yaml: ``segue.run(result.run_config, out)``.
        trials: all trials in their order.
        importance: PED-ANOVA importance of each parameter, largest first; empty where too few trials are finished.
        folder: where the files are.
    """

    metric: str
    best: TrialRecord
    run_config: RunConfig
    trials: tuple[TrialRecord, ...]
    importance: dict[str, float]
    folder: Path

    @classmethod
    def of(cls, objective: Objective, study: Study, folder: Path) -> "TuningResult":
        """Return the result of a study.

        Raises:
            ParameterError: no trial is finished.
        """
        rows = tuple(TrialRecord.of(trial) for trial in study.get_trials())
        finished = [row for row in rows if row.state == "finished"]
        if not finished:
            raise ParameterError(f"{folder}: {_nothing_finished(rows)}")
        best = max(finished, key=lambda row: (row.value or 0.0, -row.number))
        run_config = objective.config_with(best.parameters)
        if best.best_epoch is not None:
            run_config = run_config.model_copy(update={"chosen_epochs": {"training": best.best_epoch}})
        return cls(objective.metric, best, run_config, rows, _importance(study, len(finished)), folder)

    def ranked(self) -> list[TrialRecord]:
        """Return the finished trials, best first."""
        finished = [row for row in self.trials if row.state == "finished"]
        return sorted(finished, key=lambda row: (-(row.value or 0.0), row.number))

    def count(self, state: State) -> int:
        """Return how many trials are in a state."""
        return sum(row.state == state for row in self.trials)

    def counts(self) -> str:
        """Return how many trials there are in each state."""
        found = (f"{self.count(state)} {state}" for state in get_args(State) if self.count(state))
        return f"{len(self.trials)} trials: {', '.join(found)}"


def _best_epoch(values: Mapping[int, float]) -> int | None:
    """Return the number of the epoch whose weights the trial kept: of equal values the first."""
    return 1 + max(values, key=lambda epoch: (values[epoch], -epoch)) if values else None


def _nothing_finished(rows: tuple[TrialRecord, ...]) -> str:
    failed = [row for row in rows if row.state == "failed"]
    if not failed:
        return f"none of {len(rows)} trials is finished; --resume continues"
    return (
        f"all {len(failed)} trials that ended failed, the first one because: {failed[0].reason}; "
        "narrow the spaces with --search, or fix a parameter with --set"
    )


def _importance(study: Study, finished: int) -> dict[str, float]:
    """Return PED-ANOVA importances (Watanabe et al. 2023, arXiv 2304.10255), or nothing for too few trials."""
    if finished < _MIN_TRIALS:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("error", message="Target and region quantiles")  # Equal trials have no importances.
        try:
            found = optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        except (UserWarning, ValueError, RuntimeError):
            return {}
    return {name: float(share) for name, share in found.items()}
