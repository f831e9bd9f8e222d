"""A model that is trained on everything, as a tested one was."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

import segue
from segue.artifact import Artifact
from segue.data.events import Events
from segue.data.synthetic import shop
from segue.errors import ArtifactError, ParameterError
from segue.experiment.config import load_config
from segue.experiment.results import ModelResult, Results
from segue.protocols.prepare import prepare_whole
from segue.protocols.protocol import Protocol

# Without dropout and with large steps it overfits soon, so that the best epoch is not the last one.
SMALL: dict[str, Any] = {
    "embedding_size": 16,
    "inner_size": 32,
    "layers": 1,
    "dropout": 0.0,
    "training": {"epochs": 8, "learning_rate": 0.03, "schedule": "linear", "patience": None, "batch_size": 128},
}
PAIR = {
    "retriever": "v-sknn",
    "ranker": "sasrec",
    "candidates": 30,
    "ranker_parameters": {**SMALL, "training": {**SMALL["training"], "epochs": 2, "fine_tuning": {"epochs": 2}}},
    "listwise": {"loss": "listnet", "epochs": 2},
}
TEACHING = {**SMALL, "training": {"epochs": 2, "privileged": {"weight": 0.3}}}


@pytest.fixture(scope="module")
def log() -> Events:
    return shop(1200, 0)


@pytest.fixture(scope="module")
def run(log: Events, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "best"
    config = segue.RunConfig(
        log="shop.csv",
        models=["sasrec", "two-stage", "v-sknn"],
        set={
            "sasrec": SMALL,
            "two-stage": PAIR,
            "protocol": {"cleaning": {"min_support": 3, "drop_consecutive_repeats": True}},
        },
        baselines=False,
        seed=3,
    )
    segue.run(config, folder, events=log)
    return folder


def row(run: Path, label: str) -> ModelResult:
    return next(one for one in Results.read(run / "results.json").models if one.label == label)


def arrays(folder: Path) -> bytes:
    return (folder / "arrays.safetensors").read_bytes()


def test_it_is_what_fitting_by_hand_with_the_epochs_of_the_best_validation_gives(
    log: Events, run: Path, tmp_path: Path
) -> None:
    values = [epoch.validation for epoch in row(run, "sasrec").curve]
    best = 1 + int(np.argmax(values))
    assert 1 < best < 8
    model = segue.fit(log, like=run / "sasrec", out=tmp_path / "model", log_name="shop")
    assert model.config.training.epochs == best
    protocol = Protocol.named("session-next", {"cleaning": {"min_support": 3, "drop_consecutive_repeats": True}})
    everything = prepare_whole(log, protocol).train
    by_hand = segue.SASRec(**{**SMALL, "training": {**SMALL["training"], "epochs": best}}).fit(everything, seed=3)
    by_hand.save(tmp_path / "by-hand")
    assert arrays(tmp_path / "model") == arrays(tmp_path / "by-hand")
    assert len(everything) > len(segue.prepare(log, protocol).train)


def test_the_manifest_says_what_it_was_trained_on(log: Events, run: Path, tmp_path: Path) -> None:
    segue.fit(log, like=run / "sasrec", out=tmp_path / "model", log_name="shop")
    about = Artifact.read(tmp_path / "model").about
    tested = Artifact.read(run / "sasrec").about
    assert about["trained_on"] == "everything"
    assert (about["log"], about["seed"], about["precision"]) == ("shop", 3, "cpu, fp32")
    assert about["data"]["fingerprint"] == tested["protocol"]["fingerprint"]
    assert about["data"]["last_time"] == log.frame["time"].max().isoformat()
    train = prepare_whole(log, Protocol.of(about["protocol"])).train
    assert about["data"]["events"] == len(train.items)
    assert about["data"]["sessions"] == len(train)
    assert about["data"]["items"] == len(train.vocabulary)
    cleaning = about["protocol"]["cleaning"]
    assert (cleaning["min_support"], cleaning["drop_consecutive_repeats"]) == (3, True)
    assert "hash" not in about["protocol"]  # No figure belongs to it.
    assert about["epochs"]["training"]["why"] == "best of 8 on validation"
    like = about["like"]
    assert like["path"] == (run / "sasrec").as_posix()
    assert (like["key"], like["hash"]) == (tested["key"], tested["protocol"]["hash"])
    assert like["metrics"] == row(run, "sasrec").metrics
    assert json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))["training"]["epochs"] < 8


def test_each_stage_of_a_pair_has_its_own_epochs(log: Events, run: Path, tmp_path: Path) -> None:
    model = segue.fit(log, like=run / "two-stage", out=tmp_path / "model")
    curve = row(run, "two-stage").curve
    kept = {
        stage: max((n for n, one in enumerate([e for e in curve if e.stage == stage], 1) if one.kept), default=0)
        for stage in ("ranker", "ranker, fine-tuning", "lists")
    }
    assert model.ranker.config.training.epochs == kept["ranker"]
    assert model.ranker.config.training.fine_tuning.epochs == kept["ranker, fine-tuning"]
    assert (model.config.listwise.loss is None) == (kept["lists"] == 0)
    assert {stage: one["epochs"] for stage, one in Artifact.read(tmp_path / "model").about["epochs"].items()} == kept


def test_a_model_without_epochs_is_simply_fitted(log: Events, run: Path, tmp_path: Path) -> None:
    model = segue.fit(log, like=run / "v-sknn", out=tmp_path / "model")
    assert Artifact.read(tmp_path / "model").about["epochs"] == {}
    newest = log.frame.sort("time")["item"].to_list()[-1]
    assert model.recommend([newest], 3).source == "model"


def test_parameters_the_seed_and_the_cleaning_can_be_changed(log: Events, run: Path, tmp_path: Path) -> None:
    settings = {
        "sasrec": {"training": {"epochs": 1}, "embedding_size": 4},
        "protocol": {"cleaning": {"min_support": 1, "last_days": 3}},
    }
    model = segue.fit(log, like=run / "sasrec", out=tmp_path / "model", settings=settings, seed=9)
    about = Artifact.read(tmp_path / "model").about
    assert (model.config.training.epochs, model.config.embedding_size, about["seed"]) == (1, 4, 9)
    assert about["epochs"]["training"] == {"epochs": 1, "why": "set by hand"}
    assert about["data"]["first_time"] > log.frame["time"].min().isoformat()
    assert about["protocol"]["cleaning"]["drop_consecutive_repeats"]


def test_a_production_model_is_trained_anew_on_a_later_log(log: Events, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    segue.fit(log, like=run / "sasrec", out=out)
    first = Artifact.read(out)
    later = shop(1400, 1)
    with pytest.raises(ParameterError, match="already contains a model; add --overwrite"):
        segue.fit(later, like=out, out=out)
    segue.fit(later, like=out, out=out, overwrite=True)
    second = Artifact.read(out)
    assert second.config == first.config
    assert second.about["data"]["sessions"] > first.about["data"]["sessions"]
    for fact in ("like", "epochs", "seed"):
        assert second.about[fact] == first.about[fact]


def test_a_recipe_trains_for_the_epochs_that_it_names(log: Events, tmp_path: Path) -> None:
    config = segue.RunConfig(
        models=["sasrec"], set={"sasrec": SMALL, "protocol": {"cleaning": {"min_support": 2}}}, seed=5
    )
    one = config.model_copy(update={"set": {**config.set, "sasrec": {**SMALL, "training": {"epochs": 2}}}})
    assert segue.fit(log, like=one, out=tmp_path / "a").config.training.epochs == 2
    about = Artifact.read(tmp_path / "a").about
    assert about["epochs"]["training"] == {"epochs": 2, "why": "of the configuration"}
    assert (about["like"], about["seed"], about["protocol"]["cleaning"]["min_support"]) == (None, 5, 2)
    tuned = tmp_path / "best.yaml"
    tuned.write_text(
        yaml.safe_dump({**config.model_dump(exclude_defaults=True), "chosen_epochs": {"training": 1}}), encoding="utf-8"
    )
    model = segue.fit(log, like=load_config(tuned, {}), out=tmp_path / "b")
    assert model.config.training.epochs == 1
    assert model.config.training.learning_rate == 0.03
    assert Artifact.read(tmp_path / "b").about["epochs"]["training"]["why"] == "best of the trial on validation"


def test_a_teacher_of_privileged_training_takes_the_epochs_of_its_student(log: Events, tmp_path: Path) -> None:
    config = segue.RunConfig(models=["sasrec"], set={"sasrec": TEACHING}, baselines=False)
    segue.run(config, tmp_path / "run", events=log)
    assert {one.stage for one in row(tmp_path / "run", "sasrec").curve} == {"teacher", "training"}
    segue.fit(log, like=tmp_path / "run" / "sasrec", out=tmp_path / "model")
    assert Artifact.read(tmp_path / "model").about["epochs"].keys() == {"training"}


def test_a_run_without_validation_used_all_its_epochs(log: Events, tmp_path: Path) -> None:
    short = {**SMALL, "training": {"epochs": 2}}
    config = segue.RunConfig(
        models=["sasrec"], set={"sasrec": short, "protocol": {"split": {"valid_days": 0}}}, baselines=False
    )
    segue.run(config, tmp_path / "run", events=log)
    assert segue.fit(log, like=tmp_path / "run" / "sasrec", out=tmp_path / "model").config.training.epochs == 2
    why = Artifact.read(tmp_path / "model").about["epochs"]["training"]["why"]
    assert why == "all, without validation"


def test_mistakes_are_named_before_anything_is_written(log: Events, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    with pytest.raises(ArtifactError, match="nowhere: does not exist; name the folder of a model that a run wrote"):
        segue.fit(log, like=tmp_path / "nowhere", out=out)
    segue.Popularity().fit(segue.prepare(log).train).save(tmp_path / "alone")
    with pytest.raises(ArtifactError, match="alone: has no protocol, so it was not written by a run"):
        segue.fit(log, like=tmp_path / "alone", out=out)
    with pytest.raises(ParameterError, match="--config: must name one model, got sasrec, stan"):
        segue.fit(log, like=segue.RunConfig(models=["sasrec", "stan"]), out=out)
    with pytest.raises(
        ParameterError, match="--set: gru4rec is not the model that is trained here, sasrec; leave it out"
    ):
        segue.fit(log, like=run / "sasrec", out=out, settings={"gru4rec": {"hidden_size": 3}})
    with pytest.raises(ParameterError, match=r"sasrec\.layers: must be .*, got 0"):
        segue.fit(log, like=run / "sasrec", out=out, settings={"sasrec": {"layers": 0}})
    with pytest.raises(ParameterError, match=r"sasrec\.features: .*weather"):
        segue.fit(log, like=run / "sasrec", out=out, settings={"sasrec": {"features": ["weather"]}})
    untimed = Events(log.frame.drop("time"))
    with pytest.raises(ParameterError, match=r"protocol.cleaning.last_days: needs times and this log has none"):
        segue.fit(untimed, like=run / "sasrec", out=out, settings={"protocol": {"cleaning": {"last_days": 3}}})
    assert not out.exists()


def test_no_other_folder_is_written_over(log: Events, run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = arrays(run / "sasrec")
    for out, message in (
        (run / "sasrec", "is in the folder of a run"),
        (run / "new", "is in the folder of a run"),
        (tmp_path, "contains other files"),
        (tmp_path / "file", "is a file and no folder; choose another name"),
    ):
        with pytest.raises(ParameterError, match=message):
            segue.fit(log, like=run / "sasrec", out=out, overwrite=True)
    assert arrays(run / "sasrec") == before


def test_what_a_teacher_taught_cannot_be_trained_alone_and_a_production_model_does_not_teach(
    log: Events, run: Path, tmp_path: Path
) -> None:
    config = segue.RunConfig(models=["sasrec"], set={"sasrec": {**SMALL, "training": {"epochs": 1}}})
    segue.distill(run / "v-sknn", config, tmp_path / "distilled", events=log)
    for label in ("sasrec-taught", "teacher"):
        with pytest.raises(ArtifactError, match=f"{label}: was trained by distillation, or is a teacher"):
            segue.fit(log, like=tmp_path / "distilled" / label, out=tmp_path / "model")
    segue.fit(log, like=tmp_path / "distilled" / "sasrec-alone", out=tmp_path / "model")
    with pytest.raises(ArtifactError, match="model: was trained on everything"):
        segue.distill(tmp_path / "model", config, tmp_path / "other", events=log)


def test_a_file_is_read(log: Events, run: Path, tmp_path: Path) -> None:
    log.frame.write_csv(tmp_path / "clicks.csv")
    model = segue.fit(tmp_path / "clicks.csv", like=run / "v-sknn", out=tmp_path / "model")
    assert Artifact.read(tmp_path / "model").about["log"] == "clicks"
    assert isinstance(model.vocabulary.table, pl.DataFrame)


def test_columns_of_items_that_are_lost_are_said(log: Events, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A service can no longer filter by them."""
    ids = log.frame["item"].unique().sort()
    items = pl.DataFrame({"item": ids, "group": ["a"] * len(ids), "title": ["b"] * len(ids)})
    config = segue.RunConfig(log="shop.csv", models=["popularity"], baselines=False)
    segue.run(config, tmp_path / "run", events=replace(log, items=items))
    segue.fit(replace(log, items=items), like=tmp_path / "run" / "popularity", out=tmp_path / "whole")
    assert "--items" not in caplog.text
    segue.fit(replace(log, items=items[["item", "group"]]), like=tmp_path / "whole", out=tmp_path / "bare")
    assert "the items have no title, which those of the tested model have" in caplog.text
