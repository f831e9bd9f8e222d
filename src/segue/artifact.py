"""A fitted model as a folder: plain JSON, Parquet and safetensors, checked by SHA-256; no pickle.

manifest.json        format version, model name, facts about the training, library versions, checksums
config.json          the model's configuration
items.parquet        the vocabulary: raw id, support and metadata of each item, in index order
arrays.safetensors   the learnt arrays
optimizer.safetensors   what an update needs of the optimizer; only of some networks
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from segue.data.vocabulary import Vocabulary
from segue.data.vocabulary_file import read_vocabulary, write_vocabulary
from segue.manifest import FolderFormat, Manifest
from segue.storage import read_unchanged
from segue.strict_json import digest, read_object, write_json

FORMAT = 1
"""Version of the folder's layout; a reader refuses a newer one."""

EVERYTHING = "everything"
"""``about["trained_on"]`` of a model that was trained on a whole log, with nothing held out."""

_CONFIG, _ITEMS, _ARRAYS, _OPTIMIZER = "config.json", "items.parquet", "arrays.safetensors", "optimizer.safetensors"


class _Manifest(Manifest):
    model: str
    about: dict[str, Any]


ARTIFACT = FolderFormat(
    kind="artifact",
    noun="an artifact",
    content="a model",
    file="manifest.json",
    version=FORMAT,
    manifest=_Manifest,
    libraries=("segue", "numpy", "polars", "torch", "safetensors"),
    origin="name the folder of a model that a run wrote",
    remedy="copy the whole folder again, or train the model again",
)
"""The folder of a model."""


@dataclass(frozen=True, eq=False)
class Artifact:
    """The content of a saved model.

    Attributes:
        model: name of the model in the registry.
        config: its parameters.
        vocabulary: the items it can recommend.
        arrays: what it learnt.
        about: facts about the training, for example the protocol and its hash.
        optimizer_state: what an update needs of the optimizer, by name; may be empty.
        version: hash of the manifest that was read, which lists the checksums of all files; empty if none was.
    """

    model: str
    config: Mapping[str, Any]
    vocabulary: Vocabulary
    arrays: Mapping[str, np.ndarray]
    about: Mapping[str, Any] = field(default_factory=dict)
    optimizer_state: Mapping[str, np.ndarray] = field(default_factory=dict)
    version: str = ""

    def write(self, path: Path) -> Path:
        """Write the folder atomically; an artifact that is already there is replaced.

        Raises:
            ArtifactError: ``path`` exists and is not an artifact, or contains what segue did not write.
            StorageError: the write failed; what was at ``path`` is still there.
        """
        return ARTIFACT.write(path, {"model": self.model, "about": self.about}, self._write_files)

    def _write_files(self, folder: Path) -> None:
        write_json(folder / _CONFIG, self.config)
        write_vocabulary(self.vocabulary, folder / _ITEMS)
        for file, arrays in ((_ARRAYS, self.arrays), (_OPTIMIZER, self.optimizer_state)):
            if arrays or file == _ARRAYS:
                save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / file)
                # safetensors lets nobody but the writer read; a service may run as another user.
                shutil.copymode(folder / _CONFIG, folder / file)

    @classmethod
    def facts(cls, path: Path) -> Mapping[str, Any]:
        """Return ``about`` of a folder, without reading or checking the rest of it.

        Raises:
            ArtifactError: it is not an artifact, or its manifest is damaged.
        """
        return ARTIFACT.read_manifest(path).about

    @classmethod
    def read(cls, path: Path) -> "Artifact":
        """Read a folder that ``write`` wrote; if it is replaced meanwhile, the new one is read.

        Raises:
            ArtifactError: it is missing, foreign, damaged, or written by a newer version.
        """
        return read_unchanged(path, cls._read)

    @classmethod
    def _read(cls, path: Path) -> "Artifact":
        folder = ARTIFACT.open(path)
        vocabulary = read_vocabulary(folder, _ITEMS)
        arrays = folder.read(_ARRAYS, load_file)
        state = folder.read(_OPTIMIZER, load_file) if _OPTIMIZER in folder else {}
        config = folder.read(_CONFIG, read_object)
        manifest = folder.manifest
        version = ARTIFACT.attempt(path / ARTIFACT.file, lambda _: digest(manifest.model_dump()))
        return cls(manifest.model, config, vocabulary, arrays, manifest.about, state, version)


def is_artifact(path: Path) -> bool:
    """Say whether a folder looks like an artifact; reading it shows whether it is whole."""
    return ARTIFACT.is_at(path)
