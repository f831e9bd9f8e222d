"""The main job from the command line: what is printed and what is written."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from command import SMALL, Outcome, segue, tree, write_shop

from segue.cli import options as cli_options
from segue.cli.main import COMMANDS
from segue.cli.terminal import program
from segue.data.ingest.time_formats import NAMES
from segue.data.readers.formats import FORMATS
from segue.data.synthetic import shop
from segue.experiment.model_specs import BASELINES
from segue.models.markov import Markov
from segue.models.registry import BUILT_IN, model_class, model_classes
from segue.parameters import describe
from segue.protocols.prepare import prepare
from segue.protocols.protocol import Protocol

HEADLINE = {"recall@20", "mrr@20", "hit@10", "ndcg@10"}
WRITTEN = {"results.json", "report.md", "report.html", "run.json", "environment.json", "cases"}
NUMBERS = {"fit_seconds", "evaluate_seconds", "peak_memory_mb", "parameters", "latency_ms"}

Finished = tuple[Path, Outcome]


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def metrics(folder: Path) -> dict[str, dict[str, float]]:
    return {row["label"]: row["metrics"] for row in results(folder)["models"]}


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users' histories with text ids that markup would swallow, without times."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 10)
    table = pl.DataFrame({"user": users, "item": rng.permuted(np.tile(np.arange(20), (40, 1)), axis=1)[:, :10].ravel()})
    path = tmp_path_factory.mktemp("logs") / "histories.csv"
    table.with_columns(pl.format("[b]näme {}[/i]", "item").alias("item")).write_csv(path)
    return path


def test_results_hold_what_they_promise(finished: Finished) -> None:
    found = results(finished[0])
    assert len(found["protocol"]["hash"]) == 12
    assert found["protocol"]["name"] == "session-next"
    assert found["data"]["stages"][0]["step"] == "read"
    assert [row["label"] for row in found["models"] if not row["baseline"]] == ["stan", "gru4rec"]
    assert {row["label"] for row in found["models"] if row["baseline"]} == {*BASELINES, "popularity-7d"}
    first = [row["metrics"]["recall@20"] for row in found["models"]]
    assert first == sorted(first, reverse=True)
    for row in found["models"]:
        assert {"model", "config", "metrics", "confidence"} | NUMBERS <= row.keys()
        assert row["metrics"].keys() >= HEADLINE
        for name in HEADLINE:
            low, high = row["confidence"][name]
            assert low <= row["metrics"][name] <= high
        assert row["peak_memory_mb"] > 0
    config = next(row["config"] for row in found["models"] if row["model"] == "gru4rec")
    assert (config["hidden_size"], config["training"]["epochs"]) == (8, 1)


def test_a_run_writes_results_report_and_models_and_nothing_else(finished: Finished) -> None:
    out, outcome = finished
    labels = [row["label"] for row in results(out)["models"]]
    assert {path.name for path in out.iterdir()} == {*WRITTEN, "curves", *labels}
    assert {path.name for path in (out / "cases").iterdir()} == {f"{label}.parquet" for label in labels}
    report = (out / "report.md").read_text(encoding="utf-8")
    for text in (outcome.out, report):
        assert all(label in text for label in labels)
        assert results(out)["protocol"]["hash"] in text
    assert f"Wrote {out / 'results.json'}, {out / 'report.md'}" in outcome.out
    assert "epoch 1/1" in outcome.err
    cases = f"{results(out)['data']['test_cases']:,}"
    assert f"shop  ·  {cases} cases  ·  session-next  ·  protocol " in outcome.out
    assert f"{cases} test cases, protocol `session-next`" in report
    assert "| cases.exclude_seen | false |" in report
    assert "None" not in report


def test_a_model_that_loses_to_a_baseline_is_said_so(finished: Finished) -> None:
    out, outcome = finished
    verdict = next(line for line in results(out)["verdicts"] if line.startswith("gru4rec loses to the baseline"))
    assert f"! {verdict}\n" in outcome.out
    assert sum(line.startswith("! gru4rec ") for line in outcome.out.splitlines()) == 1
    assert f"- {verdict}\n" in (out / "report.md").read_text(encoding="utf-8")


def test_histories_are_tested_by_leave_one_out(histories: Path, tmp_path: Path) -> None:
    outcome = segue(
        "run", histories, "--model", "stan", "--set", "protocol.cleaning.k_core=2", "--out", tmp_path / "out"
    )
    assert outcome.code == 0, outcome.err
    found = results(tmp_path / "out")
    assert found["protocol"]["name"] == "leave-one-out"
    assert all(row["metrics"].keys() >= HEADLINE for row in found["models"])
    assert {row["label"] for row in found["models"]} == {"stan", *BASELINES}
    note = "stan: the log has no times, so the rank of a session takes the place of its age"
    assert note in outcome.out
    assert f"- {note}\n" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    answer = segue("recommend", tmp_path / "out" / "stan", "--items", "[b]näme 3[/i], [/x]", "-k", 3)
    assert answer.out.count("[b]näme ") == 3
    assert "Ignored, as it is not in the training data: '[/x]'\n" in answer.out


def test_equal_seeds_give_equal_figures(finished: Finished, log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert segue("run", log, "--model", "gru4rec", *SMALL, "--seed", 3, "--no-baselines", "--out", out).code == 0
    assert metrics(out) == {"gru4rec": metrics(finished[0])["gru4rec"]}


def test_options_may_stand_in_a_file(finished: Finished, log: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(
        f"log: {log}\nmodels: [gru4rec, stan]\nseed: 9\nbaselines: false\n"
        "set:\n  gru4rec: {hidden_size: 8, training: {epochs: 1}}\n  protocol: {split: {test_days: 2}}\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    assert segue("run", "--config", config, "--seed", 3, "--set", "protocol.split.test_days=1", "--out", out).code == 0
    assert results(out)["protocol"]["hash"] == results(finished[0])["protocol"]["hash"]
    assert metrics(out) == {label: metrics(finished[0])[label] for label in ("gru4rec", "stan")}


def test_a_preset_is_the_ground_that_parameters_stand_on(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--model", "gru4rec", "--preset", "gru4rec=recbole", *SMALL, "--no-baselines", "--out", out)
    assert segue("run", log, *options).code == 0
    config = results(out)["models"][0]["config"]
    assert (config["embedding"], config["embedding_size"], config["hidden_size"]) == ("separate", 64, 8)


def test_an_interrupted_run_takes_over_what_is_finished(finished: Finished, log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    for name in ("results.json", "report.md"):
        (out / name).unlink()
    for name in ("gru4rec", "markov"):
        shutil.rmtree(out / name)
    command = ("run", log, "--model", "gru4rec,stan", *SMALL, "--seed", 3, "--out", out)
    refused = segue(*command)
    assert refused.code == 2
    assert "already contains a run; add --resume to continue it" in refused.err
    resumed = segue(*command, "--resume")
    assert resumed.code == 0, resumed.err
    assert resumed.err.count("taken over from") == len(metrics(out)) - 2
    assert metrics(out) == metrics(finished[0])


def test_further_models_may_be_added(finished: Finished, log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    options = ("--model", "gru4rec,stan,item-knn", *SMALL, "--seed", 3, "--out", out, "--resume")
    resumed = segue("run", log, *options)
    assert resumed.code == 0, resumed.err
    assert resumed.err.count("taken over from") == len(metrics(out)) - 1
    assert "item-knn" in json.loads((out / "run.json").read_text(encoding="utf-8"))["models"]


def test_resuming_nothing_starts_from_the_beginning_and_says_so(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = segue("run", log, "--model", "markov", "--no-baselines", "--out", out, "--resume")
    assert outcome.code == 0
    assert f"{out}: contains nothing to resume; starting from the beginning\n" in outcome.err


def test_overwriting_replaces_the_run_and_keeps_other_files(finished: Finished, log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    (out / "my notes.txt").write_text("precious", encoding="utf-8")
    assert segue("run", log, "--model", "stan", "--no-baselines", "--out", out, "--overwrite").code == 0
    assert {path.name for path in out.iterdir()} == {*WRITTEN, "stan", "my notes.txt"}
    assert [path.name for path in (out / "cases").iterdir()] == ["stan.parquet"]


def test_evaluating_on_the_same_log_repeats_the_figures(finished: Finished, log: Path) -> None:
    out, _ = finished
    row = next(row for row in results(out)["models"] if row["label"] == "gru4rec")
    outcome = segue("evaluate", out / "gru4rec", log, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["metrics"] == row["metrics"]
    assert found["confidence"] == row["confidence"]
    assert found["hash"] == results(out)["protocol"]["hash"]
    assert not [note for note in found["notes"] if "model" in note]
    assert f"{row['metrics']['recall@20']:.4f}" in segue("evaluate", out / "gru4rec", log).out


def test_evaluating_on_more_says_how_the_figures_stand_to_the_table(
    finished: Finished, log: Path, tmp_path: Path
) -> None:
    whole = json.loads(segue("evaluate", finished[0] / "stan", log, "--all", "--json").out)
    assert whole["cases"] > json.loads(segue("evaluate", finished[0] / "stan", log, "--json").out)["cases"]
    assert whole["notes"][-1].endswith("metrics on all of it are too optimistic")
    other = segue("evaluate", finished[0] / "stan", write_shop(tmp_path / "other.csv", 1000, seed=0), "--all")
    assert "this is not the log of the run" in other.out


def test_recommending(finished: Finished) -> None:
    model = finished[0] / "stan"
    shown = segue("recommend", model, "--items", "1001, 1002", "-k", 3)
    answer = json.loads(segue("recommend", model, "--items", "1001,1002", "-k", 3, "--json").out)
    assert answer["source"] == "model"
    assert answer["unknown"] == []
    assert len(answer["items"]) == len(answer["scores"]) == 3
    assert all(str(item) in shown.out for item in answer["items"])
    timed = segue("recommend", model, "--items", "1001,1002", "-k", 3, "--json", "--context", "time=2026-01-31T20:00")
    assert json.loads(timed.out) == answer
    assert timed.err == "Ignored, as stan does not read the times of events: --context time\n"
    assert segue("recommend", model, "--items", "1001").err == ""
    unseen = segue("recommend", model, "--items", "1001", "-k", 480 - 20, "--exclude-seen", "--json")
    assert 1001 not in json.loads(unseen.out)["items"]


def test_unknown_items_are_answered_by_the_fallback_and_it_is_said(finished: Finished) -> None:
    outcome = segue("recommend", finished[0] / "stan", "--items", "nothing,[b]", "-k", 3)
    assert outcome.code == 0
    for text in ("nothing", "[b]"):
        assert f"Ignored, as it is not in the training data: '{text}'\n" in outcome.out
    assert "No item of the session is known: these are the most popular items." in outcome.out
    answer = json.loads(segue("recommend", finished[0] / "stan", "--items", "nothing", "--json").out)
    assert (answer["source"], answer["unknown"], len(answer["items"])) == ("popularity", ["nothing"], 10)


def test_items_are_named_and_near_ones_suggested(tmp_path: Path) -> None:
    model = Markov().fit(prepare(shop(1500, 0)).train)
    ids = dict(model.vocabulary.table.select("name", "item").iter_rows())
    folder = model.save(tmp_path / "markov")

    def asked(*arguments: object) -> dict[str, Any]:
        outcome = segue("recommend", folder, *arguments, "--json")
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)

    spatula, pan = "Silicone spatula, sand", "Frying pan, black"
    by_id = asked("--items", f"{ids[spatula]},{ids[pan]}")
    assert (by_id["source"], by_id["unknown"]) == ("model", [])
    assert asked("--item", ids[spatula], "--item", ids[pan]) == by_id
    assert asked("--item", spatula, "--item", pan) == by_id
    assert asked("--item", f" {spatula.upper()}", "--item", ids[pan]) == by_id
    filtered = asked("--item", spatula, "--allowed", pan, "--allowed", f"{ids[spatula]},1001")
    assert sorted(filtered["items"]) == sorted([ids[pan], ids[spatula], 1001])
    assert ids[pan] not in asked("--item", spatula, "--exclude", pan)["items"]
    assert asked("--items", spatula) == asked("--item", spatula)
    assert asked("--items", "Silicone spatula,pebble")["unknown"] == ["Silicone spatula", "pebble"]
    shown = segue("recommend", folder, "--item", "Frying pan, blak", "--item", "Silicone spatul", "--item", pan).out
    assert f"not in the training data: 'Frying pan, blak'; did you mean '{pan}' ({ids[pan]})" in shown
    assert re.search(
        r"not in the training data: 'Silicone spatul'; did you mean 'Silicone spatula, \w+' \(\d+\)", shown
    )
    assert f"'{spatula}' ({ids[spatula]})" in shown
    assert "these are the most popular items" not in shown


def test_quotes_in_items_lead_to_item(tmp_path: Path) -> None:
    folder = Markov().fit(prepare(shop(1500, 0)).train).save(tmp_path / "markov")
    shown = segue("recommend", folder, "--items", '"Tea, Bio 1",Bio 1').out
    start, hint = "Ignored, as it is not in the training data: ", "; --items is split at every comma, also between "
    assert [line for line in shown.splitlines() if line.startswith(start)] == [
        f"{start}'\"Tea'{hint}quotes: name an item with commas by --item",
        f"{start}'Bio 1\"'{hint}quotes: name an item with commas by --item",
        f"{start}'Bio 1'",
    ]


def test_models_are_listed_with_every_parameter() -> None:
    listed = segue("models").out
    for kind in model_classes():
        assert kind.name in listed
        shown = segue("models", kind.name).out
        assert all(parameter.name in shown for parameter in describe(kind.Config))
    shown = segue("models", "gru4rec").out
    assert re.search(r"training\.clip_norm +none ", shown)
    assert "--preset gru4rec=recbole: embedding=separate" in shown


def test_a_broken_plugin_is_a_warning_in_the_list_and_an_error_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "broken_models-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-models\nVersion: 1.2\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[segue.models]\nbest = broken_models:Best\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    why = (
        "model 'best' (broken_models:Best) of package broken-models 1.2: cannot be imported (ModuleNotFoundError: "
        "No module named 'broken_models'); repair or uninstall the package\n"
    )
    listed = segue("models")
    assert listed.code == 0
    assert f"! {why}" in listed.out
    assert all(kind in listed.out for kind in BUILT_IN)
    asked = segue("models", "best")
    assert (asked.code, asked.err) == (2, f"error: {why}")
    trained = segue("run", "no-log", "--model", "best,stan", "--set", "stan.k=0", "--out", tmp_path / "run")
    assert (trained.code, trained.err) == (2, f"error: {why}stan.k: must be greater than or equal to 1, got 0\n")


def test_the_summary_of_a_model_shows_its_network() -> None:
    small = ("--items", 500, "--length", 7, "--set", "gru4rec.hidden_size=16")
    shown = segue("models", "gru4rec", "--summary", *small).out
    assert "gru4rec: 500 items, a session of 7 events\n" in shown
    assert "cells.0  GRUCell          1 x 16      7       1,632" in shown
    assert "Parameters: 10,149; without the item tables 1,632\n" in shown
    assert "FLOPs per scored session: 37,536; 21,504 to read it, 16,032 to score all items\n" in shown
    assert "--summary" in segue("models", "gru4rec", *small).err
    assert "give its name" in segue("models", "--summary").err
    assert "only gru4rec is shown, got stan" in segue("models", "gru4rec", "--summary", "--set", "stan.k=3").err
    shown = segue("models", "v-sknn", "--summary").out
    assert "v-sknn has no network" in shown
    assert all(parameter.name in shown for parameter in describe(model_class("v-sknn").Config))


def test_a_log_is_shown_step_by_step(log: Path) -> None:
    found = json.loads(segue("data", log, "--set", "protocol.cleaning.min_support=9", "--json").out)
    assert found["protocol"]["cleaning"]["min_support"] == 9
    assert {"sessions", "items", "events", "consecutive_repeats", "equal_times"} <= found["data"]["stages"][0].keys()
    shown = segue("data", log).out
    assert "min-support, train: dropped items with fewer than 5 events\n" in shown
    assert "columns: session is 'session'" in shown
    assert "…" not in shown
    mark = json.loads(segue("data", log, "--json").out)["protocol"]["hash"]
    assert re.search(rf"^shop  ·  [\d,]+ cases  ·  session-next  ·  protocol {mark}$", shown, re.MULTILINE)


def test_the_remedy_for_an_ambiguous_log_can_be_pasted(tmp_path: Path) -> None:
    early = pl.col("time").dt.replace(day=pl.col("time").dt.day() % 12 + 1)
    table = shop(600).frame.with_columns(early.dt.strftime("%m/%d/%Y %H:%M"))
    table.write_csv(tmp_path / "log.csv")
    refused = segue("data", tmp_path / "log.csv")
    assert refused.code == 2
    options = re.findall(r'--time-format "[^"]*"', refused.err)
    assert len(options) == 2
    for option in options:
        shown = segue("data", tmp_path / "log.csv", *shlex.split(option))
        assert shown.code == 0, shown.err
        assert f"(dates in the format {shlex.split(option)[1]}, as requested)" in shown.out


@pytest.mark.parametrize("models", [["stan"], pytest.param([], marks=pytest.mark.soak)], ids=["stan", "its models"])
def test_the_demo_ends_with_recommendations_by_name_and_commands_that_work(
    models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a shop"
    outcome = segue("demo", "--sessions", 1000, "--out", out, *(["--model", *models] if models else []))
    assert outcome.code == 0, outcome.err
    own = models or ["gru4rec", "stan"]
    assert {row["label"] for row in results(out)["models"]} == {*own, *BASELINES, "popularity-7d"}
    assert "category" in outcome.out
    recommend, fit, by_name = (
        line for line in outcome.out.splitlines() if line.startswith(("  segue rec", "  segue fit"))
    )
    assert segue(*shlex.split(recommend)[1:]).code == 0
    monkeypatch.chdir(tmp_path)
    assert "trained on the whole log" in segue(*shlex.split(fit)[1:]).out
    shown = segue(*shlex.split(by_name)[1:]).out
    assert "Not in the training data" not in shown
    assert " 5 " in shown


def test_the_demo_trains_other_models_and_draws_those_that_have_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = segue("demo", "--sessions", 1000, "--model", "als").out
    command = next(line for line in shown.splitlines() if line.startswith("  segue plot"))
    assert "10 nearest neighbours of the same category" in segue(*shlex.split(command)[1:]).out
    assert "segue plot" not in segue("demo", "--sessions", 1000, "--model", "markov", "--out", "m").out


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_fits_a_terminal_and_shows_examples(command: tuple[str, ...]) -> None:
    outcome = segue(*command, "--help")
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= 80
    if command:
        examples = outcome.out.split("Examples:")[1].split("╭")[0].splitlines()
        assert sum(bool(re.match(rf" ([A-Z_]+=\S+ )?segue {command[0]}", line)) for line in examples) >= 2


@pytest.mark.parametrize("command", ["run", "data", "prepare", "fit"])
def test_help_names_a_parameter_of_a_part_of_the_protocol(command: str) -> None:
    assert re.search(r"protocol\.(cleaning|split)\.\w+=\d", segue(command, "--help").out)


def test_the_version_is_told() -> None:
    assert segue("--version").out.startswith("segue 0.")


def test_an_interrupt_says_how_to_go_on(
    log: Path, finished: tuple[Path, Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segue.run", interrupt, raising=False)
    monkeypatch.chdir(tmp_path)
    assert segue("run", log, "--model", "stan") == Outcome(
        130, "", f"interrupted; to continue: segue run {log} --model stan --out runs/shop-1 --resume\n"
    )
    outcome = segue("run", log, "--out", "a b", "--overwrite")
    assert outcome.err == f"interrupted; to continue: segue run {log} --out 'a b' --resume\n"
    for name in ("tune", "distill"):
        monkeypatch.setattr(f"segue.{name}", interrupt, raising=False)
    outcome = segue("tune", log, "--model", "stan")
    assert outcome.code == 130
    assert outcome.err.startswith("interrupted; to continue: segue tune ")
    model = finished[0] / "stan"
    assert segue("distill", model, log) == Outcome(
        130, "", f"interrupted; to continue: segue distill {model} {log} --out runs/shop-distilled-1 --resume\n"
    )
    monkeypatch.setattr("segue.experiment.prepared_data.prepare", interrupt)
    monkeypatch.setattr("segue.experiment.production.prepare_whole", interrupt)
    for options in (("fit", log, "--like", model), ("prepare", log, "--out", "prepared")):
        assert segue(*options) == Outcome(130, "", "interrupted; nothing was written\n")
    assert not list(tmp_path.iterdir())


def test_a_command_to_type_names_the_program_as_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program_file = tmp_path / "bin" / "segue"
    program_file.parent.mkdir()
    program_file.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program_file)])
    monkeypatch.setenv("PATH", "")
    assert program() == str(program_file)
    monkeypatch.setenv("PATH", str(program_file.parent))
    assert program() == "segue"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "segue" / "__main__.py")])
    assert program() == f"{shlex.quote(sys.executable)} -m segue"


def test_a_reader_who_leaves_early_gets_no_traceback(log: Path) -> None:
    program = "from segue.cli.main import main; main()"
    command = subprocess.Popen(
        [sys.executable, "-c", program, "data", log], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()
    assert command.stderr.read() == ""
    command.stderr.close()
    command.wait(60)


def test_a_finished_run_is_not_touched_by_looking_at_it(finished: Finished, log: Path) -> None:
    before = tree(finished[0])
    segue("evaluate", finished[0] / "stan", log)
    segue("recommend", finished[0] / "stan", "--items", "1001")
    assert tree(finished[0]) == before


def test_help_lists_the_formats_and_the_protocols() -> None:
    """They are written out in the options, since the help imports no table."""
    options = {name: one for name, one in vars(cli_options).items() if name in ("Format", "Protocol")}
    said = {name: one.__metadata__[0].help.split(": ")[1].rstrip(".") for name, one in options.items()}
    listed = {name: tuple(text.replace(" or ", ", ").split(", ")) for name, text in said.items()}
    assert listed == {"Format": FORMATS, "Protocol": tuple(Protocol.presets)}
    assert all(name in cli_options.TimeFormat.__metadata__[0].help for name in NAMES)
