"""No crafted data set or checkpoint harms: it is refused in one message, or trains and tests models."""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from crafted import Craft
from crafted_data import checkpoint_crafts, data_crafts
from limits import SEED
from loader import Loader, problems

import segue
from segue.models.registry import model_class
from segue.training.runtime import Runtime

TASKS: dict[str, dict[str, Any]] = {
    "gru4rec": {"hidden_size": 4, "training": {"epochs": 2, "batch_size": 2}},
    "sasrec": {
        "embedding_size": 4,
        "inner_size": 4,
        "layers": 1,
        "max_length": 5,
        "training": {"epochs": 2, "batch_size": 1},
    },
}


class Stopped(Exception):
    """Ends a training."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A data set, and a checkpoint of each task in the middle of an epoch."""
    rng, rows = random.Random(0), []
    for session in range(80):
        for event in range(rng.randrange(2, 7)):
            time = 1_700_000_000 + session * 5_000 + 60 * (event // 2)
            rows.append((session, session % 7, 100 + rng.randrange(12), time, f"shop {event % 3}", event + 0.5))
    names = ["session", "user", "item", "time", "shop", "price"]
    items = pl.DataFrame({"item": range(100, 112), "name": [f"item {number}" for number in range(12)]})
    log = segue.read(pl.DataFrame(rows, schema=names, orient="row"), items=items)
    root = tmp_path_factory.mktemp("folders")
    data = segue.prepare(log, split={"kind": "ratio"})
    made = {"data": data.save(root / "data")}
    saved = segue.open_dataset(made["data"])
    for name, parameters in TASKS.items():
        folder = made[name] = root / name
        folder.mkdir()
        task = {"model": name, "parameters": parameters, "data": str(made["data"])}
        (folder / "task.json").write_text(json.dumps(task))
        runtime = Runtime(device="cpu", checkpoint=folder / "state", checkpoint_seconds=0.0)
        with pytest.MonkeyPatch.context() as patch:
            _stop_inside(patch)
            with pytest.raises(Stopped):
                model_class(name)(**parameters).fit(saved.train, seed=0, runtime=runtime)
    return made


def _stop_inside(patch: pytest.MonkeyPatch) -> None:
    """End the training after a checkpoint in the middle of its second epoch."""
    from segue.training import loop

    save = loop.save_checkpoint

    def stop(path: Path, tensors: Any, state: Any) -> None:
        save(path, tensors, state)
        if state["position"]["epoch"] and state["position"]["step"]:
            raise Stopped

    patch.setattr(loop, "save_checkpoint", stop)


def all_crafts(folders: dict[str, Path]) -> list[tuple[str, Craft]]:
    cases = [("data", craft) for craft in data_crafts(folders["data"])]
    return cases + [(name, craft) for name in TASKS for craft in checkpoint_crafts(folders[name])]


def test_the_folders_themselves_are_used(folders: dict[str, Path]) -> None:
    with Loader(folders["data"]) as loader:
        assert [loader(folder)["outcome"] for folder in folders.values()] == ["loaded"] * len(folders)


def test_crafted_folders_do_no_harm(folders: dict[str, Path], tmp_path: Path) -> None:
    cases = all_crafts(folders)
    assert len(cases) > 1500
    assert problems(random.Random(SEED).sample(cases, 12), folders, tmp_path) == []


@pytest.mark.soak
@pytest.mark.parametrize("part", range(10))
def test_every_crafted_folder_does_no_harm(folders: dict[str, Path], tmp_path: Path, part: int) -> None:
    found = problems(all_crafts(folders)[part::10], folders, tmp_path)
    assert not found, "\n".join(found)
