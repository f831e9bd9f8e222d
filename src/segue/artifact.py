"""A fitted model as a folder: plain JSON, Parquet and safetensors, checked by SHA-256; no pickle.

manifest.json        format version, model name, facts about the training, library versions, checksums
config.json          the model's configuration
items.parquet        the vocabulary: raw id, support and metadata of each item, in index order
arrays.safetensors   the learnt arrays
"""

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from segue.data.vocabulary import Vocabulary
from segue.errors import ArtifactError
from segue.storage import read_unchanged, replacing_folder

FORMAT = 1
"""Version of the folder's layout; a reader refuses a newer one."""

T = TypeVar("T")

_MANIFEST, _CONFIG, _ITEMS, _ARRAYS = "manifest.json", "config.json", "items.parquet", "arrays.safetensors"
_LIBRARIES = ("segue", "numpy", "polars", "torch", "safetensors")


@dataclass(frozen=True, eq=False)
class Artifact:
    """What a fitted model leaves behind.

    Attributes:
        model: name of the model in the catalog.
        config: its parameters.
        vocabulary: the items it can recommend.
        arrays: what it learnt.
        about: facts about the training, for example the protocol and its hash.
    """

    model: str
    config: Mapping[str, Any]
    vocabulary: Vocabulary
    arrays: Mapping[str, np.ndarray]
    about: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """Write the folder, whole or not at all; an artifact that is already there is replaced.

        Raises:
            ArtifactError: ``path`` exists and is no artifact.
            StorageError: the disk refused; what was at ``path`` is still there.
        """
        if path.exists() and not is_artifact(path) and not _is_empty_folder(path):
            raise ArtifactError(f"{path}: exists and is no artifact of segue; choose another folder")
        with replacing_folder(path) as scratch:
            self._write_files(scratch)
        return path

    def _write_files(self, folder: Path) -> None:
        _write_json(folder / _CONFIG, self.config)
        self.vocabulary.table.write_parquet(folder / _ITEMS)
        save_file({name: np.ascontiguousarray(array) for name, array in self.arrays.items()}, folder / _ARRAYS)
        # safetensors lets nobody but the writer read; a service may run as another user.
        shutil.copymode(folder / _CONFIG, folder / _ARRAYS)
        manifest = {
            "format": FORMAT,
            "model": self.model,
            "about": self.about,
            "libraries": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
            "sha256": {name: _sha256(folder / name) for name in (_CONFIG, _ITEMS, _ARRAYS)},
        }
        _write_json(folder / _MANIFEST, manifest)

    @classmethod
    def read(cls, path: Path) -> "Artifact":
        """Read a folder that ``write`` wrote; if it is replaced meanwhile, the new one is read.

        Raises:
            ArtifactError: it is missing, foreign, damaged, or written by a newer version.
        """
        return read_unchanged(path, cls._read)

    @classmethod
    def _read(cls, path: Path) -> "Artifact":
        manifest = _manifest(path)
        for name in (_CONFIG, _ITEMS, _ARRAYS):
            file = path / name
            if not file.is_file():
                raise ArtifactError(f"{file}: is missing from the artifact; copy the whole folder again")
            if _parsed(file, _sha256) != manifest.sha256.get(name):
                raise ArtifactError(f"{file}: does not match its checksum, so it is damaged; copy or train it again")
        table = _parsed(path / _ITEMS, pl.read_parquet)
        arrays = _parsed(path / _ARRAYS, load_file)
        config = _parsed(path / _CONFIG, _read_json)
        return cls(manifest.model, config, Vocabulary(table), arrays, manifest.about)


def is_artifact(path: Path) -> bool:
    """Say whether a folder looks like an artifact; reading it shows whether it is whole."""
    return (path / _MANIFEST).is_file()


class _Manifest(BaseModel):
    """What is read from a manifest."""

    format: int
    model: str
    about: dict[str, Any]
    sha256: dict[str, str]


def _manifest(path: Path) -> _Manifest:
    if not is_artifact(path):
        raise ArtifactError(f"{path}: is no artifact of segue (it has no {_MANIFEST}); name a folder that a run wrote")
    file = path / _MANIFEST
    content = _parsed(file, _read_json)
    try:
        manifest = _Manifest.model_validate(content)
    except ValidationError as error:
        raise ArtifactError(f"{file}: is no manifest of segue, or a damaged one; copy or train it again") from error
    if manifest.format > FORMAT:
        raise ArtifactError(
            f"{path}: has format {manifest.format}, this version of segue reads up to {FORMAT}; upgrade segue"
        )
    return manifest


def _parsed(file: Path, parse: Callable[[Path], T]) -> T:
    try:
        return parse(file)
    except (OSError, ValueError, SafetensorError, pl.exceptions.PolarsError) as error:
        raise ArtifactError(f"{file}: cannot be read ({error}); copy or train the artifact again") from error


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")


def _read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
