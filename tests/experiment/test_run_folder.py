"""The folder of a run: what is in the way, and what is removed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import segue
from segue.artifact import EVERYTHING
from segue.data.synthetic import shop
from segue.errors import ParameterError
from segue.experiment.run_folder import RESULTS, begin_folder, check_folder
from segue.storage.scratch import _PREFIX

KILLED = """
import os, signal, sys
from pathlib import Path
from segue.storage import replacing_folder
with replacing_folder(Path(sys.argv[1])) as scratch:
    (scratch / "config.json").write_text("{")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Return the folder of a run that was killed while it saved its first model."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "popularity")], check=False)
    assert done.returncode == -signal.SIGKILL
    return tmp_path


@pytest.mark.parametrize("given", ["resume", "overwrite"])
def test_a_run_killed_in_its_first_save_can_be_gone_on_with_and_replaced(killed: Path, given: str) -> None:
    with pytest.raises(ParameterError, match="already contains a run; add --resume"):
        check_folder(killed, resume=False, overwrite=False)
    check_folder(killed, resume=given == "resume", overwrite=given == "overwrite")
    begin_folder(killed, resume=given == "resume")
    assert list(killed.iterdir()) == []


def test_what_was_half_written_below_is_removed(tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "stan.parquet").touch()
    (tmp_path / "cases" / f"{_PREFIX}stan.parquet-x").mkdir()
    begin_folder(tmp_path, resume=True)
    assert [path.name for path in (tmp_path / "cases").iterdir()] == ["stan.parquet"]
    begin_folder(tmp_path, resume=False)
    assert list(tmp_path.iterdir()) == []


def test_what_was_finished_is_kept_to_go_on_with(killed: Path) -> None:
    (killed / RESULTS).write_text("{}")
    (killed / "photo.jpg").touch()
    begin_folder(killed, resume=True)
    assert {path.name for path in killed.iterdir()} == {RESULTS, "photo.jpg"}
    begin_folder(killed, resume=False)
    assert [path.name for path in killed.iterdir()] == ["photo.jpg"]


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
