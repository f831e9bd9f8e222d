"""No crafted artifact harms: it is refused in one message, or loaded and recommends what it may."""

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from crafted import Craft, crafts
from loader import Loader, problems

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
    "bert4rec": BLOCKS,
    "gsasrec": BLOCKS,
    "two-stage": {
        "retriever": "markov",
        "ranker": "stamp",
        "ranker_parameters": SMALL,
        "candidates": 5,
    },
}
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
    return segue.prepare(segue.read(file))


@pytest.fixture(scope="module")
def artifacts(log: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for name in BUILT_IN:
        parameters = PARAMETERS.get(name, {} if name in WITHOUT_SIZE else SMALL)
        made[name] = model_class(name)(**parameters).fit(log.train).save(folder / name)
    return made


def all_crafts(artifacts: dict[str, Path]) -> list[tuple[str, Craft]]:
    return [(name, craft) for name, folder in artifacts.items() for craft in crafts(folder)]


def test_the_models_themselves_are_loaded(artifacts: dict[str, Path]) -> None:
    with Loader(artifacts["popularity"]) as loader:
        outcomes = {name: loader(folder)["outcome"] for name, folder in artifacts.items()}
    assert outcomes == dict.fromkeys(artifacts, "loaded")


def test_crafted_artifacts_do_no_harm(artifacts: dict[str, Path], tmp_path: Path) -> None:
    cases = all_crafts(artifacts)
    assert len(cases) > 2000
    few = [case for case in cases if case[0] in ("v-sknn", "markov", "sasrec", "two-stage")]
    assert problems(random.Random(0).sample(few, 30), artifacts, tmp_path) == []


@pytest.mark.soak
def test_every_crafted_artifact_does_no_harm(artifacts: dict[str, Path], tmp_path: Path) -> None:
    found = problems(all_crafts(artifacts), artifacts, tmp_path)
    assert not found, "\n".join(found)
