"""Uses the folders that are named on standard input, and reports a line of JSON on each.

A model recommends, explains and is updated, a data set trains and tests models, a checkpoint is resumed.
"""

import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import segue
from segue.errors import DivergedError, InputError
from segue.experiment.environment import peak_memory_mb, reset_peak_memory
from segue.models.base import Model
from segue.models.registry import load, model_class
from segue.training.runtime import Runtime

_ADDRESS_SPACE = 16 << 30


def use(folder: Path) -> None:
    if (folder / "task.json").exists():
        _resume(folder)
    elif (folder / "dataset.json").exists():
        _train(folder)
    else:
        _recommend(folder)


def _recommend(folder: Path) -> None:
    model = load(folder)
    _answer(model)
    if getattr(model.config, "updatable", False):
        _answer(model.update(segue.prepare_recent(segue.read(_later(model)), model).sessions))


def _answer(model: Model) -> None:
    ids = model.vocabulary.ids.to_list()
    sessions = [ids[:1], ids[-3:], ids[1:2] * 3, ids]
    for answer in model.recommend(sessions, k=min(5, len(ids))):
        assert len(set(answer.items)) == min(5, len(ids)), answer
        assert set(answer.items) <= set(ids), answer
        assert np.isfinite(answer.scores).all(), answer
    for reason in segue.why(model, ids[-3:], k=min(2, len(ids))).items:
        assert np.isfinite([reason.score, *reason.without, *(part.value for part in reason.parts or ())]).all(), reason


def _later(model: Model) -> pl.DataFrame:
    """Return events on a new item and on two known ones."""
    ids = model.vocabulary.ids
    items = [ids[0], 10**9, ids[-1], ids[0], 10**9]
    return pl.DataFrame({"session": [1, 1, 2, 2, 2], "item": items, "time": [1_900_000_000 + 60 * n for n in range(5)]})


def _train(folder: Path) -> None:
    data = segue.open_dataset(folder)
    json.dumps([data.describe(), data.statistics()])
    if data.train.ids is not None:
        data.train.events_of(data.train.ids[0])
    for sessions in (data.train, data.test.prefixes):
        for name in sessions.columns.columns if sessions.columns is not None else ():
            sessions.columns[name].to_list()
    segue.lint(data)
    models = [segue.Popularity(season="hour") if data.train.times is not None else segue.Popularity()]
    models += [segue.VSKNN(decay_days=1.0), segue.Markov(baskets=data.train.times is not None)]
    for model in models:
        model.fit(data.train, valid=data.valid)
        assert all(0 <= value < np.inf for value in segue.evaluate(model, data).metrics.values())


def _resume(folder: Path) -> None:
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    data = segue.open_dataset(task["data"])
    with tempfile.TemporaryDirectory() as place:  # A training that goes on writes its checkpoint.
        state = Path(shutil.copy(folder / "state", place))
        runtime = Runtime(device="cpu", checkpoint=state, resume=True)
        model = model_class(task["model"])(**task["parameters"]).fit(data.train, seed=0, runtime=runtime)
    assert all(np.isfinite(array).all() for array in model.arrays().values())


def main() -> None:
    """Answer each line of standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    for line in sys.stdin:
        reset_peak_memory()
        before, started = peak_memory_mb() or 0.0, time.process_time()
        try:
            use(Path(line.rstrip("\n")))
            outcome = "loaded"
        except (InputError, DivergedError) as error:
            outcome = f"refused: {error}"
        except BaseException as error:  # The report is the point.
            outcome = f"{type(error).__name__}: {error}"
        grown = (peak_memory_mb() or 0.0) - before
        print(json.dumps({"outcome": outcome, "grown_mb": grown, "seconds": time.process_time() - started}), flush=True)


if __name__ == "__main__":
    main()
