"""One process of a search: takes a trial, fits it, writes down what it is worth, and takes the next one."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna import TrialPruned
from optuna.study import Study
from optuna.trial import Trial, TrialState

from segue.errors import StorageError
from segue.experiment.run_folder import CHECKPOINTS
from segue.storage import remove, write_errors
from segue.training.runtime import EpochRecord
from segue.tuning.crew import BEGUN_TIMES, REASON, Crew, take_trial
from segue.tuning.folder import JOURNAL
from segue.tuning.journal import open_study
from segue.tuning.space import build_model, suggest
from segue.tuning.task import Task

Watch = Callable[[str], None]
"""Is told what the process is at."""


class Worker:
    """One process of a search.

    Args:
        task: what is searched.
        out: folder of the search.
        study: the study in it.
        watch: is told of each epoch and of the end of each trial.
    """

    def __init__(self, task: Task, out: Path, study: Study, watch: Watch) -> None:
        self._task = task
        self._out = out
        self._study = study
        self._watch = watch
        self._crew = Crew(out)

    def run(self) -> None:
        """Take trials until all have been taken, or the time is over.

        Raises:
            StorageError: the write failed; the trial that was under way is taken up again by a search that resumes.
        """
        timeout = self._task.plan.timeout
        end = None if timeout is None else time.monotonic() + timeout
        with write_errors(self._out), self._crew.joined():
            while end is None or time.monotonic() < end:
                with self._crew.alone():
                    trial = take_trial(self._study, self._crew, self._task.plan.trials, self._task.defaults())
                    if trial is None:
                        return
                    found = suggest(trial, self._task.config, self._task.spaces)
                self._try(trial, found)
                self._watch(f"trial {trial.number} done")

    def _try(self, trial: Trial, found: dict[str, Any]) -> None:
        """Fit the model of a trial and tell the study what came of it; a failure is the trial's, not the search's."""
        try:
            value = self._value(trial, found)
        except TrialPruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        except StorageError:
            raise
        except Exception as error:
            trial.set_user_attr(REASON, " ".join(f"{_kind(error)}{error}".split()))
            self._study.tell(trial, state=TrialState.FAIL)
        except KeyboardInterrupt:
            trial.set_user_attr(BEGUN_TIMES, 0)
            raise
        else:
            self._study.tell(trial, value)
        for leftover in (self._out / CHECKPOINTS).glob(f"{_checkpoint(trial)}*"):
            remove(leftover)

    def _value(self, trial: Trial, found: dict[str, Any]) -> float:
        task, model = self._task, build_model(self._task.config, found)
        checkpoint = self._out / CHECKPOINTS / _checkpoint(trial)
        observe = _Observer(self._study, trial, self._watch)
        runtime = replace(task.runtime, checkpoint=checkpoint, resume=True, observe=observe)
        model.fit(task.data.train, valid=task.data.valid, seed=task.config.seed, runtime=runtime)
        return task.judge(model)


class _Observer:
    """Reports the validation of each epoch, and ends a trial that does not pay.

    Only of a model's own training: its teacher, its fine-tuning or the stages of a pair have other curves.
    """

    def __init__(self, study: Study, trial: Trial, watch: Watch) -> None:
        self._trial = trial
        self._watch = watch
        self._told = set(study.get_trials()[trial.number].intermediate_values)

    def __call__(self, stage: str, record: EpochRecord) -> None:
        self._watch(f"trial {self._trial.number}: {stage}, epoch {record.epoch + 1}")
        if stage != "training" or record.validation is None:
            return
        if record.epoch not in self._told:
            self._trial.report(record.validation, record.epoch)
        if self._trial.should_prune():
            raise TrialPruned


def _checkpoint(trial: Trial) -> str:
    return f"trial-{trial.number}.safetensors"


def _kind(error: Exception) -> str:
    """Name the kind of an error that does not explain itself."""
    from_segue = type(error).__module__ == "segue.errors"
    return "" if from_segue else f"{type(error).__name__}: "


def work(task: Task, out: Path, watch: Watch) -> None:
    """Be one process of the search in a folder."""
    study = open_study(out / JOURNAL, seed=task.config.seed, prune=task.plan.prune)
    Worker(task, out, study, watch).run()
