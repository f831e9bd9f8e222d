"""Who takes which trial."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.study import Study
from optuna.trial import TrialState

from segue.tuning.crew import Crew, take_trial
from segue.tuning.journal import open_study

KILLED = """
import os, signal, sys
from pathlib import Path
from segue.tuning.crew import Crew, take_trial
from segue.tuning.journal import open_study
out = Path(sys.argv[1])
crew, study = Crew(out), open_study(out / "study.journal", seed=0, prune=True)
with crew.joined():
    with crew.alone():
        take_trial(study, crew, 9, {"x": 0.25}).suggest_float("x", 0, 1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study(tmp_path / "study.journal", seed=0, prune=True)


def take(study: Study, crew: Crew, total: int = 9) -> tuple[int, float] | None:
    with crew.alone():
        trial = take_trial(study, crew, total, {"x": 0.25})
        return None if trial is None else (trial.number, trial.suggest_float("x", 0, 1))


def test_the_first_trial_takes_what_is_there_without_a_search(study: Study, tmp_path: Path) -> None:
    with Crew(tmp_path).joined():
        assert take(study, Crew(tmp_path)) == (0, 0.25)


def test_a_trial_is_taken_over_once_its_process_is_gone(study: Study, tmp_path: Path) -> None:
    one, other = Crew(tmp_path), Crew(tmp_path)
    with other.joined():
        with one.joined():
            assert take(study, one) == (0, 0.25)
            with other.alone():
                assert other.others() == 1
            number, value = take(study, other)
            assert number == 1
        assert take(study, other) == (0, 0.25)
        study.tell(0, 1.0)
        study.tell(1, 1.0)
        assert take(study, other, total=2) is None
    assert [trial.params["x"] for trial in study.trials] == [0.25, value]


def test_a_trial_that_kills_its_process_again_and_again_has_failed(study: Study, tmp_path: Path) -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
        assert done.returncode == -signal.SIGKILL
    crew = Crew(tmp_path)
    with crew.joined():
        assert take(study, crew)[0] == 1
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.RUNNING]
    assert study.trials[0].user_attrs["reason"].startswith("its process ended 3 times")
    assert not list((tmp_path / "workers").iterdir())
