"""Several processes on one folder: one wins, the others are refused, and what killed processes left is gone."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from command import SMALL, Outcome, segue, tree, write_shop

from segue.data.synthetic import shop
from segue.errors import ParameterError, StorageError
from segue.experiment.config import RunConfig
from segue.experiment.run import run
from segue.experiment.run_folder import output_folder
from segue.manifest import DATASET
from segue.models.popularity import Popularity
from segue.protocols.prepare import prepare
from segue.storage import claims, replacing_folder, write_text
from segue.storage.claims import ClaimedError, claimed
from segue.storage.locks import Lock
from segue.storage.scratch import is_unfinished

SHELL = "import sys; import segue.cli.main, segue.experiment.run; sys.stdin.readline(); segue.cli.main.main()"

CLAIM = """
import sys, time
from pathlib import Path
from segue.errors import ParameterError
from segue.storage.claims import claimed
place = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    with claimed(place, "segue run", lambda: None):
        place.mkdir()  # Raises if another one is in.
        print("won", flush=True)
        sys.stdin.readline()
        place.rmdir()
except ParameterError as error:
    print(error, flush=True)
"""

BY_WHOM = (
    r"is being written by segue run \(process \d+ on \S+, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\); wait until it ends"
)

Process = subprocess.Popen[str]


def nothing() -> None:
    """Check nothing."""


@contextmanager
def processes(program: str, commands: list[tuple[object, ...]], cwd: Path | None = None) -> Iterator[list[Process]]:
    """Start processes that wait for a line on their standard input."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": cwd}
    started = [subprocess.Popen([sys.executable, "-c", program, *map(str, command)], **options) for command in commands]
    try:
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.communicate()


def go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("logs") / "shop.csv", sessions=300)


