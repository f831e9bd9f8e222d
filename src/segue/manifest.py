"""Folders with a manifest, which holds their format and the SHA-256 checksum of every file.

The manifest marks a folder as written by segue: only a folder whose files are all listed in it is ever replaced.
"""

import hashlib
import platform
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import Annotated, Any, Generic, TypeVar
from zipfile import BadZipFile

import polars as pl
from pydantic import AfterValidator, BaseModel, Field, ValidationError
from safetensors import SafetensorError

from segue.errors import ArtifactError, ParameterError
from segue.storage import link_to, replacing_folder, write_errors
from segue.storage.filesystem import Kind, kind_of
from segue.storage.markers import found_there, read_marker
from segue.storage.scratch import entries, is_unfinished
from segue.strict_json import read_json, write_json

T = TypeVar("T")


def _require_inside(name: str) -> str:
    """Refuse a file name that is not a plain relative path, so that a manifest names only files of its folder."""
    if any(part in ("", ".", "..") for part in name.split("/")) or not name.isprintable() or set(name) & set("\\:"):
        raise ValueError(f"a relative path without '..', got {name!r}")
    return name


class Manifest(BaseModel):
    """Fields of every manifest; a format may add to them."""

    segue: str
    format: int = Field(ge=1, strict=True)
    sha256: dict[Annotated[str, AfterValidator(_require_inside)], Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]


ManifestT = TypeVar("ManifestT", bound=Manifest)


@dataclass(frozen=True, eq=False)
class FolderFormat(Generic[ManifestT]):
    """A kind of folder.

    Attributes:
        kind: what such a folder is, in the field ``segue`` of its manifest: no other program writes such a manifest.
        noun: name of such a folder in messages, with its article.
        content: name of its content in messages, with its article.
        file: name of the manifest, different for each kind.
        version: version of the layout; a newer one is refused.
        manifest: fields of the manifest.
        libraries: packages whose versions are recorded.
        origin: how to get such a folder, for messages.
        remedy: what to do about a damaged one, for messages.
        parts: files by which such a folder is recognised if its manifest is missing; may be empty.
    """

    kind: str
    noun: str
    content: str
    file: str
    version: int
    manifest: type[ManifestT]
    libraries: tuple[str, ...]
    origin: str
    remedy: str
    parts: tuple[str, ...] = ()

    def is_at(self, path: Path) -> bool:
        """Return whether a folder has a manifest of this kind, of any version; ``open`` checks that it is complete."""
        return read_marker(path / self.file, self.kind) is not None

    def lost_manifest(self, path: Path) -> str | None:
        """Say that a folder looks like one of this kind whose manifest is missing or damaged, if it does."""
        if not self.parts or self.is_at(path) or not all((path / name).is_file() for name in self.parts):
            return None
        return f"is {self.noun} whose {self.file} is {'damaged' if (path / self.file).exists() else 'missing'}"

    def obstacle(self, path: Path) -> str | None:
        """Say why a folder of this kind must not take the place of what is at a path, and what to do, if it must not.

        Raises:
            StorageError: the path cannot be read.
        """
        with write_errors(path):
            kind = kind_of(path)
            if kind is Kind.LINK:
                return f"is {link_to(path)}"
            if kind not in (Kind.NOTHING, Kind.FOLDER):
                return f"is {kind.value} and no folder; choose another name"
            if kind is Kind.FOLDER and not all(map(is_unfinished, path.iterdir())):
                return self._content_obstacle(path)
            return "is the working directory; name another folder" if path.resolve() == Path.cwd() else None

    def _content_obstacle(self, path: Path) -> str | None:
        if lost := self.lost_manifest(path):
            return f"{lost}; remove it, or choose another folder"
        marker = read_marker(path / self.file, self.kind)
        if marker is None:
            return "contains other files; choose another folder"
        if marker["format"] != self.version:
            return f"is {self.noun} of another version of segue; choose another folder"
        return found_there(self.foreign(path))

    def foreign(self, path: Path) -> list[str]:
        """List what is in a folder of this kind and not in its manifest, which has no links; not what is unfinished.

        Raises:
            OSError: the folder cannot be read.
        """
        marker = read_marker(path / self.file, self.kind)
        files = {self.file, *([] if marker is None else marker["sha256"])}
        folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
        own = {Kind.FILE: files, Kind.FOLDER: folders}
        return [kind.named(name) for name, kind in entries(path) if name not in own.get(kind, ())]

    def check_target(self, path: Path, option: str, *, overwrite: bool) -> None:
        """Refuse a path that a folder of this kind must not be written to.

        Args:
            path: the path.
            option: the option that names it, for messages.
            overwrite: whether a folder of this kind may be replaced.

        Raises:
            ParameterError: something else is there, or a folder of this kind that may not be replaced.
            StorageError: the path cannot be read.
        """
        problem = self.obstacle(path)
        if problem:
            raise ParameterError(f"{option}: {path} {problem}")
        if self.is_at(path) and not overwrite:
            raise ParameterError(
                f"{option}: {path} already contains {self.content}; add --overwrite to replace it, or choose another "
                "folder"
            )

    def write(self, path: Path, facts: Mapping[str, Any], write_files: Callable[[Path], None]) -> Path:
        """Write a folder atomically; it may replace one of this kind.

        Args:
            path: the folder.
            facts: JSON content of the manifest besides format, library versions and checksums.
            write_files: writes the files into a given folder.

        Raises:
            ArtifactError: ``path`` exists and is something else, or contains what segue did not write.
            StorageError: the write failed; the previous content of ``path`` is unchanged.
        """
        self._check(path)
        with replacing_folder(path) as scratch:
            write_files(scratch)
            files = sorted(file for file in scratch.rglob("*") if file.is_file())
            names = [file.relative_to(scratch).as_posix() for file in files]
            libraries = {"python": platform.python_version(), **{name: version(name) for name in self.libraries}}
            checksums = dict(zip(names, _checksums(files), strict=True))
            content = {"segue": self.kind, "format": self.version, **facts, "libraries": libraries, "sha256": checksums}
            write_json(scratch / self.file, content)
            self._check(path)
        return path

    def _check(self, path: Path) -> None:
        if problem := self.obstacle(path):
            raise ArtifactError(f"{path}: {problem}")

    def open(self, path: Path) -> "CheckedFolder[ManifestT]":
        """Read the manifest and compare every file with its checksum.

        Raises:
            ArtifactError: the folder is missing, foreign, damaged, or written by a newer version.
        """
        folder = CheckedFolder(path, self, self.read_manifest(path))
        files = {name: path / name for name in folder.manifest.sha256}
        for file in files.values():
            if not file.is_file():
                raise ArtifactError(f"{file}: is missing; {self.remedy}")
        found = self.attempt(path, lambda _: _checksums(list(files.values())))
        for (name, file), checksum in zip(files.items(), found, strict=True):
            if checksum != folder.manifest.sha256[name]:
                raise ArtifactError(f"{file}: does not match its checksum, so it is damaged; {self.remedy}")
        return folder

    def read_manifest(self, path: Path) -> ManifestT:
        """Read only the manifest.

        Raises:
            ArtifactError: the folder is missing or foreign, its manifest is damaged, or a newer version wrote it.
        """
        if not path.exists():
            raise ArtifactError(f"{path}: does not exist; {self.origin}")
        file = path / self.file
        if not file.is_file():
            if lost := self.lost_manifest(path):
                raise ArtifactError(f"{path}: {lost}; {self.remedy}")
            raise ArtifactError(f"{path}: is not {self.noun} of segue (it has no {self.file}); {self.origin}")
        content = self.attempt(file, read_json)
        try:
            manifest = self.manifest.model_validate(content)
        except ValidationError as error:
            raise ArtifactError(f"{file}: is not a manifest of segue, or is damaged; {self.remedy}") from error
        if manifest.segue != self.kind:
            raise ArtifactError(f"{file}: is not a manifest of {self.noun} of segue; {self.origin}")
        if manifest.format > self.version:
            raise ArtifactError(
                f"{path}: has format {manifest.format}, this version of segue reads up to {self.version}; upgrade segue"
            )
        return manifest

    def attempt(self, file: Path, parse: Callable[[Path], T]) -> T:
        """Read a file; what its reader raises on damage becomes an ``ArtifactError``."""
        try:
            return parse(file)
        except _READ_ERRORS as error:
            reason = str(error) or type(error).__name__
            raise ArtifactError(f"{file}: cannot be read ({reason}); {self.remedy}") from error


