"""The study on disk survives a process that is killed in the middle of a line, and repeats its draws."""

import json
from pathlib import Path

from optuna.study import Study
from optuna.trial import Trial

from segue.tuning.journal import open_study


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
    assert all(json.loads(line) for line in path.read_text().splitlines())
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
