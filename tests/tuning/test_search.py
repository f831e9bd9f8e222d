"""A search from a log to best.yaml, inside this process."""

import json
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from segue.data.events import Events
from segue.data.synthetic import shop
from segue.errors import ParameterError
from segue.evaluation.measure import evaluate
from segue.experiment.config import RunConfig, load_config
from segue.models.registry import model_class
from segue.progress import Progress
from segue.protocols.dataset import open_dataset
from segue.protocols.prepare import prepare
from segue.tuning import TuningConfig
from segue.tuning.objective import Objective
from segue.tuning.result import TrialRecord, TuningResult
from segue.tuning.study import DATA
from segue.tuning.tune import tune
from segue.tuning.workers import shared_data

SMALL = {"hidden_size": 8, "training": {"epochs": 3, "loss": {"n_samples": 32}}}
SEARCH = {"gru4rec": {"training.learning_rate": "0.005..0.5:log", "dropout_hidden": [0.0, 0.2, 0.4]}}


@pytest.fixture(scope="module")
def events() -> Events:
    return shop(400, 0)


@pytest.fixture(scope="module")
def tuned(events: Events, tmp_path_factory: pytest.TempPathFactory) -> TuningResult:
    """A finished search of seven trials, uninterrupted. Not to be written to."""
    return sought(events, tmp_path_factory.mktemp("searches") / "a")


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch, tuned: TuningResult) -> None:
    """Saves the time that they take."""
    monkeypatch.setattr("segue.tuning.report.write_charts", lambda result: [])


def gru4rec(**changes: Any) -> RunConfig:
    return RunConfig(**{"log": "shop", "models": ["gru4rec"], "set": {"gru4rec": SMALL}, **changes})


def sought(events: Events, out: Path, run_config: RunConfig | None = None, **options: Any) -> TuningResult:
    plan = {"search": SEARCH, "only": True, "trials": 7, **options.pop("plan", {})}
    return tune(run_config or gru4rec(), out, config=TuningConfig(**plan), events=events, **options)


def facts(rows: Sequence[TrialRecord]) -> list[tuple]:
    return [(row.number, row.state, row.value, row.epochs, row.parameters, row.reason) for row in rows]


class StopAt(Progress):
    """Interrupts a search when it comes to a trial's epoch."""

    def __init__(self, note: str) -> None:
        self._note = note

    @contextmanager
    def task(self, name: str, total: int) -> Any:
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        if note == self._note:
            raise KeyboardInterrupt


def test_the_best_trial_is_what_its_config_trains(events: Events, tuned: TuningResult) -> None:
    assert [row.number for row in tuned.trials] == list(range(7))
    assert tuned.metric == "recall@20"
    assert tuned.best.value == max(row.value for row in tuned.trials if row.state == "finished")
    run_config = load_config(tuned.folder / "best.yaml", {"log": "shop", "baselines": False})
    assert run_config == tuned.run_config.model_copy(update={"log": "shop"})
    data = prepare(events)
    model = model_class("gru4rec")(**run_config.set["gru4rec"]).fit(data.train, valid=data.valid)
    assert evaluate(model, data, part="valid").metrics["recall@20"] == tuned.best.value
    assert max(record.validation for record in model.curve) == tuned.best.value
    best = next(one.epoch for one in model.curve if one.validation == tuned.best.value)
    assert run_config.chosen_epochs == {"training": best + 1}


def test_the_folder_holds_the_trials_a_report_and_pictures(tuned: TuningResult) -> None:
    names = {path.name for path in tuned.folder.iterdir()}
    pictures = {f"{name}.{kind}" for name in ("history", "importance") for kind in ("png", "svg")}
    texts = {"best.yaml", "trials.csv", "report.md", "run.json", "study.journal", "study.journal.lock"}
    assert names == pictures | texts
    table = pl.read_csv(tuned.folder / "trials.csv")
    assert table["trial"].to_list() == list(range(7))
    assert table["recall@20"].to_list() == [row.value for row in tuned.trials]
    assert set(table["training.learning_rate"]) == {row.parameters["training.learning_rate"] for row in tuned.trials}
    report = (tuned.folder / "report.md").read_text(encoding="utf-8")
    assert f"recall@20 {tuned.best.value:.4f}" in report
    assert "| `dropout_hidden` | [0.0, 0.2, 0.4] |" in report
    assert all(json.loads(line) for line in (tuned.folder / "study.journal").read_text(encoding="utf-8").splitlines())