_READ_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    *(ArithmeticError, MemoryError, RecursionError),
    *(SafetensorError, TokenError, BadZipFile),  # The latter two are of the reader of .npy.
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,  # Of the Parquet reader; it is no Exception.
)
"""Errors of the readers of JSON, Parquet, .npy and safetensors on damaged files."""


@dataclass(frozen=True, eq=False)
class CheckedFolder(Generic[ManifestT]):
    """A folder whose files match their checksums.

    Attributes:
        path: the folder.
        format: its kind.
        manifest: its manifest.
    """

    path: Path
    format: FolderFormat[ManifestT]
    manifest: ManifestT

    def __contains__(self, name: str) -> bool:
        """Whether the folder has a file of this name."""
        return name in self.manifest.sha256

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum((self.path / name).stat().st_size for name in self.manifest.sha256)

    def read(self, name: str, parse: Callable[[Path], T]) -> T:
        """Read one file.

        Raises:
            ArtifactError: the file is missing or cannot be read.
        """
        file = self.path / name
        if name not in self:
            raise ArtifactError(f"{file}: is missing; {self.format.remedy}")
        return self.format.attempt(file, parse)


DATASET = FolderFormat(
    kind="data set",
    content="a data set",
    noun="a prepared data set",
    file="dataset.json",
    version=1,
    manifest=Manifest,
    libraries=("segue", "numpy", "polars"),
    origin="name a folder that segue prepare wrote",
    remedy="copy the whole folder again, or prepare the log again",
    parts=("about.json", "train/items.npy"),
)
"""The folder of a prepared data set."""

SCORES = FolderFormat(
    kind="scores",
    content="scores",
    noun="a folder of scores",
    file="scores.json",
    version=1,
    manifest=Manifest,
    libraries=("segue", "numpy", "polars"),
    origin="name a folder that segue score wrote",
    remedy="score the sessions again",
)
"""The folder of the best items of many sessions, in Parquet parts."""


def _checksums(files: list[Path]) -> list[str]:
    with ThreadPoolExecutor() as threads:  # Hashing releases the interpreter lock.
        return list(threads.map(_sha256, files))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
