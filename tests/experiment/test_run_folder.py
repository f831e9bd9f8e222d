"""The folder of a run: what is in the way, and what is removed."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import segue
from segue.artifact import EVERYTHING
from segue.data.synthetic import shop
from segue.errors import ParameterError
from segue.experiment.run_folder import (
    RESULTS,
    add_names,
    begin_folder,
    check_folder,
    output_folder,
    remove_checkpoints,
)
from segue.manifest import DATASET
from segue.storage.scratch import _PREFIX

SETTINGS = {"run": {"seed": 0}, "models": {"popularity": {}}}

KILLED = """
import os, signal, sys
from pathlib import Path
from segue.storage import replacing_folder
with replacing_folder(Path(sys.argv[1])) as scratch:
    (scratch / "config.json").write_text("{", encoding="utf-8")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Return the folder of a run that was killed while it saved its first model."""
    begin_folder(tmp_path, SETTINGS, ["popularity"], resume=False)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "popularity")], check=False)
    assert done.returncode == -signal.SIGKILL
    return tmp_path


@pytest.mark.parametrize("given", ["resume", "overwrite"])
def test_a_run_killed_in_its_first_save_can_be_gone_on_with_and_replaced(killed: Path, given: str) -> None:
    with pytest.raises(ParameterError, match="already contains a run; add --resume"):
        check_folder(killed, resume=False, overwrite=False)
    assert len(list(killed.iterdir())) == 2
    check_folder(killed, resume=given == "resume", overwrite=given == "overwrite")
    begin_folder(killed, SETTINGS, ["popularity"], resume=given == "resume")
    assert [path.name for path in killed.iterdir()] == ["run.json"]


def test_a_folder_with_nothing_but_what_a_killed_write_left_is_empty(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "run.json")], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    check_folder(tmp_path, resume=False, overwrite=False)
    begin_folder(tmp_path, SETTINGS, [], resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_run_json_lists_what_the_run_writes(tmp_path: Path) -> None:
    begin_folder(tmp_path, SETTINGS, ["popularity"], resume=False)
    first = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert (first["segue"], first["format"], first["run"]) == ("run", 1, {"seed": 0})
    assert {"run.json", "results.json", "cases", "popularity"} < set(first["files"])
    begin_folder(tmp_path, SETTINGS, ["markov", "tensorboard"], resume=True)
    added = set(json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["files"]) - set(first["files"])
    assert added == {"markov", "tensorboard"}


def test_what_was_half_written_below_is_removed(tmp_path: Path) -> None:
    begin_folder(tmp_path, SETTINGS, ["stan"], resume=False)
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "stan.parquet").touch()
    (tmp_path / "cases" / f"{_PREFIX}stan.parquet-01234567").mkdir()
    begin_folder(tmp_path, SETTINGS, ["stan"], resume=True)
    assert [path.name for path in (tmp_path / "cases").iterdir()] == ["stan.parquet"]
    begin_folder(tmp_path, SETTINGS, ["stan"], resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_what_was_finished_is_kept_to_go_on_with(killed: Path) -> None:
    (killed / RESULTS).write_text("{}", encoding="utf-8")
    (killed / "photo.jpg").touch()
    begin_folder(killed, SETTINGS, [], resume=True)
    assert {path.name for path in killed.iterdir()} == {RESULTS, "run.json", "photo.jpg"}
    begin_folder(killed, SETTINGS, [], resume=False)
    assert {path.name for path in killed.iterdir()} == {"run.json", "photo.jpg"}


def test_models_that_no_run_wrote_are_kept(tmp_path: Path) -> None:
    log, out = shop(300, 0), tmp_path / "run"
    segue.run(segue.RunConfig(log="shop.csv", models=["popularity"], baselines=False), out, events=log)
    segue.fit(log, like=out / "popularity", out=tmp_path / "production")
    (tmp_path / "production").rename(out / "production")
    segue.Popularity().fit(segue.prepare(log).train).save(out / "saved")
    segue.run(segue.RunConfig(log="shop.csv", models=["markov"], baselines=False), out, events=log, overwrite=True)
    assert not (out / "popularity").exists()
    assert segue.load(out / "markov").name == "markov"
    assert segue.load(out / "production").about["trained_on"] == EVERYTHING
    assert segue.load(out / "saved").name == "popularity"


def test_files_of_others_among_those_of_a_run_are_left_alone(tmp_path: Path) -> None:
    begin_folder(tmp_path, SETTINGS, ["popularity"], resume=False)
    for name in (
        "cases/popularity.parquet",
        "cases/mine.parquet",
        "checkpoints/a.safetensors",
        "checkpoints/notes.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(
        ParameterError, match=r"contains cases/mine\.parquet, checkpoints/notes.txt, which this run did not write"
    ):
        check_folder(tmp_path, resume=False, overwrite=True)
    remove_checkpoints(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["notes.txt"]


def test_a_link_in_place_of_the_folder_of_runs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to("nowhere")
    with pytest.raises(ParameterError, match=r"runs: must be a folder"), output_folder(None, "log"):
        pass
    assert (tmp_path / "runs").is_symlink()


UNREADABLE = {
    "a name twice": '"files": [], "files": ["run.json", "photos"]',
    "no JSON": '"files": ["run.json"], "note": NaN',
    "deep": f'"files": ["run.json"], "note": {"[" * 50_000}{"]" * 50_000}',
    "large": f'"files": ["run.json"], "note": "{" " * (16 << 20)}"',
}


@pytest.mark.parametrize("content", UNREADABLE)
def test_a_marker_that_is_no_strict_json_marks_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(f'{{"segue": "run", "format": 1, {UNREADABLE[content]}}}')
    for act in (
        lambda: check_folder(tmp_path, resume=False, overwrite=True),
        lambda: begin_folder(tmp_path, SETTINGS, [], resume=False),
        lambda: add_names(tmp_path, ["shop"]),
    ):
        with pytest.raises(
            ParameterError, match=r"contains other files: its run\.json is damaged, or not that of a run"
        ):
            act()
    marker = {"segue": "data set", "format": 1, "sha256": {}}
    (tmp_path / "dataset.json").write_text(f"{json.dumps(marker)[:-1]}, {UNREADABLE[content]}}}")
    assert DATASET.obstacle(tmp_path) == "contains other files; choose another folder"


def test_what_is_no_folder_is_called_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # Names of sockets are short.
    os.mkfifo("pipe")
    Path("file").touch()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for path, kind in (("pipe", "a pipe"), ("socket", "a socket"), ("file", "a file"), ("/dev/null", "a device")):
            said = f"is {kind} and no folder; choose another name"
            with pytest.raises(ParameterError, match=f"^--out: {path} {said}$"):
                check_folder(Path(path), resume=False, overwrite=True)
            with pytest.raises(ParameterError, match=f"^--out: {path} {said}$"):
                DATASET.check_target(Path(path), "--out", overwrite=True)
    begin_folder(Path("out"), SETTINGS, [], resume=False)
    Path("out/cases").mkdir()
    os.mkfifo("out/cases/popularity.parquet")
    with pytest.raises(ParameterError, match=r"contains cases/popularity\.parquet \(a pipe\), which this run did not"):
        check_folder(Path("out"), resume=False, overwrite=True)
