"""``segue prepare --memory``: the same data set, mistakes, and what a killed command leaves."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from command import segue

from segue.data import partitions
from segue.errors import StorageError
from segue.experiment.config import RunConfig
from segue.experiment.prepared_data import source_files
from segue.progress import Progress, Task


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """A log of two files."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "clicks"
    folder.mkdir()
    for number in range(2):
        times = pl.Series(np.sort(rng.integers(0, 10 * 86_400, 2000)) + 1_700_000_000)
        frame = pl.DataFrame({"session": rng.integers(0, 500, 2000), "item": rng.integers(0, 60, 2000), "time": times})
        frame.write_csv(folder / f"part-{number}.csv")
    return folder


def run(*arguments: Any) -> tuple[int, str]:
    """Run ``segue prepare``; return the exit code and the output."""
    outcome = segue("prepare", *arguments)
    return outcome.code, outcome.out + outcome.err


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_the_same_files(clicks: Path, tmp_path: Path) -> None:
    assert run(clicks, "--out", tmp_path / "memory")[0] == 0
    code, output = run(clicks, "--out", tmp_path / "disk", "--memory", "1GB")
    assert code == 0, output
    assert "Saved the data set" in output
    assert content(tmp_path / "disk") == content(tmp_path / "memory")
    assert not (tmp_path / "disk.work").exists()


def test_brackets_in_the_name_of_the_folder(clicks: Path, tmp_path: Path) -> None:
    code, output = run(clicks, "--out", tmp_path / "disk[1]", "--memory", "1GB")
    assert code == 0, output
    assert (tmp_path / "disk[1]").is_dir()


@pytest.mark.parametrize(
    ("size", "message"), [("lots", "such as 8GB or 600MB, got 'lots'"), ("20MB", "at least 500MB, got 20MB")]
)
def test_a_size_that_is_none_or_too_small(size: str, message: str, clicks: Path, tmp_path: Path) -> None:
    code, output = run(clicks, "--out", tmp_path / "disk", "--memory", size)
    assert code == 2
    assert message in " ".join(output.split())
    assert not list(tmp_path.glob("disk*"))


def test_a_mistake_in_the_log_leaves_nothing(clicks: Path, tmp_path: Path) -> None:
    (clicks / "part-1.csv").write_text("session,item,time\n1,2,yesterday\n")
    in_memory = run(clicks, "--out", tmp_path / "memory")
    on_disk = run(clicks, "--out", tmp_path / "disk", "--memory", "1GB")
    assert on_disk == in_memory
    assert on_disk[0] == 2
    assert not list(tmp_path.glob("disk*"))


def test_a_folder_that_is_not_ours_is_not_touched(clicks: Path, tmp_path: Path) -> None:
    (tmp_path / "disk.work").mkdir()
    (tmp_path / "disk.work/mine").write_text("mine")
    code, output = run(clicks, "--out", tmp_path / "disk", "--memory", "1GB")
    assert code == 2
    assert "intermediate results go there" in " ".join(output.split())
    assert (tmp_path / "disk.work/mine").read_text() == "mine"


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_is_not_followed(target: str, clicks: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "disk.work").symlink_to(tmp_path / target)
    code, output = run(clicks, "--out", tmp_path / "disk", "--memory", "1GB")
    assert code == 2
    assert "intermediate results go there" in " ".join(output.split())
    assert not list((tmp_path / "elsewhere").iterdir())
    assert (tmp_path / "disk.work").is_symlink()


class _Killed(BaseException):
    """Ends a command without any of its clean-up of errors."""


@pytest.mark.parametrize("after", [1, 7, 20])
def test_an_interrupted_command_continues(
    after: int, clicks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Path] = []
    original = partitions.Task.run

    def counted(task: partitions.Task, limit: int | None) -> None:
        if len(done) == limit:
            raise _Killed
        original(task)
        done.append(task.target)

    arguments = (clicks, "--out", tmp_path / "disk", "--memory", "1GB")
    monkeypatch.setattr(partitions.Task, "run", lambda task: counted(task, after))
    with pytest.raises(_Killed):
        segue("prepare", *arguments)
    assert (tmp_path / "disk.work").is_dir()
    assert not (tmp_path / "disk").exists()
    monkeypatch.setattr(partitions.Task, "run", lambda task: counted(task, None))
    assert run(*arguments)[0] == 0
    assert len(done) == len(set(done)), "a finished task ran again"
    assert run(clicks, "--out", tmp_path / "memory")[0] == 0
    assert content(tmp_path / "disk") == content(tmp_path / "memory")


def test_another_log_starts_anew(clicks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (clicks, "--out", tmp_path / "disk", "--memory", "1GB")

    def killed(self: Progress, name: str, total: int) -> Task:
        raise _Killed

    with monkeypatch.context() as patched:
        patched.setattr("segue.protocols.out_of_core.sort_partitioned", killed)
        with pytest.raises(_Killed):
            segue("prepare", *arguments)
    events = pl.read_csv(clicks / "part-1.csv")
    events.with_columns(item=pl.col("item") + 1).write_csv(clicks / "part-1.csv")
    assert run(*arguments)[0] == 0
    assert run(clicks, "--out", tmp_path / "memory")[0] == 0
    assert content(tmp_path / "disk") == content(tmp_path / "memory")


def test_metadata_beside_the_log_are_source_files(tmp_path: Path) -> None:
    log, items = tmp_path / "shop.inter", tmp_path / "shop.item"
    log.write_text("")
    items.write_text("")
    names = [name for name, _, _ in source_files(RunConfig(log=str(log)))]
    assert [Path(name).name for name in names] == ["shop.inter", "shop.item"]


def test_files_in_folders_of_the_folder_are_not_source_files(clicks: Path) -> None:
    (clicks / "old").mkdir()
    (clicks / "old" / "clicks.csv").write_text("")
    names = [Path(name).name for name, _, _ in source_files(RunConfig(log=str(clicks)))]
    assert names == ["part-0.csv", "part-1.csv"]


def test_a_full_disk_does_not_read_the_whole_log(clicks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(task: partitions.Task) -> None:
        raise StorageError(f"{task.target}: cannot be written (No space left on device)")

    def read(*_: Any, **__: Any) -> None:
        pytest.fail("the whole log was read")

    monkeypatch.setattr(partitions.Task, "run", full)
    monkeypatch.setattr("segue.data.readers.staging.read", read)
    code, output = run(clicks, "--out", tmp_path / "disk", "--memory", "1GB")
    assert code == 2
    assert "No space left" in " ".join(output.split())
    assert not list(tmp_path.glob("disk*"))
