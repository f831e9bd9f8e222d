"""`segue prepare`, and every command that takes its folder instead of a log: the results are the same."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import SMALL, Outcome, segue, tree

import segue as library
from segue.data.synthetic import shop
from segue.errors import ParameterError
from segue.protocols.dataset import MEASURING
from segue.protocols.protocol import Protocol
from segue.protocols.ranking import Ranking

TIMINGS = {"fit_seconds", "evaluate_seconds", "latency_ms", "peak_memory_mb", "seconds"}
STUDENT = ("--set", "sasrec.embedding_size=8", "--set", "sasrec.inner_size=16", "--set", "sasrec.training.epochs=1")
SEARCH = ("--search", "gru4rec.training.learning_rate=0.01..0.2:log", "--only", "--trials", 2)


def without_timings(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_timings(one) for name, one in value.items() if name not in TIMINGS}
    return [without_timings(one) for one in value] if isinstance(value, list) else value


def results(folder: Path) -> Any:
    return without_timings(json.loads((folder / "results.json").read_text(encoding="utf-8")))


def learnt(folder: Path) -> dict[str, bytes]:
    """What the models of a run learnt, and what they are worth in each case."""
    found = [*folder.glob("*/arrays.safetensors"), *folder.glob("*/items.parquet"), *folder.glob("cases/*")]
    assert found
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def assert_same_run(one: Path, other: Path) -> None:
    assert results(one) == results(other)
    assert learnt(one) == learnt(other)


@pytest.fixture(scope="module")
def prepared(log: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The log as `segue prepare` writes it, and what the command said. Not to be written to."""
    folder = tmp_path_factory.mktemp("prepared") / "some-name"
    outcome = segue("prepare", log, "--out", folder)
    assert outcome.code == 0, outcome.err
    return folder, outcome


def test_prepare_says_what_it_found_and_wrote(log: Path, prepared: tuple[Path, Outcome]) -> None:
    folder, outcome = prepared
    data = library.open_dataset(folder)
    assert (data.log, data.items) == ("shop", None)
    for note in data.notes:
        assert f"· {note}\n" in outcome.out
    for finding in library.lint(data):
        assert f"! {finding}\n" in outcome.out
    assert f"protocol {data.hash}" in outcome.out
    train = data.train
    assert (
        f"\nSaved the data set to {folder}: {len(train.items):,} training events in {len(train):,} sessions on "
        f"{len(data.vocabulary):,} items.\nTo train on it: "
    ) in outcome.out
    assert not [path for path in tree(folder.parent) if not path.startswith("some-name")]


def test_its_statistics_are_those_of_the_log(log: Path, prepared: tuple[Path, Outcome]) -> None:
    assert segue("data", prepared[0]) == segue("data", log)
    assert segue("data", prepared[0], "--json") == segue("data", log, "--json")


