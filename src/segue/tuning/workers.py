"""The worker pool: processes that share the trials of one study.

A worker takes a trial, fits it, reports its value and takes the next one. Each worker holds a lock that the system
releases when its process ends, in whatever way; a trial whose worker is gone is taken over from its last checkpoint.
Worker processes get their work on standard input, and end when that closes.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna import TrialPruned
from optuna.study import Study
from optuna.trial import Trial, TrialState

from segue.errors import ArtifactError, SegueError, StorageError
from segue.experiment.config import RunConfig
from segue.experiment.run_folder import CHECKPOINTS
from segue.progress import Progress
from segue.protocols.dataset import open_dataset
from segue.storage import remove, write_errors
from segue.strict_json import dumps
from segue.threads import worker_threads
from segue.training.runtime import EpochRecord
from segue.tuning import TuningConfig
from segue.tuning.objective import Objective
from segue.tuning.search_space import build_model, suggest
from segue.tuning.study import ATTEMPTS, DATA, JOURNAL, REASON, WORKERS, WorkerLocks, open_study, take_trial
from segue.validation import build

_POLL_SECONDS = 0.5

_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Callback = Callable[[str], None]
"""Receives what a worker is doing."""
WorkerPool = Callable[[Objective, Path, Callable[[], None]], list[str]]
"""Runs workers until all trials are taken, as ``run_worker_pool`` does."""


class Worker:
    """One process of a search.

    Args:
        objective: what the search maximises.
        out: folder of the search.
        study: the study in it.
        callback: called at each epoch and at the end of each trial.
    """

    def __init__(self, objective: Objective, out: Path, study: Study, callback: Callback) -> None:
        self._objective = objective
        self._out = out
        self._study = study
        self._callback = callback
        self._locks = WorkerLocks(out)

    def run(self) -> None:
        """Run trials until all have been taken, or the time is over.

        Raises:
            StorageError: the write failed; a search that resumes takes the running trial up again.
        """
        objective, timeout = self._objective, self._objective.config.timeout
        end = None if timeout is None else time.monotonic() + timeout
        with write_errors(self._out), self._locks.registered():
            while end is None or time.monotonic() < end:
                with self._locks.exclusive():
                    trial = take_trial(self._study, self._locks, objective.config.trials, objective.defaults())
                    if trial is None:
                        return
                    values = suggest(trial, objective.run_config, objective.spaces)
                self._run_trial(trial, values)
                self._callback(f"trial {trial.number} done")

    def _run_trial(self, trial: Trial, values: dict[str, Any]) -> None:
        """Fit the model of a trial and tell the study its value; an error fails the trial, not the search."""
        try:
            value = self._value(trial, values)
        except TrialPruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        except StorageError:
            raise
        except Exception as error:
            # Errors of segue explain themselves; of others the kind is needed, too.
            kind = "" if type(error).__module__ == "segue.errors" else f"{type(error).__name__}: "
            trial.set_user_attr(REASON, " ".join(f"{kind}{error}".split()))
            self._study.tell(trial, state=TrialState.FAIL)
        except KeyboardInterrupt:
            trial.set_user_attr(ATTEMPTS, 0)
            raise
        else:
            self._study.tell(trial, value)
        for leftover in (self._out / CHECKPOINTS).glob(f"{_checkpoint(trial)}*"):
            remove(leftover)

    def _value(self, trial: Trial, values: dict[str, Any]) -> float:
        objective, model = self._objective, build_model(self._objective.run_config, values)
        checkpoint = self._out / CHECKPOINTS / _checkpoint(trial)
        on_epoch_end = _EpochCallback(self._study, trial, self._callback)
        runtime = replace(objective.runtime, checkpoint=checkpoint, resume=True, on_epoch_end=on_epoch_end)
        data = objective.data
        model.fit(data.train, valid=data.valid, seed=objective.run_config.seed, runtime=runtime)
        return objective.value(model)


def _checkpoint(trial: Trial) -> str:
    return f"trial-{trial.number}.safetensors"


class _EpochCallback:
    """Reports the validation of each epoch, and prunes the trial.

    Only of a model's own training: its teacher, its fine-tuning or the stages of a pair have other curves.
    """

    def __init__(self, study: Study, trial: Trial, callback: Callback) -> None:
        self._trial = trial
        self._callback = callback
        self._reported = set(study.get_trials()[trial.number].intermediate_values)

    def __call__(self, stage: str, record: EpochRecord) -> None:
        self._callback(f"trial {self._trial.number}: {stage}, epoch {record.epoch + 1}")
        if stage != "training" or record.validation is None:
            return
        if record.epoch not in self._reported:
            self._trial.report(record.validation, record.epoch)
        if self._trial.should_prune():
            raise TrialPruned


def run_worker_pool(objective: Objective, out: Path, poll: Callable[[], None]) -> list[str]:
    """Run worker processes until all trials are taken; return the last line of each that ended with an error.

    Args:
        objective: what the search maximises; its data are written into the folder for the workers to open.
        out: folder of the search.
        poll: called twice a second.

    Raises:
        StorageError: the write failed.
    """
    count = objective.config.workers
    share = str(worker_threads(count))
    environment = {**dict.fromkeys(_THREADS, share), **os.environ}
    request = worker_request(objective, out)
    # In the folder, from which a resumed search removes what a killed one has left.
    logs = [out / WORKERS / f"{os.getpid()}-{number}.log" for number in range(count)]
    processes = [_start(request, environment, log) for log in logs]
    try:
        while any(process.poll() is None for process in processes):
            poll()
            time.sleep(_POLL_SECONDS)
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in processes:
            process.wait()
        ended = zip(processes, logs, strict=True)
        errors = [_last_line(process.returncode, log) for process, log in ended if process.returncode]
        for log in logs:
            log.unlink(missing_ok=True)
    return errors


def worker_request(objective: Objective, out: Path) -> dict[str, Any]:
    """Return what a worker needs to join a search, as JSON; its data are written into the folder for it to open.

    Raises:
        StorageError: the write failed.
    """
    return {
        "run_config": objective.run_config.model_dump(mode="json"),
        "config": objective.config.model_dump(mode="json"),
        "data": str(shared_data(objective, out)),
        "out": str(out),
    }


def work(request: Mapping[str, Any]) -> None:
    """Run trials of a search, in a process of its own, until all have been taken.

    Raises:
        SegueError: the worker cannot join the search, or the write failed.
    """
    run_config = build(RunConfig, "run_config", parameters=request["run_config"])
    config, data = TuningConfig.model_validate(request["config"]), open_dataset(request["data"])
    objective, out = Objective.of(run_config, config, data=data, progress=Progress()), Path(request["out"])
    study = open_study(out / JOURNAL, seed=objective.run_config.seed, prune=config.prune)
    Worker(objective, out, study, lambda _: None).run()


def shared_data(objective: Objective, out: Path) -> Path:
    """Return the folder of the prepared data, which a search that resumes or that others have joined holds already.

    Raises:
        StorageError: the write failed.
    """
    folder = out / DATA
    with WorkerLocks(out).exclusive():
        try:
            if open_dataset(folder).hash == objective.data.hash:
                return folder
        except ArtifactError:
            pass
        return objective.data.save(folder)


def _start(request: dict[str, Any], environment: dict[str, str], log: Path) -> subprocess.Popen[str]:
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "segue.tuning.workers"],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            env=environment,
            text=True,
        )
    assert process.stdin is not None
    process.stdin.write(dumps(request) + "\n")
    process.stdin.flush()
    return process


def _last_line(code: int, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}"


def main() -> None:
    """Run a worker process."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        work(request)
    except SegueError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _end_with_input() -> None:
    """End at once when the parent process is gone or closes the input; another worker takes the trial up again."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
