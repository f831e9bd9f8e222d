"""The study on disk: who takes which trial, a journal that was cut short, and draws that repeat themselves."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.study import Study
from optuna.trial import Trial, TrialState

from segue.errors import ParameterError
from segue.experiment.run_folder import begin_folder, check_folder
from segue.tuning.study import SEARCH, WORKERS, WorkerLocks, open_study, take_trial

KILLED = """
import os, signal, sys
from pathlib import Path
from segue.tuning.study import WorkerLocks, open_study, take_trial
out = Path(sys.argv[1])
for _ in range(3):
    child = os.fork()
    if child == 0:
        locks, study = WorkerLocks(out), open_study(out / "study.journal", seed=0, prune=True)
        with locks.registered():
            with locks.exclusive():
                take_trial(study, locks, 9, {"x": 0.25}).suggest_float("x", 0, 1)
            os.kill(os.getpid(), signal.SIGKILL)
    print(-os.WTERMSIG(os.waitpid(child, 0)[1]))
"""
"""Three processes, one after the other, each killed in its trial."""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study(tmp_path / "study.journal", seed=0, prune=True)


def take(study: Study, locks: WorkerLocks, total: int = 9) -> tuple[int, float] | None:
    with locks.exclusive():
        trial = take_trial(study, locks, total, {"x": 0.25})
        return None if trial is None else (trial.number, trial.suggest_float("x", 0, 1))


def test_the_first_trial_takes_the_values_before_the_search(study: Study, tmp_path: Path) -> None:
    with WorkerLocks(tmp_path).registered():
        assert take(study, WorkerLocks(tmp_path)) == (0, 0.25)


def test_a_trial_is_taken_over_once_its_process_is_gone(study: Study, tmp_path: Path) -> None:
    one, other = WorkerLocks(tmp_path), WorkerLocks(tmp_path)
    with other.registered():
        with one.registered():
            assert take(study, one) == (0, 0.25)
            with other.exclusive():
                assert other.others() == 1
            number, value = take(study, other)
            assert number == 1
        assert take(study, other) == (0, 0.25)
        study.tell(0, 1.0)
        study.tell(1, 1.0)
        assert take(study, other, total=2) is None
    assert [trial.params["x"] for trial in study.trials] == [0.25, value]


def test_a_trial_that_kills_its_process_again_and_again_has_failed(study: Study, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * 3, done.stderr
    locks = WorkerLocks(tmp_path)
    with locks.registered():
        assert take(study, locks)[0] == 1
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.RUNNING]
    assert study.trials[0].user_attrs["reason"].startswith("its process died 3 times")
    assert not list((tmp_path / "workers").iterdir())


def draw(trial: Trial) -> tuple[float, int]:
    return trial.suggest_float("x", 0.001, 1.0, log=True), trial.suggest_categorical("y", (1, 2, 3))


def search(study: Study, trials: int) -> list[tuple[float, int]]:
    drawn = []
    for _ in range(trials):
        trial = study.ask()
        drawn.append(draw(trial))
        study.tell(trial, -abs(drawn[-1][0] - 0.1))
    return drawn


def test_an_unfinished_line_is_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    search(open_study(path, seed=0, prune=True), 2)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":5,"worker_id":"a')
    study = open_study(path, seed=0, prune=True)
    assert len(study.trials) == 2
    search(study, 1)
    assert path.read_bytes().startswith(whole)
    assert all(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    assert len(open_study(path, seed=0, prune=True).trials) == 3


def test_a_search_that_is_opened_again_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    whole = search(open_study(tmp_path / "whole", seed=3, prune=True), 14)
    parts = [search(open_study(tmp_path / "parts", seed=3, prune=True), trials) for trials in (4, 9, 1)]
    assert [drawn for part in parts for drawn in part] == whole
    assert len({x for x, _ in whole}) == 14
    other = search(open_study(tmp_path / "other", seed=4, prune=True), 3)
    assert other != whole[:3]


def test_a_trial_keeps_what_it_has_drawn(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study", seed=0, prune=True)
    drawn = draw(study.ask())
    (left,) = open_study(tmp_path / "study", seed=9, prune=True).get_trials()
    assert draw(Trial(study, left._trial_id)) == drawn


def test_what_a_killed_pool_of_workers_left_is_of_the_search(tmp_path: Path) -> None:
    begin_folder(tmp_path, {"run": {}, "models": {}}, (), resume=False, kind=SEARCH)
    (tmp_path / WORKERS).mkdir()
    for name in ("12-0.log", f"{'0a' * 16}.lock"):
        (tmp_path / WORKERS / name).touch()
    check_folder(tmp_path, resume=True, overwrite=False, kind=SEARCH)
    (tmp_path / WORKERS / "notes.log").touch()
    with pytest.raises(ParameterError, match=r"workers/notes\.log"):
        check_folder(tmp_path, resume=True, overwrite=False, kind=SEARCH)
