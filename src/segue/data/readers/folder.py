"""Folders: which file is the log, which is metadata, which is a part of a given split."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segue.data.ingest.columns import listed
from segue.data.readers.companion_files import metadata_beside
from segue.data.readers.formats import is_parquet
from segue.errors import LogError

PART_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train_full", "train", "training", "train_tr"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
}
"""Names of the files of a split, the preferred one first. A file is called so, or ends so after ``. _ -``."""

LOG_NAMES = ("events", "interactions", "clicks", "ratings", "item-views")
"""Names by which a log is known among other files, in the same way."""

_WHOLE_TRAINING = "train_full"
_COMPRESSED = {".gz", ".zst", ".zstd"}
_NO_LOG_NAMES = {"movies.dat", "users.dat", "movies.csv", "links.csv", "tags.csv"}
_NO_LOG_SUFFIXES = {".item", ".user", ".link", ".kg", ".net", ".md", ".rst", ".html", ".pdf"}
_NO_LOG_STARTS = ("readme", "license", "licence", ".", "_")


@dataclass(frozen=True)
class Layout:
    """What the files of a folder are.

    Attributes:
        parts: the files of each part of a split, or of the whole log under ``""``.
        notes: what was decided.
    """

    parts: Mapping[str, Sequence[Path]]
    notes: tuple[str, ...] = ()


def lay_out(folder: Path) -> Layout:
    """Decide what the files of a folder are.

    1. Files called train and test (or valid) are a given split. Where ``train_full`` is there, it is the whole
       training part, and smaller parts of it (``train_tr``, ``train_valid``) are left alone.
    2. Else, Parquet files alone are the pieces of one log, in order of their names.
    3. Else, the log is the only file that is no metadata or read-me, or the only one called like a log.

    Raises:
        LogError: none of these rules decides.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not _is_no_log(path))
    if not files:
        raise LogError(f"{folder}: holds no file that can be a log; name the file itself")
    chosen = {part: _first_called(files, names) for part, names in PART_NAMES.items()}
    if chosen["train"] and (chosen["test"] or chosen["valid"]):
        return _split_layout(folder, files, chosen)
    if len(files) > 1 and all(is_parquet(path) for path in files):
        return Layout({"": files})
    logs = files if len(files) == 1 else _first_called(files, LOG_NAMES)
    if len(logs) != 1:
        raise LogError(f"{folder}: holds several files that can be a log ({_names(files)}); name one of them")
    known = {logs[0], *(path for path, _ in metadata_beside(logs[0]))}
    unused = sorted(path for path in folder.iterdir() if path.is_file() and path not in known)
    return Layout({"": logs}, (f"folder: the log is {logs[0].name}{_not_read(unused)}",))


def _split_layout(folder: Path, files: Sequence[Path], chosen: Mapping[str, Sequence[Path]]) -> Layout:
    train = chosen["train"][0]
    whole = _is_called(train, _WHOLE_TRAINING)
    parts = {part: paths for part, paths in chosen.items() if paths and not (whole and part == "valid")}
    for part, paths in parts.items():
        if len(paths) > 1:
            raise LogError(f"{folder}: holds several files for the part {part} ({_names(paths)}); keep one of them")
    said = ", ".join(f"{part} is {paths[0].name}" for part, paths in parts.items())
    unused = [path for path in files if all(path not in paths for paths in parts.values())]
    return Layout(parts, (f"folder: a given split, {said}{_not_read(unused)}",))


def _first_called(files: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Return the files with the first of ``names`` that any file has."""
    for name in names:
        if found := [path for path in files if _is_called(path, name)]:
            return found
    return []


def _is_called(path: Path, name: str) -> bool:
    plain = path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path
    return re.search(rf"(^|[._-]){name}$", plain.stem, flags=re.IGNORECASE) is not None


def _is_no_log(path: Path) -> bool:
    name = path.name.lower()
    return name in _NO_LOG_NAMES or path.suffix.lower() in _NO_LOG_SUFFIXES or name.startswith(_NO_LOG_STARTS)


def _not_read(unused: Sequence[Path]) -> str:
    return f"; {_names(unused)} not read" if unused else ""


def _names(paths: Sequence[Path]) -> str:
    return listed([path.name for path in paths])
