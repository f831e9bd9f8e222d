"""The table of models, and artifacts loaded through it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from chains import blocks, prefixes

import segue
from segue.errors import ArtifactError, UnknownNameError
from segue.models import registry
from segue.models.base import Model
from segue.models.popularity import Popularity
from segue.models.v_sknn import VSKNN


def test_names_are_those_of_the_classes() -> None:
    names = [model.name for model in registry.model_classes()]
    assert len(set(names)) == len(names)
    assert {"popularity", "session-popularity", "markov", "sequential-rules", "item-knn"} <= set(names)
    assert {"v-sknn", "stan", "vstan"} <= set(names)
    assert all(registry.model_class(model.name) is model for model in registry.model_classes())
    assert names[: len(registry.BUILT_IN)] == list(registry.BUILT_IN)
    assert registry.model_names() == names


def test_every_public_model_has_a_name() -> None:
    public = (getattr(segue, name) for name in segue.__all__)
    models = {one for one in public if isinstance(one, type) and issubclass(one, Model) and one is not Model}
    assert {model.name for model in models} == registry.BUILT_IN.keys()


def test_an_unknown_name_gets_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown model 'v-skn': did you mean 'v-sknn'"):
        registry.model_class("v-skn")


def test_a_new_process_gives_identical_scores(tmp_path: Path) -> None:
    task = blocks()
    model = VSKNN().fit(task.train)
    model.save(tmp_path / "model")
    program = (
        "import sys, numpy as np; from segue.models.registry import load; from segue.data.sessions import Prefixes;"
        "prefixes = Prefixes.from_lists([np.array([1, 2]), np.array([7]), np.array([], dtype=int)]);"
        "np.save(sys.argv[2], load(sys.argv[1]).score(prefixes).numpy())"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "model", tmp_path / "scores.npy"], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), model.score(prefixes([1, 2], [7], [])).numpy())


def test_an_artifact_without_what_its_model_learns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Model = Popularity().fit(blocks().train)
    monkeypatch.setattr(model, "arrays", lambda: {"other": np.zeros(3)})
    model.save(tmp_path / "model")
    with pytest.raises(ArtifactError, match=r"is not a valid popularity model: popularity\.counts: is missing"):
        registry.load(tmp_path / "model")


def test_an_artifact_of_an_unknown_model_is_refused(tmp_path: Path) -> None:
    folder = Popularity().fit(blocks().train).save(tmp_path / "model")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**manifest, "model": "elsewhere"}), encoding="utf-8")
    with pytest.raises(UnknownNameError, match="unknown model 'elsewhere'"):
        registry.load(folder)
