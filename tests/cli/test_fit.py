"""A model for production from the command line: fit, ask, and no figures on what it has seen."""

import json
from pathlib import Path

import pytest
from command import Outcome, segue, tree, write_shop

from segue.artifact import Artifact

Finished = tuple[Path, Outcome]


@pytest.fixture(scope="module")
def production(finished: Finished, log: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A model like the run's GRU4Rec, trained on everything. Not to be written to."""
    out = tmp_path_factory.mktemp("production") / "gru4rec"
    outcome = segue("fit", log, "--like", finished[0] / "gru4rec", "--out", out)
    assert outcome.code == 0, outcome.err
    return out, outcome


def test_it_says_what_it_was_trained_on_and_answers(production: Finished, finished: Finished) -> None:
    folder, outcome = production
    about = Artifact.read(folder).about
    data = about["data"]
    assert (
        f"gru4rec: trained on the whole log, {data['events']:,} events of {data['sessions']:,} sessions" in outcome.out
    )
    assert "training: 1 epochs (best of 1 on validation)\n" in outcome.out
    assert f"recommend {folder} --items" in outcome.out
    assert (about["log"], about["seed"]) == ("shop", 3)
    assert about["like"]["metrics"] == Artifact.read(finished[0] / "gru4rec").about["result"]["metrics"]
    answer = json.loads(segue("recommend", folder, "--items", "1001,1002", "-k", 5, "--json").out)
    assert (len(answer["items"]), answer["source"], answer["unknown"]) == (5, "model", [])


def test_it_is_not_tested_on_what_it_has_seen(
    production: Finished, finished: Finished, log: Path, tmp_path: Path
) -> None:
    folder = production[0]
    outcome = segue("evaluate", folder, log)
    assert outcome.code == 2
    assert (
        f"error: LOG: {folder} was trained on everything in {log}, so metrics on it would be too optimistic"
        in outcome.err
    )
    assert f"for metrics on held-out data evaluate {finished[0] / 'gru4rec'}\n" in outcome.err
    outcome = segue("evaluate", folder, log, "--all")
    assert outcome.code == 0
    assert "· the model was trained on all of this log: the metrics are too optimistic" in outcome.out
    other = write_shop(tmp_path / "other.csv", 1000, seed=1)
    outcome = segue("evaluate", folder, other)
    assert outcome.code == 2
    assert "error: --all: is required, because " in outcome.err
    outcome = segue("evaluate", folder, other, "--all")
    assert "it may have seen some\n" in outcome.out
    later = tmp_path / "later.csv"
    later.write_text(other.read_text(encoding="utf-8").replace("2025-", "2026-"), encoding="utf-8")
    found = json.loads(segue("evaluate", folder, later, "--all", "--json").out)
    assert found["notes"][-1].startswith("all events are later than those that the model was trained on, until 2025-")
    assert found["metrics"]["recall@20"] > 0


def test_a_file_of_options_takes_the_place_of_a_model(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = "models: [gru4rec]\nseed: 4\nchosen_epochs: {training: 2}\nset:\n  gru4rec: {hidden_size: 8}\n"
    Path("best.yaml").write_text(config, encoding="utf-8")
    outcome = segue("fit", log, "--config", "best.yaml", "--set", "protocol.cleaning.last_days=20")
    assert outcome.code == 0, outcome.err
    about = Artifact.read(Path("runs/shop-gru4rec-1")).about
    assert about["epochs"] == {"training": {"epochs": 2, "why": "best of the trial on validation"}}
    assert (about["seed"], about["like"], about["protocol"]["cleaning"]["last_days"]) == (4, None, 20)
    assert (
        segue(
            "fit", log, "--config", "best.yaml", "--seed", 5, "--set", "gru4rec.training.epochs=1", "--deterministic"
        ).code
        == 0
    )
    second = Artifact.read(Path("runs/shop-gru4rec-2"))
    assert (second.about["seed"], second.about["epochs"]["training"]["epochs"]) == (5, 1)
    assert second.config["training"]["epochs"] == 1
    assert (about["deterministic"], second.about["deterministic"]) == (False, True)


@pytest.mark.parametrize("options", [("--engine", "disk"), ("--memory", "1GB")])
def test_a_model_fitted_on_disk_is_the_same(
    options: tuple[str, ...], finished: Finished, log: Path, tmp_path: Path
) -> None:
    command = ("fit", log, "--like", finished[0] / "stan", "--set", "stan.updatable=true", "--seed", 5, "--out")
    said = []
    for name, more in {"memory": (), "disk": options}.items():
        outcome = segue(*command, tmp_path / name, *more)
        assert outcome.code == 0, outcome.err
        said.append(outcome.out.replace(str(tmp_path / name), "OUT"))
    assert tree(tmp_path / "disk") == tree(tmp_path / "memory")
    assert said[0] == said[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "memory"]
    outcome = segue(*command, tmp_path / "disk", *options)
    assert outcome.code == 2
    assert "--overwrite" in outcome.err
    outcome = segue(*command[:-1], *options)
    assert outcome.code == 2
    assert "error: --out: is missing; with --engine or --memory name a folder" in outcome.err


def test_a_run_records_that_it_is_deterministic(log: Path, tmp_path: Path) -> None:
    outcome = segue("run", log, "--model", "markov", "--no-baselines", "--deterministic", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "run" / "environment.json").read_text(encoding="utf-8"))["deterministic"] is True
    assert Artifact.read(tmp_path / "run" / "markov").about["deterministic"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--like or --config: give one of them, got neither: a model of a run, or a YAML file"),
        (("--like", "RUN/gru4rec", "--config", "a.yaml"), "--like or --config: give one of them, got both"),
        (("--like", "nowhere"), "nowhere: does not exist; name the folder of a model that a run wrote"),
        (("--like", "RUN"), "RUN: must be the folder of a model, got a run; name one of its models: RUN/gru4rec"),
        (("--like", "RUN/gru4rec", "--out", "RUN/gru4rec"), "--out: RUN/gru4rec is in the folder of a run"),
        (
            ("--like", "RUN/gru4rec", "--set", "stan.k=5"),
            "--set: stan is not the model that is trained here, gru4rec; leave",
        ),
        (("--like", "RUN/gru4rec", "--columns", "item=sku"), "shop.csv: "),
        (
            ("--like", "RUN/gru4rec", "--set", "protocol.cleaning.value_among={type: [buy]}"),
            "protocol.cleaning.value_among: must name",
        ),
        (("--like", "RUN/gru4rec", "--device", "gpu"), "device: must be"),
        (
            ("--like", "RUN/gru4rec", "--engine", "disk"),
            "--engine, --memory: need a model whose fit runs on an engine, v-sknn, stan or vstan, got gru4rec; choose",
        ),
        (
            ("--like", "RUN/stan", "--memory", "1GB", "--checkpoints", "state"),
            "--checkpoints: has no effect with --engine or --memory, where the same command continues; leave it out",
        ),
        (("--like", "RUN/stan", "--memory", "1MB"), "--memory: must be at least 500MB, got 1MB"),
        (("--like", "RUN/stan", "--engine", "spark"), "--engine: must be disk, ray or the address of a Ray cluster"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(
    finished: Finished, log: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    run, before = str(finished[0]), tree(tmp_path)
    known = [option.replace("RUN", run) for option in options]
    out = () if "--out" in options else ("--out", tmp_path / "out")
    outcome = segue("fit", log, *known, *out)
    assert outcome.code == 2
    assert message.replace("RUN", run) in outcome.err.splitlines()[-1]
    assert tree(tmp_path) == before
