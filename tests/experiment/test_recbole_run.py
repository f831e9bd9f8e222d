"""RecBole's own run on a small log (recorded by benchmarks/recbole_fixture.py): its figures and its split are ours."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from segue.data.sessions import Cases, Prefixes
from segue.data.vocabulary import Vocabulary
from segue.evaluation.measure import measure
from segue.evaluation.prepare import prepare
from segue.experiment.recbole import load_recbole
from segue.experiment.recbole.metrics import metric_name
from segue.experiment.recipe import read_log

RECORDED = json.loads((Path(__file__).parents[1] / "fixtures" / "recbole_run.json").read_text(encoding="utf-8"))
RUNS = sorted(set(RECORDED["runs"]) - {"ties"})


class Scores:
    """Scores that were recorded: case c has the prefix that holds c alone."""

    def __init__(self, run):
        rows = [[-np.inf if score is None else score for score in row] for row in run["scores"]]
        self._rows = torch.tensor(rows, dtype=torch.float32)
        self.vocabulary = Vocabulary(pl.DataFrame({"item": run["items"][1:], "support": run["trained"][1:]}))

    def score(self, prefixes):
        return self._rows[torch.from_numpy(prefixes.starts)].clone()


def cases_of(run):
    """The recorded cases; what came before them is masked in the scores already."""
    count = len(run["scores"])
    order, rows = np.lexsort((run["positives"], run["rows"])), np.arange(count)
    return Cases(
        Prefixes(np.zeros(count, dtype=np.int32), rows, rows + 1),
        np.array(run["positives"], dtype=np.int32)[order],
        rows,
        offsets=np.concatenate([[0], np.cumsum(np.bincount(run["rows"], minlength=count))]),
    )


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return a function that prepares the recorded log under the configuration of a run."""
    monkeypatch.delenv("SEGUE_DATA", raising=False)

    def prepared(name):
        run = RECORDED["runs"][name]
        (tmp_path / "small.inter").write_text(RECORDED["log"])
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(run["config"]))
        options = {"models": [run["model"]], "log": str(tmp_path / "small.inter")}
        recipe = load_recbole([tmp_path / "config.yaml"], options)
        return prepare(read_log(recipe), recipe.protocol, **recipe.set["protocol"])

    return prepared


@pytest.mark.parametrize("name", RUNS)
def test_every_figure_that_recbole_printed_is_ours(name):
    run = RECORDED["runs"][name]
    printed = {metric_name(text, "metrics"): value for text, value in run["printed"].items()}
    found = measure(Scores(run), cases_of(run), metrics=list(printed), ties="standard").metrics
    assert {text: round(value, 4) for text, value in found.items()} == pytest.approx(printed, abs=1e-9)
    assert len(printed) == 10


def test_where_scores_are_equal_recbole_lies_between_the_rules_for_ties():
    run = RECORDED["runs"]["ties"]
    printed = {metric_name(text, "metrics"): value for text, value in run["printed"].items()}
    worst, best = (
        measure(Scores(run), cases_of(run), metrics=list(printed), ties=ties).metrics
        for ties in ("conservative", "standard")
    )
    assert all(worst[name] - 6e-5 <= value <= best[name] + 6e-5 for name, value in printed.items())
    assert worst["recall@10"] < printed["recall@10"] < best["recall@10"]


@pytest.mark.parametrize("name", RUNS)
def test_what_is_defined_otherwise_differs_by_its_definition_alone(name):
    run = RECORDED["runs"][name]
    found = measure(Scores(run), (cases := cases_of(run)), metrics=["map@10", "coverage@10", "popularity@10"])
    n_items = len(run["items"]) - 1
    shortened = found.values["map@10"] * cases.counts / np.minimum(cases.counts, 10)
    assert shortened.mean() == pytest.approx(run["all"]["map@10"], abs=6e-5)
    assert found.metrics["coverage@10"] * n_items / (n_items + 1) == pytest.approx(
        run["all"]["itemcoverage@10"], abs=6e-5
    )
    assert found.metrics["popularity@10"] == pytest.approx(run["all"]["averagepopularity@10"], abs=6e-5)


@pytest.mark.parametrize("name", RUNS)
def test_as_many_events_are_held_out_for_as_many_users(data, name):
    run, prepared = RECORDED["runs"][name], data(name)
    held = {stage.part: stage.statistics for stage in prepared.stages if stage.step == "hold-out-test"}
    assert held["test"].events == run["counts"]["test"] == len(run["positives"])
    assert held["test"].sessions == len(run["scores"])
    valid = next(one for one in prepared.stages if (one.step, one.part) == ("hold-out-valid", "valid"))
    assert valid.statistics.events == run["counts"]["valid"]
    everything = prepared.stages[-1 - [s.step for s in prepared.stages[::-1]].index("hold-out-test")]
    assert everything.all_items == run["counts"]["items"]


@pytest.mark.parametrize("name", ["filtered", "sequential"])
def test_the_very_same_events_are_held_out_where_time_orders_them(data, name):
    run, prepared = RECORDED["runs"][name], data(name)
    theirs = {(run["users"][row], run["items"][item]) for row, item in zip(run["rows"], run["positives"], strict=True)}
    test, known = prepared.test, set(prepared.vocabulary.ids.to_list())
    users = (
        test.prefixes.columns["user"].gather(test.prefixes.starts).gather(np.repeat(np.arange(len(test)), test.counts))
    )
    ours = set(zip(users.to_list(), prepared.vocabulary.decode(test.targets), strict=True))
    assert ours == {(user, item) for user, item in theirs if item in known}
    assert len(ours) == len(test.targets) >= len(theirs) - 5