@pytest.mark.usefixtures("without_pictures")
def test_the_first_trial_is_without_a_search_and_the_others_depend_on_the_seed(
    events: Events, tuned: TuningResult, tmp_path: Path
) -> None:
    assert tuned.trials[0].parameters == {"training.learning_rate": 0.05, "dropout_hidden": 0.0}
    other = sought(events, tmp_path / "a", gru4rec(seed=1), plan={"trials": 2})
    assert other.trials[0].parameters == tuned.trials[0].parameters
    assert other.trials[1].parameters != tuned.trials[1].parameters


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("epoch", [1, 2])
def test_interrupted_and_resumed_equals_uninterrupted(
    events: Events, tuned: TuningResult, tmp_path: Path, epoch: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        sought(events, tmp_path / "a", progress=StopAt(f"trial 2: training, epoch {epoch}"))
    assert [path.name for path in (tmp_path / "a" / "checkpoints").iterdir()] == ["trial-2.safetensors"]
    resumed = sought(events, tmp_path / "a", resume=True)
    assert facts(resumed.trials) == facts(tuned.trials)
    assert not (tmp_path / "a" / "checkpoints").exists()


@pytest.mark.usefixtures("without_pictures")
def test_more_trials_may_be_added_and_none_is_repeated(events: Events, tuned: TuningResult, tmp_path: Path) -> None:
    sought(events, tmp_path / "a", plan={"trials": 2})
    assert facts(sought(events, tmp_path / "a", resume=True).trials) == facts(tuned.trials)


@pytest.mark.usefixtures("without_pictures")
def test_another_search_is_not_gone_on_with(events: Events, tmp_path: Path) -> None:
    sought(events, tmp_path / "a", plan={"trials": 1})
    before = (tmp_path / "a" / "study.journal").read_bytes()
    others = {
        "seed 0, got 1": {"run_config": gru4rec(seed=1)},
        "metric recall@20, got mrr@20": {"plan": {"metric": "mrr@20"}},
        "prune true, got false": {"plan": {"prune": False}},
        r"gru4rec.search.training.learning_rate 0.005..0.5:log, got 0.01..0.1": {
            "plan": {"search": {"gru4rec": {"training.learning_rate": "0.01..0.1"}}}
        },
        "protocol.split.test_days 1.0, got 2.0": {
            "run_config": gru4rec(set={"gru4rec": SMALL, "protocol": {"split": {"test_days": 2}}}),
        },
    }
    for message, options in others.items():
        with pytest.raises(ParameterError, match=message):
            sought(events, tmp_path / "a", resume=True, **options)
    with pytest.raises(ParameterError, match="already contains a search; add --resume"):
        sought(events, tmp_path / "a")
    assert (tmp_path / "a" / "study.journal").read_bytes() == before
    assert len(sought(events, tmp_path / "a", overwrite=True, plan={"trials": 2}).trials) == 2


@pytest.mark.usefixtures("without_pictures")
def test_a_trial_that_fails_says_why_and_the_search_goes_on(events: Events, tmp_path: Path) -> None:
    search = {"sasrec": {"embedding_size": [6, 8], "heads": [2, 4]}}
    small = {"sasrec": {"embedding_size": 8, "heads": 2, "training": {"epochs": 1}}}
    run_config = RunConfig(log="shop", models=["sasrec"], set=small)
    with pytest.raises(ParameterError, match="embedding_size has one value by --set"):
        sought(events, tmp_path / "a", run_config, plan={"search": search})
    run_config = RunConfig(log="shop", models=["sasrec"], set={"sasrec": {"training": {"epochs": 1}}})
    tuned = sought(events, tmp_path / "a", run_config, plan={"search": search, "trials": 10})
    reasons = {row.reason for row in tuned.trials if row.parameters == {"embedding_size": 6, "heads": 4}}
    assert reasons == {"sasrec.heads: must be a divisor of embedding_size, which is 6, got 4"}
    assert {row.state for row in tuned.trials if row.parameters["embedding_size"] == 8} <= {"finished", "pruned"}
    assert "## Failed trials" in (tuned.folder / "report.md").read_text(encoding="utf-8")


def test_where_all_trials_fail_the_search_says_so(events: Events, tmp_path: Path) -> None:
    run_config = gru4rec(
        set={"gru4rec": {**SMALL, "training": {"epochs": 1, "loss": {"kind": "top1", "n_samples": 32}}}}
    )
    plan = {"search": {"gru4rec": {"training.learning_rate": "1e30..1e38:log"}}, "trials": 2}
    with pytest.raises(ParameterError, match="all 2 trials that ended failed, the first one because: the loss became"):
        sought(events, tmp_path / "a", run_config, plan=plan)


@pytest.mark.usefixtures("without_pictures")
def test_trials_that_fall_behind_end_early_only_if_asked(events: Events, tmp_path: Path) -> None:
    plan = {"search": {"gru4rec": {"training.learning_rate": "1e-6..0.2:log"}}, "trials": 12}
    tuned = sought(events, tmp_path / "a", plan=plan)
    pruned = [row for row in tuned.trials if row.state == "pruned"]
    assert pruned
    assert all(row.number >= 5 and row.epochs in (2, 3) for row in pruned)
    assert not (tmp_path / "a" / "checkpoints").exists()
    # The same draws up to the first one that fell behind.
    asked = {**plan, "prune": False, "trials": pruned[0].number + 1}
    patient = sought(events, tmp_path / "a", plan=asked, overwrite=True)
    assert patient.trials[-1].parameters == pruned[0].parameters
    assert patient.trials[-1].state == "finished"
    assert patient.count("pruned") == 0


@pytest.mark.usefixtures("without_pictures")
def test_a_model_without_epochs_is_tuned(events: Events, tmp_path: Path) -> None:
    run_config = RunConfig(log="shop", models=["v-sknn"], set={"v-sknn": {"max_length": 5}})
    tuned = sought(events, tmp_path / "a", run_config, plan={"search": {}, "only": False, "metric": "ndcg@10"})
    names = set(tuned.best.parameters)
    assert {"k", "sample_size", "idf", "decay_days"} <= names
    assert "max_length" not in names
    assert {row.epochs for row in tuned.trials} == {0}
    data = prepare(events)
    model = model_class("v-sknn")(**tuned.run_config.set["v-sknn"]).fit(data.train)
    assert evaluate(model, data, part="valid").metrics["ndcg@10"] == tuned.best.value


@pytest.mark.usefixtures("without_pictures")
def test_a_search_that_has_no_time_left_begins_no_trial_and_goes_on_later(events: Events, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="none of 0 trials is finished; --resume continues"):
        sought(events, tmp_path / "a", plan={"timeout": 1e-9})
    assert len(sought(events, tmp_path / "a", plan={"trials": 2}, resume=True).trials) == 2


@pytest.mark.usefixtures("without_pictures")
def test_free_parameters_of_a_pair_are_searched(events: Events, tmp_path: Path) -> None:
    run_config = RunConfig(
        log="shop", models=["two-stage"], set={"two-stage": {"retriever": "item-knn", "ranker": "v-sknn"}}
    )
    search = {"two-stage": {"ranker_parameters.k": "5..50", "candidates": "10..50"}}
    tuned = sought(events, tmp_path / "a", run_config, plan={"search": search, "trials": 3})
    assert all(isinstance(row.parameters["ranker_parameters.k"], int) for row in tuned.trials)
    assert (
        yaml.safe_load((tuned.folder / "best.yaml").read_text(encoding="utf-8"))["set"]["two-stage"][
            "ranker_parameters"
        ]["k"]
        >= 5
    )


REFUSED = {
    "two models": (gru4rec(models=["gru4rec", "stan"]), {}, "--model: must name one model to tune, got gru4rec, stan"),
    "no model": (gru4rec(models=[], set={}), {}, "--model: must name one model to tune, got none"),
    "nothing to search": (
        RunConfig(log="shop", models=["session-popularity"]),
        {"search": {}},
        "session-popularity: has nothing to search; name a parameter, as in --search session-popularity.NAME=",
    ),
    "an unknown parameter": (
        gru4rec(),
        {"search": {"gru4rec": {"droput_hidden": "0..0.5"}}},
        "--search: unknown parameter of gru4rec 'droput_hidden': did you mean 'dropout_hidden'",
    ),
    "out of bounds": (
        gru4rec(),
        {"search": {"gru4rec": {"dropout_hidden": "0..1"}, "stan": {"k": "1..2"}}},
        r"--search: stan is not what is tuned, which is gru4rec; leave it out\n"
        r"--search: gru4rec.dropout_hidden: must be less than 1, got 1",
    ),
    "a fraction of an integer": (
        gru4rec(),
        {"search": {"gru4rec": {"layers": "1..2.5"}}},
        "--search: gru4rec.layers: must be an integer, got 2.5",
    ),
    "no validation": (
        gru4rec(set={"gru4rec": SMALL, "protocol": {"split": {"valid_days": 0}}}),
        {},
        "protocol: must hold out a validation part to tune on, .* set protocol.split.valid_days to hold one out",
    ),
    "two metrics": (
        gru4rec(set={"gru4rec": {"training": {"metric": "mrr@10"}}}),
        {"metric": "recall@20"},
        "--metric: must be gru4rec.training.metric, which is mrr@10, got recall@20",
    ),
}


@pytest.mark.usefixtures("without_pictures")
def test_processes_share_a_log_that_is_in_memory(events: Events, tmp_path: Path) -> None:
    """They open what was prepared of it; the folder with it goes when nothing is left to do."""
    stan = RunConfig(models=["stan"])
    found = tune(stan, tmp_path / "a", config=TuningConfig(trials=2, workers=2), events=events)
    assert [row.state for row in found.trials] == ["finished"] * 2
    assert not (tmp_path / "a" / "data").exists()
    alone = tune(stan, tmp_path / "b", config=TuningConfig(trials=1), events=events)
    assert found.trials[0].value == alone.trials[0].value


def test_what_was_prepared_stays_for_a_search_that_goes_on(events: Events, tmp_path: Path) -> None:
    objective = Objective.of(RunConfig(models=["stan"]), TuningConfig(workers=2), events=events, progress=Progress())
    folder = shared_data(objective, tmp_path)
    assert folder == tmp_path / DATA
    assert open_dataset(folder).describe() == objective.data.describe()
    before = (folder / "dataset.json").stat().st_ino
    assert (shared_data(objective, tmp_path) / "dataset.json").stat().st_ino == before
    other = Objective.of(RunConfig(models=["stan"]), TuningConfig(workers=2), events=shop(300, 1), progress=Progress())
    assert open_dataset(shared_data(other, tmp_path)).hash == other.data.hash


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_searched_is_refused_before_anything_is_written(
    events: Events, tmp_path: Path, case: str
) -> None:
    run_config, plan, message = REFUSED[case]
    with pytest.raises(ParameterError, match=message):
        sought(events, tmp_path / "a", run_config, plan=plan)
    assert not (tmp_path / "a").exists()


def test_a_space_that_does_not_suit_the_log_is_left_out_or_refused(events: Events, tmp_path: Path) -> None:
    untimed = Events(events.frame.drop("time"), unit="session")
    run_config = RunConfig(
        log="shop", models=["popularity"], protocol="session-next", set={"protocol": {"split": "ratio"}}
    )
    with pytest.raises(ParameterError, match="popularity: has nothing to search"):
        sought(untimed, tmp_path / "a", run_config, plan={"search": {}, "only": False})
    with pytest.raises(ParameterError, match=r"--search: popularity\.window_days: needs a log with times"):
        sought(untimed, tmp_path / "a", run_config, plan={"search": {"popularity": {"window_days": "1..9"}}})
