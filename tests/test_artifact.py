import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from segue.artifact import FORMAT, Artifact
from segue.data.vocabulary import Vocabulary
from segue.errors import ArtifactError


@pytest.fixture
def artifact() -> Artifact:
    table = pl.DataFrame({"item": ["ä", "b c"], "support": [3, 4], "name": ["Ärmel", None]})
    arrays = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "when": np.array(7, dtype=np.int64)}
    return Artifact("toy", {"size": 3}, Vocabulary(table), arrays, {"protocol": {"hash": "abc"}})


def test_what_was_written_is_read(artifact: Artifact, tmp_path: Path) -> None:
    again = Artifact.read(artifact.write(tmp_path / "toy"))
    assert (again.model, again.config, again.about) == ("toy", {"size": 3}, {"protocol": {"hash": "abc"}})
    assert again.vocabulary.table.equals(artifact.vocabulary.table)
    np.testing.assert_array_equal(again.arrays["weights"], artifact.arrays["weights"])
    assert again.arrays["when"] == 7


def test_the_manifest_names_versions_and_checksums(artifact: Artifact, tmp_path: Path) -> None:
    manifest = json.loads((artifact.write(tmp_path / "toy") / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["format"] == FORMAT
    assert {"segue", "numpy", "torch", "python"} <= manifest["libraries"].keys()
    assert set(manifest["sha256"]) == {"config.json", "items.parquet", "arrays.safetensors"}


@pytest.mark.parametrize("name", ["config.json", "items.parquet", "arrays.safetensors"])
def test_a_damaged_file_is_named(artifact: Artifact, tmp_path: Path, name: str) -> None:
    folder = artifact.write(tmp_path / "toy")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=rf"{name}: does not match its checksum"):
        Artifact.read(folder)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: is missing"):
        Artifact.read(folder)


def test_foreign_folders_and_newer_formats_are_refused(artifact: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not an artifact of segue"):
        Artifact.read(tmp_path)
    folder = artifact.write(tmp_path / "toy")
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**content, "format": FORMAT + 1}), encoding="utf-8")
    with pytest.raises(ArtifactError, match="upgrade segue"):
        Artifact.read(folder)
    manifest.write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match="cannot be read"):
        Artifact.read(folder)
    for foreign in ("[]", '{"sha256": []}', json.dumps({**content, "format": "new"})):
        manifest.write_text(foreign, encoding="utf-8")
        with pytest.raises(ArtifactError, match="is not a manifest"):
            Artifact.read(folder)


def test_whoever_may_read_the_folder_may_read_its_files(artifact: Artifact, tmp_path: Path) -> None:
    folder = artifact.write(tmp_path / "toy")
    (tmp_path / "plain").touch()
    assert {file.stat().st_mode for file in folder.iterdir()} == {(tmp_path / "plain").stat().st_mode}


def test_a_folder_that_is_no_artifact_is_never_replaced(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("precious", encoding="utf-8")
    with pytest.raises(ArtifactError, match="choose another folder"):
        artifact.write(tmp_path / "photos")
    assert (tmp_path / "photos" / "a.jpg").read_text(encoding="utf-8") == "precious"
