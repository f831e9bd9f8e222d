"""RecBole's own run on a small log (recorded by benchmarks/recbole_fixture.py): its figures and its split are ours."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from segue.data.cases import Cases
from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.evaluation.measure import measure
from segue.experiment.prepared_data import read_log
from segue.protocols.prepare import prepare
from segue.recbole import load_recbole
from segue.recbole.protocol import metric_name

RECORDED = json.loads((Path(__file__).parents[1] / "fixtures" / "recbole_run.json").read_text(encoding="utf-8"))
RUNS = sorted(set(RECORDED["runs"]) - {"ties"})


class Scores:
    """Scores that were recorded, handed out in the order of the cases."""

    def __init__(self, run):
        self._rows = torch.from_numpy(matrix(run))
        self._next = 0
        self.vocabulary = Vocabulary(pl.DataFrame({"item": run["items"][1:], "support": run["trained"][1:]}))

    def score(self, prefixes):
        self._next += len(prefixes)
        return self._rows[self._next - len(prefixes) : self._next].clone()


def matrix(run):
    return np.array([[-np.inf if score is None else score for score in row] for row in run["scores"]], dtype=np.float32)


def cases_of(run):
    """The recorded cases; what RecBole masked is what came before."""
    count = len(run["scores"])
    order = np.lexsort((run["positives"], run["rows"]))
    rows, masked = np.nonzero(np.isneginf(matrix(run)[:, 1:]))
    ends = np.cumsum(np.bincount(rows, minlength=count))
    return Cases(
        Prefixes((masked + 1).astype(np.int32), np.concatenate([[0], ends[:-1]]), ends),
        np.array(run["positives"], dtype=np.int32)[order],
        np.arange(count),
        exclude_seen=True,
        offsets=np.concatenate([[0], np.cumsum(np.bincount(run["rows"], minlength=count))]),
    )


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return a function that prepares the recorded log under the configuration of a run."""
    monkeypatch.delenv("SEGUE_DATA", raising=False)

    def prepared(name):
        run = RECORDED["runs"][name]
        (tmp_path / "small.inter").write_text(RECORDED["log"], encoding="utf-8")
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(run["config"]), encoding="utf-8")
        options = {"models": [run["model"]], "log": str(tmp_path / "small.inter")}
        config = load_recbole([tmp_path / "config.yaml"], options)
        return prepare(read_log(config), config.protocol, **config.set["protocol"])

    return prepared


@pytest.mark.parametrize("name", RUNS)
def test_every_figure_that_recbole_printed_is_ours(name):
    run = RECORDED["runs"][name]
    printed = {metric_name(text, "metrics"): value for text, value in run["printed"].items()}
    found = measure(Scores(run), cases_of(run), {"metrics": list(printed), "ties": "optimistic"}).metrics
    assert {text: round(value, 4) for text, value in found.items()} == pytest.approx(printed, abs=1e-9)
    assert len(printed) == 10


def test_where_scores_are_equal_recbole_lies_between_the_rules_for_ties():
    run = RECORDED["runs"]["ties"]
    printed = {metric_name(text, "metrics"): value for text, value in run["printed"].items()}
    worst, best = (
        measure(Scores(run), cases_of(run), {"metrics": list(printed), "ties": ties}).metrics
        for ties in ("pessimistic", "optimistic")
    )
    assert all(worst[name] - 6e-5 <= value <= best[name] + 6e-5 for name, value in printed.items())
    assert worst["recall@10"] < printed["recall@10"] < best["recall@10"]


@pytest.mark.parametrize("name", RUNS)
def test_what_is_defined_otherwise_differs_by_its_definition_alone(name):
    run, n_items = RECORDED["runs"][name], len(RECORDED["runs"][name]["items"]) - 1
    metrics = ["map@10", "coverage@10", "popularity@10", "gini@10", "shannon_entropy@10", "tail_percentage@10", "gauc"]
    cases = cases_of(run)
    found = measure(Scores(run), cases, {"metrics": metrics, "ties": "optimistic"})
    ours = found.metrics
    by_theirs = {
        "map@10": (found.values["map@10"] * cases.counts / np.minimum(cases.counts, 10)).mean(),
        "itemcoverage@10": ours["coverage@10"] * n_items / (n_items + 1),
        "giniindex@10": (ours["gini@10"] * n_items + 1) / (n_items + 1),
        "shannonentropy@10": ours["shannon_entropy@10"] / round(ours["coverage@10"] * n_items),
        "averagepopularity@10": ours["popularity@10"],
        "gauc": ours["gauc"],
    }
    if min(run["trained"][1:]) > 0:  # The catalogue of RecBole holds items that training does not.
        by_theirs["tailpercentage@10"] = ours["tail_percentage@10"]
    assert by_theirs == pytest.approx({text: run["all"][text] for text in by_theirs}, abs=6e-5)


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


@pytest.mark.real
@pytest.mark.parametrize(
    ("file", "model", "events", "unknown"),
    [("bpr", "BPR", 9596, 18), ("gru4rec", "GRU4Rec", 943, 3), ("sasrec", "SASRec", 943, 3)],
)
def test_recboles_quick_start_tests_what_recbole_tests(real_data, file, model, events, unknown):
    """The events are those that RecBole 1.2.1 counts; of them so many are on items that training does not hold."""
    files = [Path(__file__).parents[2] / "benchmarks" / "recbole" / f"{file}.yaml"]
    config = load_recbole(files, {"models": [model], "log": str(real_data / "ml-100k")})
    prepared = prepare(read_log(config), config.protocol, **config.set["protocol"])
    held = {stage.part: stage.statistics for stage in prepared.stages if stage.step == "hold-out-test"}
    assert (held["test"].events, held["test"].sessions) == (events, 943)
    assert len(prepared.test.targets) == events - unknown
