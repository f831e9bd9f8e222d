"""A command that was killed and resumed or repeated equals one that was not, and leaves nothing behind."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import segue, write_shop

from segue import charts
from segue.cli.main import main
from segue.errors import ChartError

PROGRAM = "from segue.cli.main import main; main()"
OPTIONS = ("--model", "gru4rec", "--no-baselines", "--set", "gru4rec.hidden_size=8")
EPOCHS = ("--set", "gru4rec.training.epochs=10", "--set", "gru4rec.training.patience=none")


def without_costs(value: Any) -> Any:
    """Return JSON content without seconds, memory and latencies."""
    if isinstance(value, dict):
        costs = ("seconds", "peak_memory_mb", "latency_ms")
        return {name: without_costs(inner) for name, inner in value.items() if not name.endswith(costs)}
    return [without_costs(inner) for inner in value] if isinstance(value, list) else value


def results(folder: Path) -> Any:
    return without_costs(json.loads((folder / "results.json").read_text(encoding="utf-8")))


def curve(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "curves" / "gru4rec.jsonl").read_text(encoding="utf-8").splitlines()
    return [without_costs(json.loads(line)) for line in lines]


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    log = write_shop(tmp_path / "shop.csv", 500)
    command = ("run", str(log), *OPTIONS, *EPOCHS, "--out")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *command, killed], stderr=subprocess.DEVNULL)
    patience = time.monotonic() + 60
    while not list((killed / "checkpoints").glob("gru4rec-*.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "gru4rec").exists()
    resumed = segue(*command, killed, "--resume")
    assert resumed.code == 0, resumed.err
    assert "epoch 1/10" not in resumed.err
    assert "epoch 10/10" in resumed.err
    assert segue(*command, whole).code == 0
    assert results(killed) == results(whole)
    arrays = [(folder / "gru4rec" / "arrays.safetensors").read_bytes() for folder in (killed, whole)]
    assert arrays[0] == arrays[1]
    assert curve(killed) == curve(whole) == results(whole)["models"][0]["curve"]
    names = {"gru4rec", "cases", "results.json", "report.md", "report.html", "run.json", "curves", "environment.json"}
    assert {path.name for path in killed.iterdir()} == names


NETWORK = (
    *("--set", "gru4rec.hidden_size=4", "--set", "gru4rec.training.epochs=2"),
    *("--set", "gru4rec.training.batch_size=8"),
)
STUDENT = (
    *("--set", "sasrec.embedding_size=4", "--set", "sasrec.layers=1", "--set", "sasrec.training.epochs=2"),
    *("--set", "sasrec.training.batch_size=4"),
)
SPACE = ("--only", "--search", "gru4rec.training.learning_rate=0.005..0.5:log", "--trials", "3")
LOG = ("log.csv", "--checkpoint-seconds", "0", "--out", "out")

COMMANDS = {
    "run": ("run", "--model", "gru4rec,als", "--no-baselines", *NETWORK, *LOG),
    "distill": ("distill", "run/als", *STUDENT, *LOG),
    "tune": ("tune", "--model", "gru4rec", *SPACE, *NETWORK, *LOG),
    "best": ("best", "--model", "gru4rec", "--set", "protocol.cleaning.min_support=1", *NETWORK, *LOG),
    "add-items": ("add-items", "run/als", "more.csv", "--by", "group"),
}


def no_chart(*_: object) -> bytes:
    raise ChartError("charts: cannot be drawn")


def work(arguments: tuple[str, ...], folder: Path) -> None:
    """Run a command in a folder, where no chart can be drawn, which would take most of the time."""
    setattr(charts, "draw", no_chart)  # noqa: B010
    tempfile.tempdir = str(folder / "tmp")
    os.chdir(folder)
    sys.argv = ["segue", *arguments]
    with Path(f"{folder}.txt").open("w", encoding="utf-8") as said, redirect_stdout(said), redirect_stderr(said):
        main()


class Place:
    """A folder in which commands run, each in a process forked from one that has imported everything.

    Args:
        folder: the folder.
        context: forks the processes.
    """

    def __init__(self, folder: Path, context: Any) -> None:
        self.folder = folder
        self._context = context

    def copy(self, name: str) -> "Place":
        """Return a place beside this one with the same content."""
        return Place(Path(shutil.copytree(self.folder, self.folder.with_name(name))), self._context)

    def finish(self, *arguments: str) -> float:
        """Run a command, and return the seconds it took."""
        started = time.monotonic()
        process = self._context.Process(target=work, args=(arguments, self.folder))
        process.start()
        process.join()
        assert process.exitcode == 0, self.said()
        return time.monotonic() - started

    def kill(self, arguments: tuple[str, ...], seconds: float) -> bool:
        """Kill a command after some seconds, and return whether it was running."""
        process = self._context.Process(target=work, args=(arguments, self.folder))
        process.start()
        process.join(seconds)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), self.said()
        return process.exitcode != 0

    def said(self) -> str:
        return Path(f"{self.folder}.txt").read_text(encoding="utf-8")

    def content(self) -> dict[str, Any]:
        """Return all files, hidden ones too, without what takes another time or is said of it."""
        return {str(path.relative_to(self.folder)): _content(path) for path in self.folder.rglob("*")}


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        found = without_costs(json.loads(path.read_text(encoding="utf-8")))
        return {name: value for name, value in found.items() if name != "verdicts"}  # Those of distill name latencies.
    if path.name == "trials.csv":
        return pl.read_csv(path).drop("seconds").rows()
    if path.suffix == ".jsonl":
        return [without_costs(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    compared = path.is_file() and not path.name.startswith(("report.", "study.journal"))
    return path.read_bytes() if compared else path.is_file()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A log, a run on it, and a table with further items. Not to be written to."""
    folder = tmp_path_factory.mktemp("killed") / "start"
    (folder / "tmp").mkdir(parents=True)
    rows = [(number // 4, (number * 7 + number // 9) % 30, 600 * number) for number in range(1200)]
    pl.DataFrame(rows, schema=["session", "item", "time"], orient="row").write_csv(folder / "log.csv")
    for name, count in (("items", 30), ("more", 40)):
        pl.DataFrame({"item": range(count), "group": ["a", "b"] * (count // 2)}).write_csv(folder / f"{name}.csv")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["preloaded"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("COLUMNS", "80")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
        forkserver.ensure_running()
    place = Place(folder, context)
    place.finish("run", "log.csv", "--items", "items.csv", "--model", "als", "--no-baselines", "--out", "run")
    return place


MOMENTS = [
    *(("distill", 1), ("add-items", 1)),
    *(pytest.param(name, 50, marks=pytest.mark.soak) for name in COMMANDS),
]


@pytest.mark.parametrize(("name", "kills"), MOMENTS)
def test_killed_at_random_moments_and_gone_on_with_equals_uninterrupted(start: Place, name: str, kills: int) -> None:
    command, draw = COMMANDS[name], random.Random(name)
    again = () if name == "add-items" else ("--resume",)
    whole = start.copy(f"{name}-{kills}")
    seconds, expected = whole.finish(*command), whole.content()
    killed = 0
    while killed < kills:
        place = start.copy(f"{name}-{kills}-next")
        moment = draw.uniform(0, seconds)
        if place.kill(command, moment):
            killed += 1
        else:
            seconds *= 0.9  # It had ended: the machine is less busy now.
        place.finish(*command, *again)
        found = place.content()
        assert found.keys() == expected.keys(), moment
        assert [path for path in expected if found[path] != expected[path]] == [], moment
        shutil.rmtree(place.folder)