def test_a_run_on_it_gives_the_results_of_the_log(
    finished: tuple[Path, Outcome], prepared: tuple[Path, Outcome], tmp_path: Path
) -> None:
    outcome = segue("run", prepared[0], "--model", "gru4rec,stan", *SMALL, "--seed", 3, "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert_same_run(tmp_path / "run", finished[0])
    begun = [json.loads((run / "run.json").read_text(encoding="utf-8")) for run in (tmp_path / "run", finished[0])]
    assert begun[0] == begun[1]


def test_evaluate_gives_the_results_of_the_log(
    log: Path, finished: tuple[Path, Outcome], prepared: tuple[Path, Outcome]
) -> None:
    one, other = (segue("evaluate", finished[0] / "stan", source, "--json") for source in (prepared[0], log))
    assert one.code == 0, one.err
    assert one == other


def test_seeds_share_one_preparation(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = []
    prepare = library.prepare
    monkeypatch.setattr("segue.experiment.prepared_data.prepare", lambda *a, **k: times.append(1) or prepare(*a, **k))
    options = ("--model", "gru4rec", *SMALL, "--no-baselines")
    outcome = segue("run", log, *options, "--seeds", "0,1", "--out", tmp_path / "both")
    assert outcome.code == 0, outcome.err
    assert len(times) == 1
    assert f"seed 1: {tmp_path / 'both' / 'seed-1'}\n" in outcome.err
    assert segue("run", log, *options, "--seed", 1, "--out", tmp_path / "one").code == 0
    assert_same_run(tmp_path / "both" / "seed-1", tmp_path / "one")


def test_the_protocol_of_the_folder_chooses_the_epochs(tmp_path: Path) -> None:
    """Also a metric that a named protocol brings along, a column of the log and the metadata of the items."""
    events = shop(300, 0)
    kinds = pl.Series([f"kind {row % 3}" for row in range(len(events))])
    events.frame.with_columns(device=kinds).write_csv(tmp_path / "clicks.csv")
    assert events.items is not None
    events.items.write_csv(tmp_path / "goods.csv")
    log = (tmp_path / "clicks.csv", "--items", tmp_path / "goods.csv", "--protocol", "recbole")
    folder = tmp_path / "prepared"
    assert segue("prepare", *log, "--out", folder).code == 0
    options = ("--model", "sasrec", *STUDENT, "--set", "sasrec.features=[device]", "--slices", "device")
    options = (*options, "--no-baselines")
    options = (*options, "--set", "protocol.ranking.metrics=[recall@3,coverage@3]")
    for source, out in ((log, "a"), ((folder,), "b")):
        outcome = segue("run", *source, *options, "--out", tmp_path / out)
        assert outcome.code == 0, outcome.err
    assert_same_run(tmp_path / "a", tmp_path / "b")
    found = results(tmp_path / "b")
    assert found["items"] == str(tmp_path / "goods.csv")
    row = next(row for row in found["models"] if row["label"] == "sasrec")
    assert row["config"]["training"]["metric"] == "mrr@10"
    assert row["metrics"].keys() == {"recall@3", "coverage@3"}


def test_distillation_gives_the_results_of_the_log(
    log: Path, finished: tuple[Path, Outcome], prepared: tuple[Path, Outcome], tmp_path: Path
) -> None:
    for source, out in ((log, "a"), (prepared[0], "b")):
        outcome = segue("distill", finished[0] / "stan", source, *STUDENT, "--out", tmp_path / out)
        assert outcome.code == 0, outcome.err
    one, other = ({**results(tmp_path / out), "verdicts": []} for out in "ab")  # They tell the time per session.
    assert one == other
    assert learnt(tmp_path / "a") == learnt(tmp_path / "b")


def test_the_protocol_of_a_distillation_is_that_of_the_teacher(
    log: Path, finished: tuple[Path, Outcome], prepared: tuple[Path, Outcome], tmp_path: Path
) -> None:
    settings = ("--set", "protocol.cleaning.k_core=3", "--set", "protocol.ranking.metrics=[recall@5]")
    metric = ("--set", "protocol.valid_metric=mrr@5")
    rule = "is fixed by the teacher in a distillation; remove it"
    for source in (log, prepared[0]):
        outcome = segue("distill", finished[0] / "stan", source, *settings, *metric, "--out", tmp_path / "out")
        assert (outcome.code, outcome.err) == (
            2,
            f"error: protocol.cleaning.k_core: {rule}\nprotocol.ranking.metrics: {rule}\n",
        )
        assert not (tmp_path / "out").exists()
    for source, out in ((log, "a"), (prepared[0], "b")):
        outcome = segue("distill", finished[0] / "stan", source, *STUDENT, *metric, "--out", tmp_path / out)
        assert outcome.code == 0, outcome.err
        assert results(tmp_path / out)["models"][1]["config"]["training"]["metric"] == "mrr@5"


def test_a_search_gives_the_results_of_the_log(log: Path, prepared: tuple[Path, Outcome], tmp_path: Path) -> None:
    for source, out in ((log, "a"), (prepared[0], "b")):
        outcome = segue("tune", source, "--model", "gru4rec", *SMALL, *SEARCH, "--out", tmp_path / out)
        assert outcome.code == 0, outcome.err
    for name in ("best.yaml", "run.json"):
        assert (tmp_path / "a" / name).read_text(encoding="utf-8") == (tmp_path / "b" / name).read_text(
            encoding="utf-8"
        )
    one, other = (pl.read_csv(tmp_path / out / "trials.csv").drop("seconds") for out in "ab")
    assert one.equals(other)
    best = tmp_path / "b" / "best.yaml"
    outcome = segue("run", prepared[0], "--config", best, "--no-baselines", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err


def test_what_a_search_on_it_found_prepares_the_log_in_the_same_way(log: Path, tmp_path: Path) -> None:
    cleaning = ("--set", "protocol.cleaning.min_support=7", "--set", "protocol.cleaning.drop_consecutive_repeats=true")
    assert segue("prepare", log, *cleaning, "--out", tmp_path / "data").code == 0
    outcome = segue("tune", tmp_path / "data", "--model", "gru4rec", *SMALL, *SEARCH, "--out", tmp_path / "search")
    assert outcome.code == 0, outcome.err
    outcome = segue("fit", log, "--config", tmp_path / "search" / "best.yaml", "--out", tmp_path / "model")
    assert outcome.code == 0, outcome.err
    again = segue("fit", log, "--config", tmp_path / "search" / "best.yaml", *cleaning, "--out", tmp_path / "same")
    assert again.code == 0, again.err
    one, other = (library.load(tmp_path / name) for name in ("model", "same"))
    assert one.vocabulary.hash == other.vocabulary.hash
    cleaning = one.about["protocol"]["cleaning"]
    assert (cleaning["min_support"], cleaning["drop_consecutive_repeats"]) == (
        7,
        True,
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--protocol", "leave-one-out"),
        ("--format", "csv"),
        ("--columns", "item=sku"),
        ("--time-format", "ms"),
        ("--items", "goods.csv"),
        ("--set", "protocol.cleaning.k_core=5"),
    ],
)
def test_how_to_prepare_is_no_option_any_more(
    prepared: tuple[Path, Outcome], tmp_path: Path, option: str, value: str
) -> None:
    folder = prepared[0]
    named = option if option != "--set" else "--set protocol.cleaning.k_core"
    expected = (
        f"error: {named}: cannot be used with {folder}, which is prepared already; leave it out, or name the log\n"
    )
    commands = [
        ("run", folder, "--model", "stan"),
        ("best", folder),
        ("tune", folder, "--model", "stan"),
        ("data", folder),
    ]
    for command in commands:
        outcome = segue(*command, option, value, *([] if command[0] == "data" else ["--out", tmp_path / "out"]))
        assert (outcome.code, outcome.err) == (2, expected)
    assert not (tmp_path / "out").exists()


def test_every_other_parameter_of_the_protocol_is_measured_anew() -> None:
    assert set(MEASURING) == {"ranking", "valid_metric", "decimals"}
    assert set(MEASURING) < Protocol.model_fields.keys()
    assert set(Ranking.model_fields) == {"candidates", "seed", "ties", "metrics"}


def test_mistakes_are_named(
    log: Path, finished: tuple[Path, Outcome], prepared: tuple[Path, Outcome], tmp_path: Path
) -> None:
    folder = prepared[0]
    before = tree(folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("precious", encoding="utf-8")
    model = finished[0] / "stan"
    shop(200, 7).frame.write_csv(tmp_path / "else.csv")
    assert segue("prepare", tmp_path / "else.csv", "--out", tmp_path / "else").code == 0
    assert segue("prepare", log, "--set", "protocol.split.valid_days=2", "--out", tmp_path / "two-days").code == 0
    told = {
        (
            "prepare",
            log,
            "--out",
            folder,
        ): f"--out: {folder} already contains a data set; add --overwrite to replace it",
        (
            "prepare",
            log,
            "--out",
            tmp_path / "other",
        ): f"--out: {tmp_path / 'other'} contains other files; choose another",
        ("prepare", log, "--out", log): f"--out: {log} is a file and no folder",
        ("prepare", folder, "--out", tmp_path / "x"): f"LOG: must be a log, got the prepared data set {folder}",
        ("prepare", log, "--set", "stan.k=5", "--out", tmp_path / "x"): "--set: must name parameters of the protocol",
        ("evaluate", model, folder, "--all"): f"--all: needs the log, and {folder} is prepared already",
        ("evaluate", model, tmp_path / "else"): "LOG: must be prepared with the catalogue of the model, ",
        ("distill", model, tmp_path / "else"): f"LOG: must be the log that {model} was trained on",
        ("distill", model, tmp_path / "two-days"): f"LOG: must be prepared as for {model}",
    }
    for command, message in told.items():
        options = () if command[0] != "distill" else ("--out", tmp_path / "out")
        outcome = segue(*command, *options)
        assert outcome.code == 2, command
        assert outcome.err.startswith(f"error: {message}"), outcome.err
    assert tree(folder) == before
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "out").exists()
    assert segue("prepare", log, "--out", tmp_path / "else", "--overwrite").code == 0
    assert library.open_dataset(tmp_path / "else").hash == library.open_dataset(folder).hash


def test_half_a_data_set_is_named(log: Path, prepared: tuple[Path, Outcome], tmp_path: Path) -> None:
    half, out = tmp_path / "half", tmp_path / "out"
    shutil.copytree(prepared[0], half)
    (half / "dataset.json").unlink()
    before = tree(half)
    said = f"error: {half}: is a prepared data set whose dataset.json is missing; copy the whole folder again, or "
    for command in ("run", "best", "tune", "prepare"):
        model = () if command in ("best", "prepare") else ("--model", "stan")
        outcome = segue(command, half, *model, "--out", out)
        assert (outcome.code, outcome.err) == (2, f"{said}prepare the log again\n"), command
        assert not out.exists()
    outcome = segue("prepare", log, "--out", half, "--overwrite")
    assert outcome.code == 2
    assert outcome.err == (
        f"error: --out: {half} is a prepared data set whose dataset.json is missing; remove it, or choose another "
        "folder\n"
    )
    assert tree(half) == before


def test_fit_and_prepare_need_the_log_itself(
    finished: tuple[Path, Outcome], prepared: tuple[Path, Outcome], tmp_path: Path
) -> None:
    outcome = segue("fit", prepared[0], "--like", finished[0] / "stan", "--out", tmp_path / "out")
    rule = f"LOG: must be a raw log, got {prepared[0]}, a prepared data set with held-out parts; "
    remedy = "segue fit trains on everything: pass the original log\n"
    assert (outcome.code, outcome.err) == (2, f"error: {rule}{remedy}")
    with pytest.raises(ParameterError, match=re.escape(rule)):
        library.fit(prepared[0], like=finished[0] / "stan", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    told = {
        command: "prepared data set" in segue(command, "--help").out.split("Options")[0].split("LOG")[-1]
        for command in ("fit", "prepare", "evaluate")
    }
    assert told == {"fit": False, "prepare": False, "evaluate": True}


def test_another_protocol_is_noted(log: Path, finished: tuple[Path, Outcome], tmp_path: Path) -> None:
    model = finished[0] / "stan"
    assert segue("prepare", log, "--set", "protocol.cases.targets=last", "--out", tmp_path / "last").code == 0
    outcome = segue("evaluate", model, tmp_path / "last")
    assert outcome.code == 0, outcome.err
    assert (
        "the data set was prepared with another protocol: the metrics cannot be compared with those of the run"
        in outcome.out
    )
