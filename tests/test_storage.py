import json
import subprocess
import sys
from pathlib import Path

import pytest

from segue.errors import StorageError
from segue.storage import replacing_file, replacing_folder, write_text

FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np, polars as pl
from segue.artifact import Artifact
from segue.data.vocabulary import Vocabulary
from segue.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
table = pl.DataFrame({"item": [1, 2], "support": [3, 4]})
artifact = Artifact("toy", {}, Vocabulary(table), {"w": np.full(100_000, 2.0)})
try:
    artifact.write(Path(sys.argv[1]))
except StorageError as error:
    print(error)
"""


def test_a_text_is_written_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "a.txt", "first")
    write_text(tmp_path / "deep" / "a.txt", "second")
    assert (tmp_path / "deep" / "a.txt").read_text() == "second"
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["a.txt"]
    (tmp_path / "plain").touch()
    assert (tmp_path / "deep" / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail() -> None:
        with replacing_file(file) as scratch:
            scratch.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left on device"):
        fail()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with replacing_folder(folder) as scratch:
        (scratch / "one").write_text("1")
    with replacing_folder(folder) as scratch:
        (scratch / "two").write_text("2")
    assert [file.name for file in folder.iterdir()] == ["two"]

    def fail() -> None:
        with replacing_folder(folder) as scratch:
            (scratch / "three").write_text("3")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert [file.name for file in folder.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("moment", ["before", "between", "after"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_folder_is_there_whenever_its_replacement_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException, moment: str
) -> None:
    folder, rename = tmp_path / "model", Path.rename
    with replacing_folder(folder) as scratch:
        (scratch / "old").touch()

    def interrupted(self: Path, target: Path) -> None:
        monkeypatch.setattr(Path, "rename", rename)
        if moment != "before":
            rename(self, target)
        if moment == "after":
            rename(target.with_name("new"), folder)
        raise stop

    def replace() -> None:
        with replacing_folder(folder) as scratch:
            (scratch / "new").touch()
            monkeypatch.setattr(Path, "rename", interrupted)

    with pytest.raises((KeyboardInterrupt, StorageError)):
        replace()
    assert [file.name for file in folder.iterdir()] == ["new" if moment == "after" else "old"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"results\.json: cannot be written"):
        write_text(tmp_path / "file" / "results.json", json.dumps({}))


def test_a_full_disk_leaves_no_half_artifact(tmp_path: Path) -> None:
    target = tmp_path / "model"
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(target)], capture_output=True, text=True, check=True)
    assert f"{target}: cannot be written" in done.stdout
    assert "Free some space" in done.stdout
    assert list(tmp_path.iterdir()) == []
