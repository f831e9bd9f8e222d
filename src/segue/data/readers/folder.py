"""Selects the files of a folder: the log, the parts of a predefined split, and the metadata of a log."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segue.data.events import ITEM, PARTS, USER
from segue.data.ingest.columns import is_alias, quoted
from segue.data.readers.formats import is_parquet
from segue.data.readers.text import TextFile
from segue.errors import LogError

PART_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train_full", "train", "training", "train_tr"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
}
"""File names of the parts of a split, the preferred one first. A file name matches if it equals one, or ends with it
after ``. _ -``."""

LOG_NAMES = ("events", "interactions", "clicks", "ratings", "item-views")
"""File names of a log among other files, matched in the same way."""

_MAX_NAMES = 5
_FULL_TRAINING = "train_full"
_COMPRESSED = {".gz", ".zst", ".zstd"}
_OTHER_NAMES = {"movies.dat", "users.dat", "movies.csv", "links.csv", "tags.csv"}
_OTHER_SUFFIXES = {".item", ".user", ".link", ".kg", ".net", ".md", ".rst", ".html", ".pdf"}
_OTHER_PREFIXES = ("readme", "license", "licence", ".", "_")

_COMPANIONS = {
    "ratings.dat": (("movies.dat", ITEM), ("users.dat", USER)),
    "ratings.csv": (("movies.csv", ITEM),),
}
_PART_SUFFIX = re.compile(rf"\.({'|'.join(PARTS)})$")


@dataclass(frozen=True)
class LogFiles:
    """The files of a log.

    Attributes:
        parts: the files of each part of a split, or of the whole log under ``""``.
        notes: what was selected.
    """

    parts: Mapping[str, Sequence[Path]]
    notes: tuple[str, ...] = ()


def find_log_files(folder: Path) -> LogFiles:
    """Select the files of the log in a folder.

    1. Files called train and test (or valid) are a predefined split. ``train_full`` is the whole training part; smaller
       parts of it (``train_tr``, ``train_valid``) are ignored then.
    2. Otherwise, files that are all Parquet, or all begin with the same header, are the pieces of one log, in order of
       their names.
    3. Otherwise, the log is the only file that is neither metadata nor documentation, or the only one called like a
       log.

    Raises:
        LogError: no rule applies.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not _is_other(path))
    if not files:
        raise LogError(f"{folder}: contains no file that can be a log; name the file itself")
    matches = {part: _first_match(files, names) for part, names in PART_NAMES.items()}
    if matches["train"] and (matches["test"] or matches["valid"]):
        return _given_split(folder, files, matches)
    if _are_pieces(files):
        return LogFiles({"": files})
    logs = files if len(files) == 1 else _first_match(files, LOG_NAMES)
    if len(logs) != 1:
        raise LogError(
            f"{folder}: contains several files that can be a log ({_names(files[:_MAX_NAMES])}"
            + (f" and {len(files) - _MAX_NAMES:,} more" if len(files) > _MAX_NAMES else "")
            + f"); name one of them, or the pieces of one log by a pattern such as '{folder}/*{files[0].suffix}'"
        )
    used = {logs[0], *(path for path, _ in find_metadata_files(logs[0]))}
    unused = sorted(path for path in folder.iterdir() if path.is_file() and path not in used)
    return LogFiles({"": logs}, (f"folder: the log is {logs[0].name}{_not_read(unused)}",))


def find_metadata_files(log: Path) -> Iterator[tuple[Path, str]]:
    """Yield the metadata files next to a log, with what each describes (``"item"`` or ``"user"``).

    Only known names count: equal ids in another file need not mean equal items.
    """
    known = list(_COMPANIONS.get(log.name, ()))
    if log.suffix == ".inter":
        name = _PART_SUFFIX.sub("", log.stem)
        known = [(f"{name}.item", ITEM), (f"{name}.user", USER)]
    for name, role in known:
        path = log.with_name(name)
        if path.is_file():
            yield path, role


def find_pieces(pattern: Path) -> LogFiles | None:
    """Return the files that match a pattern such as ``logs/2026-*.csv``, as the pieces of one log; None without one."""
    if not any(mark in pattern.name for mark in "*?["):
        return None
    files = sorted(path for path in pattern.parent.glob(pattern.name) if path.is_file())
    return LogFiles({"": files}) if files else None


def _are_pieces(files: Sequence[Path]) -> bool:
    """Whether several files are all Parquet, or text that begins with the same names of columns."""
    if len(files) < 2:
        return False
    parquet = [is_parquet(path) for path in files]
    if any(parquet):
        return all(parquet)
    first, *others = map(_first_line, files)
    named = sum(map(is_alias, re.split(r"::|[,;\t|]", first))) > 1
    return named and all(line == first for line in others)


def _first_line(path: Path) -> str:
    """Return the first line of a file; nothing of a file that is not text."""
    try:
        return TextFile(path).head[0].strip()
    except LogError:
        return ""


def _given_split(folder: Path, files: Sequence[Path], matches: Mapping[str, Sequence[Path]]) -> LogFiles:
    full = _is_called(matches["train"][0], _FULL_TRAINING)
    parts = {part: paths for part, paths in matches.items() if paths and not (full and part == "valid")}
    for part, paths in parts.items():
        if len(paths) > 1:
            raise LogError(f"{folder}: contains several files for the part {part} ({_names(paths)}); keep one of them")
    selected = ", ".join(f"{part} is {paths[0].name}" for part, paths in parts.items())
    unused = [path for path in files if all(path not in paths for paths in parts.values())]
    return LogFiles(parts, (f"folder: a predefined split, {selected}{_not_read(unused)}",))


def _first_match(files: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Return the files called like the first of ``names`` that any file matches."""
    for name in names:
        if found := [path for path in files if _is_called(path, name)]:
            return found
    return []


def _is_called(path: Path, name: str) -> bool:
    plain = path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path
    return re.search(rf"(^|[._-]){name}$", plain.stem, flags=re.IGNORECASE) is not None


def _is_other(path: Path) -> bool:
    """Whether a file is metadata or documentation."""
    name = path.name.lower()
    return name in _OTHER_NAMES or path.suffix.lower() in _OTHER_SUFFIXES or name.startswith(_OTHER_PREFIXES)


def _not_read(unused: Sequence[Path]) -> str:
    return f"; {_names(unused)} not read" if unused else ""


def _names(paths: Sequence[Path]) -> str:
    return quoted([path.name for path in paths])
