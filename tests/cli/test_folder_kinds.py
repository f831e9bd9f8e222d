"""Every command that writes a folder, on every kind of folder: nothing that segue did not write ever changes."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from command import segue
from folder_kinds import KINDS, NEW, NONE, RUN

from segue.data.readers.read import read
from segue.errors import SegueError
from segue.experiment.config import RunConfig
from segue.experiment.production import fit
from segue.experiment.run import run
from segue.models.als import ALS
from segue.models.popularity import Popularity
from segue.models.registry import load
from segue.protocols.dataset import open_dataset
from segue.protocols.prepare import prepare

Entry = tuple[str, int, bytes]

SLOW = ("distill --overwrite", "demo", "tune", "tune --resume", "tune --overwrite")
SLOW += ("best", "best --resume", "best --overwrite")
SMALL = ("--set", "sasrec.embedding_size=4", "--set", "sasrec.layers=1", "--set", "sasrec.training.epochs=1")


def snapshot(place: Path) -> dict[str, Entry]:
    """Return what each path is, its permissions, and its content or where it leads."""
    found = {}
    for folder, folders, files in os.walk(place):
        for name in (*folders, *files):
            path = Path(folder) / name
            status = path.lstat()
            kind = stat.S_IFMT(status.st_mode)
            content = b""
            if stat.S_ISLNK(kind):
                content = os.fsencode(path.readlink())
            elif stat.S_ISREG(kind):
                content = path.read_bytes()
            found[str(path.relative_to(place))] = (str(kind), stat.S_IMODE(status.st_mode), content)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What segue wrote, each in a folder: a run, a model, a production model, a data set and a search."""
    made = tmp_path_factory.mktemp("made")
    rows = [(number // 4, (number * 7 + number // 9) % 12, 60 * number) for number in range(400)]
    log = pl.DataFrame(rows, schema=["session", "item", "time"], orient="row")
    log.write_csv(made / "log.csv")
    pl.DataFrame({"item": list(range(14)), "group": ["a", "b"] * 7}).write_csv(made / "items.csv")
    events = read(made / "log.csv", items=made / "items.csv")
    config = RunConfig(log=str(made / "log.csv"), models=["popularity"], baselines=False, set=PROTOCOL)
    run(config, made / "run")
    data = prepare(events, split="ratio")
    Popularity().fit(data.train).save(made / "model")
    ALS(embedding_size=2).fit(data.train).save(made / "factors")
    fit(made / "log.csv", like=made / "run" / "popularity", out=made / "production")
    data.save(made / "data")
    assert segue(*tune(made, made / "search")).code == 0
    return made


PROTOCOL = {"protocol": {"split": {"kind": "ratio"}}}
SPLIT = ("--set", "protocol.split.kind=ratio")


def tune(made: Path, out: object) -> tuple[object, ...]:
    parameters = ("--model", "v-sknn", "--trials", 1, "--only", "--search", "v-sknn.k=[5,6]", *SPLIT)
    return ("tune", made / "log.csv", *parameters, "--out", out)


def command(name: str, made: Path, out: object) -> Callable[[], tuple[int, str]]:
    """Return a command that writes a folder, and returns its exit code and message."""
    first, *flags = name.split()
    run = made / "run" / "popularity"
    arguments: dict[str, tuple[object, ...]] = {
        "run": ("run", made / "log.csv", "--model", "popularity", "--no-baselines", *SPLIT, "--out", out),
        "tune": tune(made, out),
        "best": ("best", made / "log.csv", "--model", "sasrec", *SMALL, *SPLIT, "--out", out),
        "distill": ("distill", run, made / "log.csv", *SMALL, "--out", out),
        "prepare": ("prepare", made / "log.csv", *SPLIT, "--out", out),
        "fit": ("fit", made / "log.csv", "--like", run, "--out", out),
        "add-items": ("add-items", made / "factors", made / "items.csv", "--by", "group", "--to", out),
        "demo": ("demo", "--model", "popularity", "--sessions", 1000, "--out", out),
    }
    saved = {"Model.save": lambda: load(made / "model"), "Dataset.save": lambda: open_dataset(made / "data")}

    def shell() -> tuple[int, str]:
        outcome = segue(*arguments[first], *flags)
        return outcome.code, outcome.err

    def python() -> tuple[int, str]:
        try:
            saved[first]().save(out)
        except SegueError as error:
            return 2, f"error: {error}\n"
        return 0, ""

    return python if first in saved else shell


@pytest.mark.parametrize("parts", [pytest.param(1, id="all", marks=pytest.mark.soak), pytest.param(4, id="a quarter")])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_foreign_changes(
    kind: str, parts: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All commands, or every fourth one, beginning with another one for each kind."""
    case, commands = KINDS[kind], sorted(NEW)
    for name in commands[list(KINDS).index(kind) % parts :: parts]:
        if name in SLOW and name in case.allowed and (parts > 1 or kind not in ("nothing", "a_run", "a_search")):
            continue  # They write a folder as segue run does.
        place = tmp_path / name.replace(" ", "-")
        place.mkdir()
        case.build(place, made)
        monkeypatch.chdir(place)
        before = snapshot(place)
        code, message = command(name, made, "out")()
        after = snapshot(place)
        if name not in case.allowed:
            assert (code, message.splitlines()[-1][:7]) == (2, "error: "), (name, message)
            assert "out" in message.splitlines()[-1], (name, message)
            assert "Traceback" not in message, name
            assert after == before, (name, message)
            continue
        assert code == 0, (name, message)
        for path in before.keys() | after.keys():
            outside = not path.startswith(("out", ".segue-unfinished-"))
            if outside or path.startswith(case.kept or "-"):
                assert after.get(path) == before.get(path), (name, path)
        assert before.get("out", ("", None))[1] in (None, after["out"][1]), name
        assert not [path for path in after if Path(path).name.startswith(".segue-")], name


def test_each_command_that_a_kind_allows_is_run_in_the_short_form() -> None:
    """But those that take long."""
    commands, kinds = sorted(NEW), list(KINDS)
    run = {name for place, kind in enumerate(kinds) for name in commands[place % 4 :: 4] if name in KINDS[kind].allowed}
    assert run >= NEW - set(SLOW)


def test_there_are_forty_kinds_and_each_command_may_write_one() -> None:
    assert len(KINDS) >= 40
    assert sum(case.allowed == NONE for case in KINDS.values()) >= 30
    assert frozenset().union(*(case.allowed for case in KINDS.values())) == NEW
    assert RUN < NEW
