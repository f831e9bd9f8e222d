"""A run blends the models that it has trained, without training any of them twice."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.artifact import Artifact
from segue.data.events import Events
from segue.data.synthetic import shop
from segue.errors import ParameterError
from segue.experiment import training_plan
from segue.experiment.model_specs import BlendSpec, build_specs
from segue.experiment.results import Results
from segue.experiment.training_facts import Epochs
from segue.models.blend import Blend
from segue.models.gru4rec import GRU4Rec

SMALL: dict[str, Any] = {"hidden_size": 16, "training": {"epochs": 3, "learning_rate": 0.1}}


@pytest.fixture(scope="module")
def log() -> Events:
    return shop(800, 0)


def config(**changes: Any) -> segue.RunConfig:
    return segue.RunConfig(
        log="shop.csv",
        models=["blend", "gru4rec", "vstan"],
        set={"gru4rec": SMALL, "blend": {"metric": "mrr@20"}},
        **changes,
    )


@pytest.fixture(scope="module")
def run(log: Events, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "best"
    with pytest.MonkeyPatch.context() as patch:
        fits = []
        plain = GRU4Rec._fit
        patch.setattr(GRU4Rec, "_fit", lambda self, *args: fits.append(self.name) or plain(self, *args))
        segue.run(config(), folder, events=log)
    assert fits == ["gru4rec"]
    return folder


def test_its_models_are_those_of_the_run(run: Path) -> None:
    blend = Artifact.read(run / "blend").arrays
    for name in ("gru4rec", "vstan"):
        for key, array in Artifact.read(run / name).arrays.items():
            np.testing.assert_array_equal(blend[f"{name}/{key}"], array)
    rows = {row.label: row for row in Results.read(run / "results.json").models}
    assert [(one.stage, one.loss) for one in rows["blend"].curve] == [
        ("gru4rec", one.loss) for one in rows["gru4rec"].curve
    ]
    assert rows["blend"].notes[0].startswith("weights: gru4rec ")
    assert rows["blend"].validation["mrr@20"] >= max(rows[name].validation["mrr@20"] for name in ("gru4rec", "vstan"))


def test_a_resumed_run_keeps_it(run: Path, log: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run / "blend" / "arrays.safetensors").read_bytes()
    monkeypatch.setattr(Blend, "take", None)  # It is not fitted again.
    segue.run(config(), run, events=log, resume=True)
    assert (run / "blend" / "arrays.safetensors").read_bytes() == before


def test_for_production_it_keeps_weights_and_epochs(run: Path, log: Events, tmp_path: Path) -> None:
    tested = segue.load(run / "blend")
    model = segue.fit(log, like=run / "blend", out=tmp_path / "model")
    assert isinstance(model, Blend)
    np.testing.assert_allclose(model.weights, tested.weights)
    best = max(Results.read(run / "results.json").models, key=lambda row: row.label == "gru4rec").curve
    chosen = 1 + max(number for number, epoch in enumerate(best) if epoch.kept)
    assert model.config.parameters["gru4rec"]["training"]["epochs"] == chosen
    assert len(model.parts["gru4rec"].curve) == chosen
    with pytest.raises(
        ParameterError, match=r"^blend\.combine: must stay log-linear, for which the weights were chosen"
    ):
        segue.fit(log, like=run / "blend", out=tmp_path / "other", settings={"blend": {"combine": "linear"}})
    with pytest.raises(ParameterError, match=r"^blend\.metric: must stay mrr@20, .* got recall@20; set blend"):
        segue.fit(log, like=run / "blend", out=tmp_path / "other", settings={"blend": {"metric": "recall@20"}})
    again = segue.fit(log, like=tmp_path / "model", out=tmp_path / "again")
    assert (tmp_path / "again/arrays.safetensors").read_bytes() == (tmp_path / "model/arrays.safetensors").read_bytes()
    assert again.weights.tolist() == model.weights.tolist()


@pytest.mark.parametrize(
    ("models", "blend", "expected"),
    [
        (["markov", "vstan", "blend"], {}, ("markov", "vstan")),
        (["markov", "blend"], {}, ("markov", "v-sknn")),
        (["stan", "vstan", "blend"], {"models": ["v-sknn", "stan"]}, ("v-sknn", "stan")),
        (["stan", "blend"], {"models": ["item-knn", "stan"]}, None),
        (["stan", "vstan", "blend"], {"models": ["vstan", "stan"], "parameters": {"stan": {"k": 5}}}, None),
        (["blend"], {}, None),
        (["blend", "stan", "vstan"], {"weights": {"stan": 0.3, "vstan": 0.7}}, ("stan", "vstan")),
    ],
)
def test_which_models_it_blends(models: list[str], blend: dict[str, Any], expected: tuple[str, ...] | None) -> None:
    specs = build_specs(segue.RunConfig(models=models, set={"blend": blend} if blend else {}))
    (spec,) = (spec for spec in specs if spec.label == "blend")
    assert isinstance(spec, BlendSpec) == (expected is not None)
    if expected is not None:
        assert spec.model.config.models == expected
        assert spec is specs[-1]


def test_one_model_alone_is_no_blend() -> None:
    with pytest.raises(
        ParameterError, match=r"^--model: must name two or more models to blend, got vstan; add another"
    ):
        build_specs(segue.RunConfig(models=["vstan", "blend"], baselines=False))


@pytest.mark.parametrize("models", [["markov"], [], ["stan", "stan"]])
def test_an_explicit_list_names_two_or_more(models: list[str]) -> None:
    got = re.escape(f"got [{', '.join(models)}]; name others, for example [gru4rec,v-sknn]")
    with pytest.raises(ParameterError, match=rf"^blend.models: must be two or more different models, {got}$"):
        build_specs(segue.RunConfig(models=["markov", "stan", "blend"], set={"blend": {"models": models}}))


def test_a_model_that_is_added_is_said(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level("INFO", logger="segue")
    for models in (["markov", "blend"], ["markov", "v-sknn", "blend"]):
        segue.run(segue.RunConfig(log="shop", models=models), tmp_path / str(len(models)), events=shop(300, 0))
    assert caplog.messages.count("blend: of markov, v-sknn") == 1
    said = "blend: of markov, v-sknn; v-sknn was added, as --model names one model to blend"
    assert caplog.messages.count(said) == 1


@pytest.mark.parametrize("models", ["markov", ["markov", 3], [["markov"]], {"markov": 1}, 7])
def test_models_that_are_no_names_are_one_message(models: Any) -> None:
    with pytest.raises(ParameterError, match=r"^blend\.models"):
        build_specs(segue.RunConfig(models=["markov", "stan", "blend"], set={"blend": {"models": models}}))


def test_its_metric_is_that_of_the_protocol() -> None:
    own = {"protocol": {"valid_metric": "recall@10"}}
    (*_, spec) = build_specs(segue.RunConfig(models=["markov", "vstan", "blend"], set=own))
    assert spec.model.config.metric == "recall@10"
    with pytest.raises(ParameterError, match=r"blend.metric: must be a metric of ranks"):
        build_specs(segue.RunConfig(models=["markov", "vstan", "blend"], set={"blend": {"metric": "gauc"}}))


def test_the_epochs_of_a_model_of_another_package_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_plan, "model_names", lambda: ["markov", "foreign"])
    chosen = {"foreign": Epochs(epochs=3, why="best of 9 on validation")}
    found, in_force = training_plan.with_epochs({"parameters": {"foreign": {"training": {"epochs": 9}}}}, chosen, {})
    assert found == {"parameters": {"foreign": {"training": {"epochs": 3}}}}
    assert in_force == chosen