@pytest.fixture(scope="module")
def factors(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of ALS. Not to be written to."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert segue("run", log, "--model", "als", "--no-baselines", "--out", out).code == 0
    return out


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for a lock."""
    monkeypatch.setattr(claims, "_SECONDS", 0.02)


@pytest.mark.parametrize("count", [2, 8])
def test_one_process_wins_and_the_others_are_told_by_whom(tmp_path: Path, count: int) -> None:
    with processes(CLAIM, [(tmp_path / "deep" / "out",)] * count) as started:
        assert [line(process) for process in started] == ["ready"] * count
        for process in started:
            go(process)
        said = [line(process) for process in started]
        assert said.count("won") == 1
        winner = started[said.index("won")]
        for one in said:
            if one != "won":
                assert re.search(rf"--out: {tmp_path}/deep/out {BY_WHOM}", one)
                assert f"process {winner.pid} on " in one
        go(winner)
        assert winner.wait() == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.soak)])
def test_runs_started_at_once_on_one_folder(log: Path, tmp_path: Path, count: int) -> None:
    options = ("run", log, "--model", "v-sknn", "--no-baselines", "--out", "out", "--seed")
    with processes(SHELL, [(*options, seed) for seed in range(count)], tmp_path) as started:
        for process in started:
            go(process)
        said = [process.communicate() for process in started]
    codes = [process.returncode for process in started]
    assert sorted(codes) == [0] + [2] * (count - 1)
    assert json.loads((tmp_path / "out" / "results.json").read_text())["seed"] == codes.index(0)
    for code, (_, error) in zip(codes, said, strict=True):
        if code:
            assert re.search(rf"--out: out ({BY_WHOM}|already contains a run; add --resume)", error), error
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not [path for path in tmp_path.rglob("*") if is_unfinished(path)]


@pytest.mark.parametrize("resume", [False, True])
def test_searches_started_at_once_on_one_folder(log: Path, tmp_path: Path, resume: bool) -> None:
    space = ("--only", "--search", "v-sknn.k=[50,100]", "--search", "v-sknn.sample_size=[200,500]")
    options = ("tune", log, "--model", "v-sknn", *space, "--trials", 8, "--out", "out", *["--resume"] * resume)
    with processes(SHELL.replace("experiment.run", "tuning.tune"), [options] * 2, tmp_path) as started:
        for process in started:
            go(process)
        said = [process.communicate()[1] for process in started]
    assert sorted(process.returncode for process in started) == ([0, 0] if resume else [0, 2]), said
    rows = pl.read_csv(tmp_path / "out" / "trials.csv")
    assert rows["trial"].to_list() == list(range(8))
    assert set(rows["state"]) <= {"finished", "pruned"}
    if not resume:
        by_whom = r"is being written by segue tune \(process \d+ on .*\); add --resume to join it"
        assert any(re.search(rf"--out: out ({by_whom}|already contains a search)", one) for one in said), said
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not [path for path in tmp_path.rglob("*") if is_unfinished(path)]


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.soak)])
def test_runs_without_a_folder_get_one_each(log: Path, tmp_path: Path, count: int) -> None:
    options = ("run", log, "--model", "popularity", "--no-baselines", "--seed")
    with processes(SHELL, [(*options, seed) for seed in range(count)], tmp_path) as started:
        for process in started:
            go(process)
        said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * count, said
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {f"shop-{1 + number}" for number in range(count)}
    seeds = [json.loads(file.read_text())["seed"] for file in tmp_path.glob("runs/*/results.json")]
    assert sorted(seeds) == list(range(count))


def test_a_killed_holder_leaves_no_lock(log: Path, tmp_path: Path) -> None:
    with processes(CLAIM, [(tmp_path / "out",)]) as (holder,):
        assert line(holder) == "ready"
        go(holder)
        assert line(holder) == "won"
        command = ("run", log, "--model", "popularity", "--no-baselines", "--out", tmp_path / "out")
        assert f"by segue run (process {holder.pid} on " in segue(*command).err
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert (tmp_path / ".segue-lock-out").exists()
    assert segue(*command).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("impatient")
def test_every_command_is_refused_while_another_one_writes(log: Path, factors: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", factors / "als"
    commands = {
        "run": ("run", log, "--model", "popularity", "--out", out),
        "tune": ("tune", log, "--model", "v-sknn", "--out", out),
        "best": ("best", log, "--out", out),
        "distill": ("distill", model, log, "--out", out),
        "demo": ("demo", "--out", out),
        "prepare": ("prepare", log, "--out", out),
        "fit": ("fit", log, "--like", model, "--out", out),
        "add-items": ("add-items", model, log, "--by", "item", "--to", out),
    }
    before = tree(tmp_path)
    with claimed(out, "segue serve", nothing):
        for name, command in commands.items():
            outcome = segue(*command)
            option = "--to" if name == "add-items" else "--out"
            assert outcome.code == 2
            assert f"error: {option}: {out} is being written by segue serve (process {os.getpid()} on " in outcome.err
            assert "epoch" not in outcome.err
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["run", "best", "tune", "prepare", "fit", "add-items", "distill"])
def test_what_another_command_has_just_written_is_not_replaced(
    log: Path, factors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Another command ends between the check and the claim."""
    out, model = tmp_path / "out", factors / "als"
    commands = {
        "run": ("run", log, "--model", "popularity", "--no-baselines", "--out", out),
        "best": ("best", log, "--model", "gru4rec", *SMALL, "--out", out),
        "tune": ("tune", log, "--model", "v-sknn", "--trials", 1, "--out", out),
        "prepare": ("prepare", log, "--out", out),
        "fit": ("fit", log, "--like", model, "--out", out),
    }
    other = commands.get(name, commands["fit"])
    monkeypatch.setattr(claims, "_acquired", acquired := Late(lambda: segue(*other)))
    commands["add-items"] = ("add-items", model, log, "--by", "item", "--to", out)
    commands["distill"] = ("distill", model, log, "--out", out)
    outcome = segue(*commands[name])
    assert outcome.code == 2
    assert acquired.outcome.code == 0, acquired.outcome.err
    said = {"distill": "contains other files", "prepare": "already contains a data set"}
    assert re.search(rf"--(out|to): {out} {said.get(name, 'already contains a (run|search|model)')}", outcome.err)
    assert tree(out) == acquired.written


class Late:
    """Takes a lock after another command has written the same folder.

    Args:
        command: the other command.
    """

    def __init__(self, command: Callable[[], Outcome]) -> None:
        self._command = command
        self._acquired = claims._acquired
        self._first = True

    def __call__(self, place: Path, replaced: bool) -> Lock | Path:
        if self._first:
            self._first = False
            self.outcome = self._command()
            self.written = tree(place)
        return self._acquired(place, replaced)


def test_a_run_and_its_models_are_not_written_at_once(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (
        claimed(tmp_path / "run", "segue run", nothing),
        pytest.raises(ClaimedError, match=r"--to: .*/run is being written"),
    ):
        claimed(tmp_path / "run" / "gru4rec", "segue add-items", nothing, option="--to").__enter__()
    with (
        claimed(tmp_path / "run" / "gru4rec", "segue add-items", nothing),
        pytest.raises(ClaimedError, match="run/gru4rec is "),
    ):
        claimed(tmp_path / "run", "segue run", nothing).__enter__()
    with (
        claimed(tmp_path / "run" / "seed-0", "segue run", nothing),
        claimed(tmp_path / "run" / "seed-1", "segue run", nothing),
    ):
        pass


def test_threads_exclude_each_other_and_the_folder_is_free_again(tmp_path: Path) -> None:
    inside, most, refused = [0], [0], [0]

    def work() -> None:
        for _ in range(5):
            try:
                with claimed(tmp_path / "out", "segue run", nothing):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    time.sleep(0.001)
                    inside[0] -= 1
            except ClaimedError:
                refused[0] += 1

    run_threads(work, 4)
    assert most == [1]
    assert list(tmp_path.iterdir()) == []


def run_threads(work: object, count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("impatient")
def test_what_holds_a_lock_is_told_only_if_it_can_be_printed(tmp_path: Path) -> None:
    with claimed(tmp_path / "out", "segue run", nothing):
        for content in ("segue \x1b[2J\n1\na\nb", "", "a\nb\nc", f"a\n1\nb\n{'c' * 200}", "a\n1\n\u202eb\nc"):
            (tmp_path / ".segue-lock-out").write_text(content, encoding="utf-8")
            with pytest.raises(ClaimedError, match="out is being written by another process; wait until it ends"):
                claimed(tmp_path / "out", "segue run", nothing).__enter__()


def test_a_folder_without_a_name_is_numbered_and_removed_if_it_stays_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with output_folder(None, "shop") as first, output_folder(None, "shop") as second:
        assert [first, second] == [Path("runs/shop-1"), Path("runs/shop-2")]
        write_text(second / "a", "text")
    assert [str(path) for path in Path().rglob("*")] == ["runs", "runs/shop-2", "runs/shop-2/a"]
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"File name too long"), output_folder(None, "x" * 300):
        pass


LONG = "x" * 300

BAD = {
    "long": (LONG, "File name too long"),
    "below a long name": (f"{LONG}/out", "File name too long"),
    "below a file": ("shop.csv/out", "Not a directory"),
    "below a file below": ("shop.csv/a/b", "Not a directory"),
    "a scratch name too long": ("y" * 240, "File name too long"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_path_that_cannot_be_written_is_one_message_before_the_work(
    log: Path, factors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.csv").touch()
    before = tree(tmp_path)
    out, reason = BAD[bad]
    model = factors / "als"
    for command in (
        ("run", log, "--model", "sasrec", "--out", out),
        ("run", log, "--model", "sasrec", "--seeds", "0,1", "--out", out),
        ("tune", log, "--model", "sasrec", "--out", out),
        ("distill", model, log, "--out", out),
        ("demo", "--out", out),
        ("prepare", log, "--out", out),
        ("fit", log, "--like", model, "--out", out),
        ("add-items", model, log, "--by", "item", "--to", out),
        ("compare", factors, "--out", out),
        ("plot", model, "--out", f"{out}.png"),
    ):
        if bad == "a scratch name too long" and "--seeds" in command:
            continue  # There the name is that of the parent.
        outcome = segue(*command)
        assert outcome.code == 2, command
        last = outcome.err.splitlines()[-1]
        assert last.startswith("error: "), outcome.err
        assert f"cannot be written ({reason})" in last, outcome.err
        assert last.endswith("Choose another path")
        assert "epoch" not in outcome.err
    assert tree(tmp_path) == before


def test_the_working_directory_is_written_but_not_replaced(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for out in (".", tmp_path / "here"):
        outcome = segue("prepare", log, "--out", out)
        assert outcome.err == f"error: --out: {out} is the working directory; name another folder\n"
    assert segue("run", log, "--model", "popularity", "--no-baselines", "--out", ".").code == 0
    assert (tmp_path / "here" / "results.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_seeds_are_not_written_through_a_link(log: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to("elsewhere")
    outcome = segue("run", log, "--model", "popularity", "--seeds", "0,1", "--out", tmp_path / "out")
    assert (outcome.code, "out: is a link to elsewhere, which segue neither follows" in outcome.err) == (2, True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["a\0b", "a\ud800"])
def test_a_name_that_is_not_allowed_is_refused(log: Path, tmp_path: Path, name: str) -> None:
    config = RunConfig(log=str(log), models=["sasrec"])
    for write in (lambda: run(config, tmp_path / name), lambda: load_and_save(tmp_path / name)):
        with pytest.raises(StorageError, match="the name contains characters that are not allowed"):
            write()


def load_and_save(path: Path) -> None:
    Popularity().fit(prepare(shop(300, 0)).train).save(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_parent_that_cannot_be_written_is_said_before_the_work(log: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    for command in (("run", log, "--model", "sasrec", "--out"), ("prepare", log, "--out")):
        outcome = segue(*command, tmp_path / "closed" / "out")
        assert outcome.code == 2
        assert "cannot be written (Permission denied)" in outcome.err
        assert "epoch" not in outcome.err


def test_a_folder_that_cannot_be_written_is_said_before_the_work(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(
        "segue.storage.claims.os.access", lambda path, mode: mode == os.R_OK or Path(path).name != "out"
    )
    outcome = segue("run", log, "--model", "sasrec", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "out: cannot be written (Permission denied)" in outcome.err


def test_a_folder_whose_parent_cannot_be_written_is_locked_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("segue.storage.claims.os.access", lambda path, mode: Path(path).name == "out")
    with claimed(tmp_path / "out", "segue run", nothing):
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".segue-lock"]
        with pytest.raises(ClaimedError, match="is being written by segue run"):
            claimed(tmp_path / "out", "segue run", nothing).__enter__()
    assert list((tmp_path / "out").iterdir()) == []


OTHER_USER = (
    CLAIM[: CLAIM.index("print(")]
    + """
import os
access, closed = os.access, sys.argv[2]
os.access = lambda path, mode: str(path) != closed and access(path, mode)
print("ready", flush=True)
sys.stdin.readline()
try:
    with claimed(place, "segue run", lambda: None):
        print("won", flush=True)
        sys.stdin.readline()
except ParameterError as error:
    print(error, flush=True)
"""
)
"""Claims an existing folder as a user who may not write one folder."""


@pytest.mark.parametrize("first", ["the user who may write the parent", "the other one"])
def test_of_two_users_one_wins_if_only_one_may_write_the_parent(tmp_path: Path, first: str) -> None:
    out = tmp_path / "out"
    users = [(out, "nowhere"), (out, tmp_path)]
    with processes(OTHER_USER, users if first.startswith("the user") else users[::-1]) as (one, other):
        for process in (one, other):
            assert line(process) == "ready"
        if first.startswith("the user"):  # The folder need not exist when it is claimed.
            go(one)
            assert line(one) == "won"
            out.mkdir()
        else:
            out.mkdir()
            go(one)
            assert line(one) == "won"
        go(other)
        assert re.search(rf"--out: {out} {BY_WHOM}", said := line(other)), said
        assert f"process {one.pid} on " in said
        go(one)
        assert one.wait() == 0
    assert (list(tmp_path.iterdir()), list(out.iterdir())) == ([out], [])


@pytest.mark.usefixtures("impatient")
def test_users_who_may_not_write_the_parent_keep_out_of_what_others_write_nearby(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, model = tmp_path / "run", tmp_path / "run" / "gru4rec"
    model.mkdir(parents=True)

    def may_not_write(folder: Path) -> None:
        monkeypatch.setattr("segue.storage.claims.os.access", lambda path, mode: Path(path) != folder)

    for closed, held, other in ((tmp_path, run, model), (run, model, run)):
        may_not_write(closed)
        with claimed(held, "segue run", nothing):
            assert (held / ".segue-lock").exists()
            may_not_write(tmp_path / "nowhere")
            with pytest.raises(ClaimedError, match=f"--out: {held} is being written by segue run"):
                claimed(other, "segue run", nothing).__enter__()


def test_a_lock_that_may_not_be_read_counts_as_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(lock: Lock) -> bool:
        raise PermissionError

    monkeypatch.setattr(claims, "_SECONDS", 0)
    monkeypatch.setattr(Lock, "is_held", refused)
    with pytest.raises(ClaimedError, match="out is being written by another process; wait until it ends"):
        claimed(tmp_path / "out", "segue run", nothing).__enter__()


KILLED = """
import os, signal, sys
from pathlib import Path
from segue.storage import replacing_file, replacing_folder
from segue.storage.claims import claimed
place = Path(sys.argv[1])
with claimed(place / "model", "segue add-items", lambda: None, replaced=True):
    with replacing_folder(place / "model") as one, replacing_file(place / "file") as other:
        (one / "config.json").write_text("{")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_command_left_is_removed_by_the_next_one_that_writes_there(log: Path, tmp_path: Path) -> None:
    for next_one in (
        lambda: write_text(tmp_path / "another file", "text"),
        lambda: DATASET.write(tmp_path / "another folder", {}, lambda scratch: None),
        lambda: segue("prepare", log, "--out", tmp_path / "data"),
    ):
        done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert len([path for path in tmp_path.iterdir() if is_unfinished(path)]) == 3
        next_one()
        assert not [path for path in tmp_path.iterdir() if is_unfinished(path)]


def test_a_link_that_looks_like_a_leftover_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").touch()
    for name in (".segue-unfinished-x-01234567", ".segue-lock-x"):
        (tmp_path / name).symlink_to("elsewhere")
    before = tree(tmp_path)
    write_text(tmp_path / "b", "text")
    (tmp_path / "b").unlink()
    assert tree(tmp_path) == before
    with pytest.raises((ParameterError, StorageError)):
        claimed(tmp_path / "x", "segue run", nothing).__enter__()
    assert tree(tmp_path) == before


@pytest.mark.soak
def test_add_items_killed_at_thirty_moments_leaves_nothing(tmp_path: Path, log: Path) -> None:
    from segue.data.readers.read import read
    from segue.models.als import ALS

    items = pl.DataFrame({"item": list(range(40)), "group": ["a", "b"] * 20})
    rows = [(number // 4, (number * 7 + number // 9) % 12, 60 * number) for number in range(400)]
    events = read(pl.DataFrame(rows, schema=["session", "item", "time"], orient="row"), items=items)
    ALS(embedding_size=2).fit(prepare(events, split="ratio").train).save(tmp_path / "als")
    items.write_csv(tmp_path / "items.csv")
    draw, left = random.Random(0), 0
    command = ("add-items", "als", "items.csv", "--by", "group", "--to", "als-2", "--overwrite")
    others = ("add-items", tmp_path / "als", tmp_path / "items.csv", "--by", "group", "--overwrite", "--to")
    for _ in range(30):
        with processes(SHELL.replace("experiment.run", "models.als"), [command], tmp_path) as (process,):
            go(process)
            while process.poll() is None and not any(is_unfinished(path) for path in tmp_path.iterdir()):
                time.sleep(0.001)
            time.sleep(draw.uniform(0, 0.03))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        left += any(is_unfinished(path) for path in tmp_path.iterdir())
        assert segue(*others, tmp_path / "als-3").code == 0
        assert not [path for path in tmp_path.iterdir() if is_unfinished(path)]
    assert left > 5


@pytest.mark.parametrize(("writers", "rounds", "times"), [(4, 5, 3), pytest.param(6, 60, 60, marks=pytest.mark.soak)])
def test_many_threads_write_and_sweep_one_directory(tmp_path: Path, writers: int, rounds: int, times: int) -> None:
    failures: list[Exception] = []
    names = iter(range(10**6))

    def write() -> None:
        name = f"model-{next(names) % 2}"
        try:
            for number in range(rounds):
                with replacing_folder(tmp_path / name) as scratch:
                    (scratch / "number").write_text(str(number))
                write_text(tmp_path / "text", str(number))
        except Exception as error:
            failures.append(error)

    for _ in range(times):
        run_threads(write, writers)
        assert failures == []
        assert {path.name for path in tmp_path.iterdir()} == {"model-0", "model-1", "text"}
