"""No crafted artifact harms: it is refused in one message, or loaded and recommends what it may."""

import random
from inspect import get_annotations
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest
from crafted import ARRAYS, OPTIMIZER, Craft, crafts
from crafted_vectors import vector_crafts
from loader import Loader, problems
from safetensors import safe_open

import segue
from segue.models.registry import BUILT_IN, model_class

ONE_EPOCH: dict[str, Any] = {"training": {"epochs": 1}}
SMALL: dict[str, Any] = {"embedding_size": 4, "max_length": 5, **ONE_EPOCH}
BLOCKS: dict[str, Any] = {**SMALL, "inner_size": 4, "layers": 1}
PARAMETERS: dict[str, dict[str, Any]] = {
    "als": {"embedding_size": 4, "training": {"iterations": 1}},
    "bpr": {"embedding_size": 4, "training": {"epochs": 1}},
    "popularity": {"season": "weekday"},
    "fpmc": {**SMALL, "user": True},
    "gru4rec": {"hidden_size": 4, **ONE_EPOCH},
    "narm": {**SMALL, "hidden_size": 4},
    "sasrec": {**BLOCKS, "features": ["hour", "shop", "price"], "upcoming": ["weekday"]},
    "core": BLOCKS,
    "bert4rec": BLOCKS,
    "gsasrec": BLOCKS,
    "blend": {"models": ["v-sknn", "stamp"], "parameters": {"stamp": SMALL}, "candidates": 5},
    "two-stage": {
        "retriever": "markov",
        "ranker": "stamp",
        "ranker_parameters": SMALL,
        "candidates": 5,
    },
}
VARIANTS: dict[str, dict[str, Any]] = {
    "popularity updated": {"season": "weekday", "updatable": True},
    "popularity of a window updated": {"window_days": 1.0, "growth": True, "updatable": True},
    "session-popularity updated": {"updatable": True},
    "markov updated": {"decay_days": 1.0, "updatable": True},
    "markov of baskets updated": {"baskets": True, "updatable": True},
    "sequential-rules updated": {"updatable": True},
    "item-knn updated": {"decay_days": 1.0, "updatable": True},
    "v-sknn updated": {"decay_days": 1.0, "updatable": True},
    "stan updated": {"updatable": True},
    "vstan updated": {"updatable": True},
    "sasrec from vectors": {**BLOCKS, "item_vectors": "initial"},
    "sasrec of vectors": {**BLOCKS, "item_vectors": "features"},
}
"""Further parameters of some models, whose names come first, so that their artifacts hold more."""
WITHOUT_SIZE = {"session-popularity", "markov", "sequential-rules", "item-knn", "v-sknn", "stan", "vstan"}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> "segue.protocols.dataset.Dataset":
    rng, rows = random.Random(0), []
    for session in range(60):
        start = 1_700_000_000 + session * 5_000
        item = rng.randrange(12)
        for event in range(rng.randrange(2, 7)):
            item = (item + rng.choice((1, 1, 2))) % 12
            rows.append((session, session % 7, 100 + item, start + 60 * event, f"shop {item % 3}", item + 0.5))
    names = ["session", "user", "item", "time", "shop", "price"]
    file = tmp_path_factory.mktemp("log") / "clicks.csv"
    pl.DataFrame(rows, schema=names, orient="row").write_csv(file)
    vectors = {"item": range(100, 112), "vector": [[item % 3 / 2, item / 100] for item in range(12)]}
    return segue.prepare(segue.read(file, item_vectors=pl.DataFrame(vectors)))


@pytest.fixture(scope="module")
def artifacts(log: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for name in BUILT_IN:
        parameters = PARAMETERS.get(name, {} if name in WITHOUT_SIZE else SMALL)
        made[name] = model_class(name)(**parameters).fit(log.train).save(folder / name)
    for name, parameters in VARIANTS.items():
        made[name] = model_class(name.split()[0])(**parameters).fit(log.train).save(folder / name)
    return made


def all_crafts(artifacts: dict[str, Path]) -> list[tuple[str, Craft]]:
    return [(name, craft) for name, folder in artifacts.items() for craft in (*crafts(folder), *vector_crafts(folder))]


def test_the_models_themselves_are_loaded(artifacts: dict[str, Path]) -> None:
    with Loader(artifacts["popularity"]) as loader:
        outcomes = {name: loader(folder)["outcome"] for name, folder in artifacts.items()}
    assert outcomes == dict.fromkeys(artifacts, "loaded")


def test_each_array_that_a_model_declares_is_changed(artifacts: dict[str, Path]) -> None:
    changed: dict[type, set[str]] = {}
    for folder in artifacts.values():
        with safe_open(folder / ARRAYS, framework="numpy") as arrays:
            changed.setdefault(type(segue.load(folder)), set()).update(arrays.keys())
    declared = {kind: {name for base in kind.__mro__ for name in array_names(base)} for kind in changed}
    assert declared[segue.Markov] >= {"weights", "pair_sums", "departure_sums", "last_time"}
    assert {kind: names - changed[kind] for kind, names in declared.items() if names - changed[kind]} == {}


def array_names(kind: type) -> list[str]:
    """Return the names of the attributes that a class declares as arrays of an artifact."""
    types = {name: get_args(one)[0] if get_args(one) else one for name, one in get_annotations(kind).items()}
    return [name for name, one in types.items() if hasattr(one, "dim_str")]


def test_crafted_artifacts_do_no_harm(artifacts: dict[str, Path], tmp_path: Path) -> None:
    cases = all_crafts(artifacts)
    assert len(cases) > 2000
    few = [case for case in cases if case[0] in ("markov updated", "sasrec")]
    of_optimizer = [case for case in cases if case[1].name.startswith(OPTIMIZER)]
    assert {name for name, _ in of_optimizer} >= {"gru4rec"}
    drawn = random.Random(0).sample(few, 20) + random.Random(0).sample(of_optimizer, 10)
    drawn += [case for case in of_optimizer if case[1].name.endswith("an array more")]
    drawn += [case for case in cases if case[0] == "als" and "alpha = 1000000000000" in case[1].name]
    assert problems(drawn, artifacts, tmp_path) == []


@pytest.mark.soak
def test_every_crafted_artifact_does_no_harm(artifacts: dict[str, Path], tmp_path: Path) -> None:
    found = problems(all_crafts(artifacts), artifacts, tmp_path)
    assert not found, "\n".join(found)
