"""A small log, and every model fitted on it."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from live import Answer, Client, memory_store, run, serving

import segue
from segue.models.registry import model_class
from segue.serving import models
from small_models import parameters_of

START = 1_700_000_000
NOW = START + 10_000_000


@pytest.fixture(scope="module", autouse=True)
def a_model_answers_seven_sessions_when_it_is_loaded() -> Iterator[None]:
    """Not 50, which would take most of the time of a test; services with a process of their own do ask for 50."""
    warm_up = models._warm_up
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "_warm_up", lambda served, rounds=50: warm_up(served, min(rounds, 7)))
        yield


@pytest.fixture(scope="session")
def log() -> pl.DataFrame:
    """A log of 120 sessions on 30 items, which walk around a circle."""
    rng, rows = random.Random(0), []
    for session in range(120):
        start, item = START + session * 5_000, rng.randrange(30)
        for event in range(rng.randrange(2, 9)):
            item = (item + rng.choice((0, 1, 1, 2))) % 30
            rows.append(
                (f"s{session}", f"u{session % 7}", str(100 + item), start + 60 * event, f"shop {item % 3}", item / 2)
            )
    return pl.DataFrame(rows, schema=["session", "user", "item", "time", "shop", "price"], orient="row")


@pytest.fixture(scope="session")
def data(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("log")
    log.write_csv(folder / "clicks.csv")
    items = log.select("item", name=pl.format("Thing {}", "item"), category=pl.col("shop")).unique("item").sort("item")
    items.write_csv(folder / "items.csv")
    return segue.prepare(segue.read(folder / "clicks.csv", items=folder / "items.csv"))


@pytest.fixture(scope="session")
def artifact(data: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function from the name of a model to the folder of a fitted one; ``about`` changes its protocol."""
    found: dict[str, Path] = {}

    def fit(model: str, **cleaning: Any) -> Path:
        key = json.dumps([model, cleaning])
        if key not in found:
            fitted = model_class(model)(**parameters_of(model)).fit(data.train, seed=0)
            folder = tmp_path_factory.mktemp("artifact") / model
            found[key] = fitted.save(folder, protocol={"cleaning": cleaning, "cases": {}})
        return found[key]

    return fit


@pytest.fixture(scope="module")
def markov(artifact: Callable[..., Path]) -> dict[str, Path]:
    return {"markov": artifact("markov"), "popular": artifact("popularity")}


@pytest.fixture
def call(markov: dict[str, Path], tmp_path: Path) -> Callable[..., Any]:
    """Return a function that starts a service, makes some requests, and returns their answers."""

    def answers(*requests: Any, before: Callable[[Client], Any] = lambda _: None, **settings: Any) -> list[Answer]:
        async def work() -> list[Answer]:
            client = await serving(markov, memory_store(), tmp_path, **settings)
            before(client)
            return [await client(*(one if isinstance(one, tuple) else ("GET", one))) for one in requests]

        return run(work())

    return answers


@pytest.fixture(scope="session")
def popular(artifact: Callable[..., Path]) -> Path:
    return artifact("popularity")


@pytest.fixture(scope="session")
def run_folder(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model with item vectors and of one without."""
    folder = tmp_path_factory.mktemp("runs")
    log.write_csv(folder / "clicks.csv")
    items = log.select("item", name=pl.format("Thing {}", "item"), category=pl.col("shop")).unique("item").sort("item")
    items.write_csv(folder / "items.csv")
    settings = {"gru4rec": {"hidden_size": 8, "training": {"epochs": 3}}}
    config = segue.RunConfig(log="shop", models=["gru4rec", "markov"], baselines=False, set=settings)
    segue.run(config, folder / "first", events=segue.read(folder / "clicks.csv", items=folder / "items.csv"))
    return folder / "first"


@pytest.fixture(scope="session")
def many_items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 100,500 items in 50 groups, with a vector each."""
    count, numbers = 100_500, np.random.default_rng(0)
    items = np.concatenate([np.arange(count), numbers.zipf(1.3, count) % count])
    items = items[np.lexsort((numbers.random(len(items)), items % 50))]
    events = np.arange(len(items))
    log = pl.DataFrame({"session": events // 4, "item": items, "time": START + events // 4 * 60 + events % 4})
    folder = tmp_path_factory.mktemp("many")
    log.write_parquet(folder / "clicks.parquet")
    data = segue.prepare(
        segue.read(folder / "clicks.parquet"), cleaning={"min_support": 1}, split={"test_days": 0.01, "valid_days": 0.0}
    )
    fitted = model_class("als")(embedding_size=16, training={"iterations": 1}).fit(data.train, seed=0)
    return fitted.save(folder / "als", protocol={"cleaning": {}, "cases": {}})
