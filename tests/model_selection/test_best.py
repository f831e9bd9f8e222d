"""The search for the best model of a log: what it trains, what decides, and when the test part is used."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import segue
from segue.data.events import Events
from segue.data.synthetic import shop
from segue.errors import DivergedError, ParameterError
from segue.experiment import fit_and_test
from segue.experiment.candidates import chosen_in
from segue.experiment.results import Results
from segue.experiment.run_folder import BEST
from segue.model_selection import costs, search, select
from segue.model_selection.costs import Clock, Cost
from segue.model_selection.race import Race
from segue.model_selection.record import Record
from segue.model_selection.select import Best
from segue.models.blend import Blend
from segue.models.gru4rec import GRU4Rec

SMALL: dict[str, Any] = {"hidden_size": 16, "training": {"epochs": 3, "learning_rate": 0.1}}
QUICK: dict[str, Any] = {"hidden_size": 8, "training": {"epochs": 1}}
NARROW: dict[str, Any] = {"embedding_size": 16, "training": {"epochs": 2}}
FILES = {"best.json", "results.json", "report.md", "report.html", "run.json", "curves", "cases"}


@pytest.fixture(scope="module")
def log() -> Events:
    return shop(800, 0)


def config(**changes: Any) -> segue.RunConfig:
    given = {"models": ["gru4rec", "sasrec"], "set": {"gru4rec": SMALL, "sasrec": NARROW}, **changes}
    return segue.RunConfig(log="shop.csv", **given)


def found(folder: Path, log: Events, *, budget: float = 1000, resume: bool = False, **changes: Any) -> Best:
    options = segue.BestConfig(budget=budget)
    return segue.best(config(**changes), folder, config=options, events=log, resume=resume)


@pytest.fixture(scope="module")
def run(log: Events, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Best, list[str | None]]:
    """Search; the last value is what was chosen at each evaluation on the test part."""
    folder, chosen = tmp_path_factory.mktemp("runs") / "best", []
    with pytest.MonkeyPatch.context() as patch:
        plain = fit_and_test.evaluate

        def evaluate(*args: Any, **options: Any) -> Any:
            chosen.append(Record.read(folder / BEST).chosen)
            return plain(*args, **options)

        patch.setattr(fit_and_test, "evaluate", evaluate)
        return folder, found(folder, log), chosen


def test_validation_chooses_before_the_test_part_is_used(run: tuple[Path, Best, list[str | None]]) -> None:
    _, best, chosen = run
    assert chosen == [best.chosen] * len(best.results.models)
    values = {one.label: one.value for one in best.record.candidates.values() if one.state == "trained"}
    assert best.chosen == max(values, key=lambda label: values[label])
    assert {"gru4rec", "v-sknn", "popularity"} <= values.keys()
    # Measured seconds decide which network comes first; sasrec falls behind gru4rec if it is second.
    assert best.record.candidates["sasrec"].state in {"trained", "stopped"}


def test_it_leaves_a_run(run: tuple[Path, Best, list[str | None]], log: Events) -> None:
    folder, best, _ = run
    assert {path.name for path in folder.iterdir()} >= FILES
    assert not (folder / "checkpoints").exists()
    results = Results.read(folder / "results.json")
    labels = {row.label for row in results.models}
    assert {best.chosen, "popularity", "markov", "sequential-rules", "v-sknn"} <= labels
    assert results.search is not None
    assert results.search.verdict == best.verdict[:-1]
    assert {one.label for one in results.search.candidates} == best.record.candidates.keys()
    assert Record.read(folder / BEST) == best.record
    assert all(part.metrics.keys() <= {"recall@20", "mrr@20"} for row in results.models for part in row.slices)
    model = segue.load(folder / best.chosen)
    evaluation = segue.evaluate(model, segue.prepare(log))
    row = next(row for row in results.models if row.label == best.chosen)
    assert evaluation.metrics == row.metrics
    assert any(best.chosen in sentence for sentence in best.verdict)


def test_its_models_are_those_of_a_run(run: tuple[Path, Best, list[str | None]], log: Events, tmp_path: Path) -> None:
    folder, best, _ = run
    alone = segue.run(
        config(models=["gru4rec"], set={"gru4rec": SMALL, "protocol": {"valid_metric": "ndcg@20"}}),
        tmp_path / "run",
        events=log,
    )
    row = next(row for row in alone.models if row.label == "gru4rec")
    epochs = best.record.candidates["gru4rec"].epochs
    assert epochs == SMALL["training"]["epochs"]
    assert segue.load(folder / "gru4rec").about["result"]["curve"][-1]["loss"] == row.curve[-1].loss


def test_resumed_search_continues_where_it_was(log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Measured costs decide which network is first, and it decides whether the other one falls behind.
    monkeypatch.setattr(search, "measure_cost", lambda *_, **__: Cost(0.0, 1.0, 0.0))
    whole = found(tmp_path / "whole", log)
    noted = []
    plain = Race.note

    def note(self: Race, label: str, share: float, value: float) -> None:
        noted.append(label)
        if len(noted) == 2:
            raise KeyboardInterrupt
        plain(self, label, share, value)

    with monkeypatch.context() as patch:
        patch.setattr(Race, "note", note)
        with pytest.raises(KeyboardInterrupt):
            found(tmp_path / "killed", log)
    begun = Record.read(tmp_path / "killed" / BEST)
    assert begun.candidates[noted[0]].state == "training"
    fits = []
    fit = search.fit_model
    monkeypatch.setattr(
        search, "fit_model", lambda spec, *args, **options: fits.append(spec.label) or fit(spec, *args, **options)
    )
    resumed = found(tmp_path / "killed", log, resume=True)
    assert fits[0] == noted[0]
    assert not set(fits) & {"popularity", "v-sknn", "stan"}
    assert resumed.record.spent_seconds > begun.spent_seconds
    values = [{one.label: one.value for one in best.record.candidates.values()} for best in (whole, resumed)]
    assert values[0] == values[1]
    assert whole.chosen == resumed.chosen


def test_resumed_after_its_end_it_trains_nothing_again(
    log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = found(tmp_path / "out", log)
    fits = []
    fit = search.fit_model
    monkeypatch.setattr(
        search, "fit_model", lambda spec, *args, **options: fits.append(spec.label) or fit(spec, *args, **options)
    )
    monkeypatch.setattr(Clock, "left", lambda self: -1.0)  # Nothing of the budget is left.
    again = found(tmp_path / "out", log, resume=True)
    assert not fits
    assert again.chosen == first.chosen
    values = [{one.label: one.value for one in best.record.candidates.values()} for best in (first, again)]
    assert values[0] == values[1]
    assert (first.record.tests, again.record.tests) == (1, 1)
    assert again.verdict == first.verdict
    assert again.record == first.record
    with pytest.raises(ParameterError, match=r"was started with other parameters of gru4rec; resume with the same"):
        found(tmp_path / "out", log, resume=True, set={"gru4rec": {**SMALL, "hidden_size": 8}, "sasrec": NARROW})


def test_killed_in_the_test_it_says_what_an_uninterrupted_search_says(
    log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    options: dict[str, Any] = {"models": ["gru4rec"], "set": {"gru4rec": QUICK}}
    whole = found(tmp_path / "whole", log, **options)
    with monkeypatch.context() as patch:
        patch.setattr(fit_and_test, "evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            found(tmp_path / "killed", log, **options)
    resumed = found(tmp_path / "killed", log, resume=True, **options)
    assert resumed.verdict[:-1] == whole.verdict[:-1]
    assert resumed.record.tests == whole.record.tests == 1


def test_more_time_trains_what_was_left_out(log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "measure_cost", lambda *_, **__: Cost(0.0, 40.0, 0.0))
    first = found(tmp_path / "out", log, models=["gru4rec"], budget=40, set={"gru4rec": SMALL})
    assert first.record.candidates["gru4rec"].state == "left out"
    again = found(tmp_path / "out", log, models=["gru4rec"], budget=1000, set={"gru4rec": SMALL}, resume=True)
    assert again.record.candidates["gru4rec"].state == "trained"
    assert again.record.candidates["gru4rec"].epochs == SMALL["training"]["epochs"]
    newly = {row.label for row in again.results.models} - {row.label for row in first.results.models}
    assert again.record.tests == 1 + bool(newly)


def test_blend_is_measured_on_cases_that_did_not_choose_its_weights(
    log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen_on, measured_on = [], []
    take, ranked = Blend.take, search.Search.ranked

    def noted(self: Blend, models: Any, valid: Any, progress: Any, **options: Any) -> None:
        take(self, models, valid, progress, **options)
        self.chosen_on = set(zip(valid.prefixes.starts.tolist(), valid.prefixes.ends.tolist(), strict=True))
        chosen_on.append(len(valid))

    def measured(self: Any, fitted: Any, cases: Any) -> Any:
        if isinstance(fitted.model, Blend):
            now = set(zip(cases.prefixes.starts.tolist(), cases.prefixes.ends.tolist(), strict=True))
            assert not now & fitted.model.chosen_on
            measured_on.append(len(cases))
        return ranked(self, fitted, cases)

    monkeypatch.setattr(Blend, "take", noted)
    monkeypatch.setattr(search.Search, "ranked", measured)
    best = found(tmp_path / "out", log, models=["gru4rec"], set={"gru4rec": SMALL})
    assert best.record.candidates["blend"].state == "trained"
    assert len({"vstan", "stan", "v-sknn"} & segue.load(tmp_path / "out" / "blend").parts.keys()) <= 1
    assert sum(measured_on) == best.record.cases
    assert len(measured_on) == 2


def test_what_happens_once_is_not_part_of_a_cost(log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first: set[str] = set()
    ranked = search.Search.ranked

    def slow_at_first(self: Any, fitted: Any, cases: Any) -> Any:
        if fitted.model.name not in first:
            first.add(fitted.model.name)
            time.sleep(0.3)
        return ranked(self, fitted, cases)

    monkeypatch.setattr(search.Search, "ranked", slow_at_first)
    best = found(tmp_path / "out", log, models=["gru4rec"], set={"gru4rec": QUICK})
    assert max(one.case_seconds for one in best.record.candidates.values()) * best.record.cases < 0.25


def test_network_that_does_not_fit_is_shortened_or_left_out(
    log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"gru4rec": 30.0, "sasrec": 1000.0}
    monkeypatch.setattr(search, "measure_cost", lambda model, *_, **__: Cost(0.0, seconds[model.name], 0.0))
    best = found(tmp_path / "out", log, budget=100)
    network, long = best.record.candidates["gru4rec"], best.record.candidates["sasrec"]
    assert (network.state, network.epochs) == ("trained", 2)
    assert network.note == "2 instead of 3 epochs"
    assert long.state == "left out"
    assert long.note.startswith("1 epoch would take 18.3 minutes, ")
    assert long.note.endswith(" were left for training")
    assert "sasrec left out" in best.verdict[-1]


def test_training_ends_with_the_budget(log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "measure_cost", lambda *_, **__: Cost(0.0, 1e-3, 0.0))  # Much too low.
    clock = Clock.left
    asked = []

    def left(self: Clock) -> float:
        asked.append(1)
        return clock(self) if len(asked) < 30 else 0.0

    monkeypatch.setattr(Clock, "left", left)
    best = found(tmp_path / "out", log, set={"gru4rec": {**SMALL, "training": {"epochs": 500}}}, models=["gru4rec"])
    assert best.record.candidates["gru4rec"].state == "trained"
    assert len(segue.load(tmp_path / "out" / "gru4rec").about["result"]["curve"]) < 5
    assert best.record.candidates["gru4rec"].note == "ended early, because the budget was used"


def test_network_that_diverges_is_left_out(log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: Any) -> None:
        raise DivergedError("the loss became inf")

    monkeypatch.setattr(search, "measure_cost", lambda *_, **__: Cost(0.0, 1.0, 0.0))
    monkeypatch.setattr(GRU4Rec, "_fit", diverge)
    best = found(tmp_path / "out", log)
    assert best.record.candidates["gru4rec"].note == "the loss became inf"
    assert "gru4rec diverged; a larger budget trains nothing further" in best.verdict[-1]
    monkeypatch.undo()
    monkeypatch.setattr(GRU4Rec, "_fit", diverge)  # While its cost is measured.
    best = found(tmp_path / "probed", log, models=["gru4rec"], set={"gru4rec": SMALL})
    assert best.record.candidates["gru4rec"].note == "the loss became inf"


def test_other_networks_are_trained_where_one_diverges(
    log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: Any) -> None:
        raise DivergedError("the loss became inf")

    monkeypatch.setattr(GRU4Rec, "_fit", diverge)
    best = found(tmp_path / "out", log)
    assert best.record.candidates["sasrec"].state == "trained"


def test_network_that_falls_behind_is_stopped() -> None:
    race = Race()
    for _ in range(2):  # What is noted twice changes nothing.
        for share, value in ((0.25, 0.10), (0.5, 0.20), (0.75, 0.18), (1.0, 0.30)):
            race.note("leader", share, value)
    race.note("other", 0.1, 0.0)
    assert race.behind("other", "leader", "ndcg@20") == ""  # Too early.
    race.note("other", 0.5, 0.19)
    assert race.behind("other", "leader", "ndcg@20") == ""
    race.note("other", 0.75, 0.15)  # Its best is that of the epoch before.
    assert race.behind("other", "leader", "ndcg@20") == ""
    race.note("slow", 0.6, 0.17)
    assert race.behind("slow", "leader", "ndcg@20") == (
        "ndcg@20 0.1700 after 60% of its training, where leader had about 0.2000"
    )
    assert race.behind("slow", None, "ndcg@20") == ""
    race.note("slow", 1.0, 0.17)
    assert race.behind("slow", "leader", "ndcg@20") == ""  # It is trained.


def test_stopped_network_is_not_written(log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "measure_cost", lambda model, *_, **__: Cost(0.0, 1.0 + (model.name == "sasrec"), 0.0))
    monkeypatch.setattr(Race, "behind", lambda self, label, leader, metric: "slow" if label == "sasrec" else "")
    best = found(tmp_path / "out", log)
    assert best.record.candidates["sasrec"].state == "stopped"
    assert best.record.candidates["sasrec"].note == "slow"
    assert not (tmp_path / "out" / "sasrec").exists()
    assert "sasrec" not in {row.label for row in best.results.models}
    assert "sasrec stopped early" in best.verdict[-1]


def test_cost_is_that_of_the_training(log: Events) -> None:
    data = segue.prepare(log)
    model = GRU4Rec(training={"epochs": 1, "batch_size": 16})
    cost = costs.measure_cost(model, data.train, data.valid, seed=0, runtime=segue.Runtime(device="cpu"), seconds=0.1)
    (record,) = GRU4Rec(model.config).fit(data.train, runtime=segue.Runtime(device="cpu")).curve
    assert record.seconds / 5 < cost.epoch < 5 * record.seconds
    assert 0 < cost.case < 0.1
    assert 0 <= cost.start < 10


def test_it_says_which_presets_it_uses(
    log: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    def said(events: Events = log, **changes: Any) -> list[str]:
        caplog.clear()
        with caplog.at_level("INFO", logger="segue"), pytest.raises(KeyboardInterrupt):
            found(tmp_path / "run", events, **changes)
        return [record.message for record in caplog.records if record.message.startswith("presets: ")]

    monkeypatch.setattr(select, "recent_popularity_specs", stop)
    assert said(models=["gru4rec"], set={"gru4rec": QUICK}) == ["presets: none"]  # It has parameters of its own.
    assert said(models=["gru4rec", "sasrec"], set={"sasrec": NARROW}) == ["presets: gru4rec=sessions"]
    assert said(models=["gru4rec"], set={}, preset={"gru4rec": "authors"}) == ["presets: gru4rec=authors"]

    places = np.arange(40 * 40)
    items = np.random.default_rng(0).integers(0, 50, len(places))
    long = segue.read({"session": places // 40, "item": items, "time": 10**9 + 10_000 * places})
    assert said(long, models=[], set={}) == ["presets: sasrec=ml-1m, hstu=ml-1m, gru4rec=ml-1m"]


def test_the_metric_that_decides_comes_first_in_the_test(log: Events, tmp_path: Path) -> None:
    options = segue.BestConfig(budget=1000, metric="recall@3")
    best = segue.best(config(models=["gru4rec"], set={"gru4rec": QUICK}), tmp_path / "out", config=options, events=log)
    assert best.results.protocol["headline"][0] == "recall@3"
    values = [row.metrics["recall@3"] for row in best.results.models]
    assert values == sorted(values, reverse=True)
    assert "has recall@3 " in "".join(best.verdict)
    assert chosen_in(tmp_path / "out") == best.chosen
    assert chosen_in(tmp_path) is None


def test_mistakes(log: Events, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ParameterError, match=r"--model: must name single models, got blend; a blend of the best"):
        found(out, log, models=["gru4rec", "blend"])
    with pytest.raises(
        ParameterError, match=r"^--model: must name the networks to try, got stan, als; choose .* sasrec, "
    ):
        found(out, log, models=["gru4rec", "stan", "als"])
    with pytest.raises(ParameterError, match=r"unknown model 'gru4rce': did you mean 'gru4rec'"):
        found(out, log, models=["gru4rce"], set={})
    with pytest.raises(ParameterError, match=r"holds out none here; set protocol.split.valid_days to"):
        found(out, log, set={"protocol": {"split": {"valid_days": 0.0}}}, models=[])
    with pytest.raises(ValidationError, match=r"a metric of ranks"):
        segue.BestConfig(metric="coverage@20")
    assert not out.exists()


def test_resume_needs_the_same_metric_and_an_undamaged_record(log: Events, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found(out, log, models=["gru4rec"], set={"gru4rec": QUICK})
    with pytest.raises(ParameterError, match=r"was started with ndcg@20, got mrr@20; resume with the same metric"):
        segue.best(
            config(models=["gru4rec"], set={"gru4rec": QUICK}),
            out,
            config=segue.BestConfig(metric="mrr@20"),
            events=log,
            resume=True,
        )
    (out / BEST).write_text('{"metric": 1}')
    with pytest.raises(ParameterError, match=r"best.json is damaged, or of another version of segue; start again with"):
        found(out, log, models=["gru4rec"], set={"gru4rec": QUICK}, resume=True)
