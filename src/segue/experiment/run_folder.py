"""The folder of a run: what it may be written into, and what of it is removed.

run.json marks the folder: it lists the files and folders that the run writes, before they are written. Nothing else in
the folder is ever changed, and a folder without it is left alone.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from segue.artifact import ARTIFACT, EVERYTHING, Artifact
from segue.errors import ArtifactError, ParameterError, StorageError
from segue.manifest import FolderFormat
from segue.storage import link_to, make_folder, remove, write_errors, write_text
from segue.storage.claims import claimed
from segue.storage.filesystem import Kind, kind_of
from segue.storage.markers import found_there, read_marker
from segue.storage.scratch import entries, is_unfinished, sweep
from segue.strict_json import dumps

RESULTS, REPORT, PAGE, SETTINGS = "results.json", "report.md", "report.html", "run.json"
CHECKPOINTS, ENVIRONMENT, CURVES, CASES = "checkpoints", "environment.json", "curves", "cases"
TENSORBOARD, MLFLOW = "tensorboard", "mlruns"
BEST = "best.json"
"""What ``segue best`` has found."""
SHOP = "shop"
"""Folder of the log of ``segue demo``."""

FORMAT = 1
"""Version of run.json and of the folder's layout."""

FILE: tuple[str, ...] = ()
"""Stands for a file among the parts of a folder, where a folder has the patterns of its content."""
LABEL = "<label>"
"""Stands for a model of the folder in the patterns of its files."""
CHECKPOINT_FILES = (r"[^/]+\.safetensors[^/]*",)


@dataclass(frozen=True)
class FolderKind:
    """The content of the folder of a command.

    Attributes:
        noun: what it contains, for messages.
        parts: regular expressions of what is in each of its folders, by the name of the folder, or the format of the
            folder; ``FILE`` for a file. Other names are those of models.
        always: the parts that every such folder may contain.
    """

    noun: str
    parts: Mapping[str, tuple[str, ...] | FolderFormat[Any]]
    always: frozenset[str]


_NOUNS = ("run", "search")
"""What folders with a run.json contain."""

RUN = FolderKind(
    "run",
    {
        **dict.fromkeys((RESULTS, REPORT, PAGE, SETTINGS, ENVIRONMENT), FILE),
        CHECKPOINTS: CHECKPOINT_FILES,
        CURVES: (rf"{LABEL}\.jsonl",),
        CASES: (rf"{LABEL}\.parquet",),
        TENSORBOARD: (r"[^/]+/", r"[^/]+/events\.out\.tfevents\.[^/]+"),
        MLFLOW: (r"[^/]+\.json", r"mlflow\.db(-[a-z]+)?", r"artifacts/.*"),
        BEST: FILE,
        SHOP: (r"(visits|products)\.csv",),
    },
    frozenset((RESULTS, REPORT, PAGE, SETTINGS, ENVIRONMENT, CHECKPOINTS, CURVES, CASES)),
)


@contextmanager
def claimed_folder(out: Path, command: str, *, resume: bool, overwrite: bool, kind: FolderKind = RUN) -> Iterator[None]:
    """Claim the folder of a run until it is written; see ``check_folder`` and ``segue.storage.claims.claimed``."""
    with claimed(out, command, partial(check_folder, out, resume=resume, overwrite=overwrite, kind=kind)):
        yield


def check_folder(out: Path, *, resume: bool, overwrite: bool, kind: FolderKind = RUN) -> None:
    """Refuse to write into a folder that is not empty, unless it is of the same kind and may be resumed or replaced.

    Raises:
        ParameterError: the folder must not be written.
        StorageError: it cannot be read.
    """
    if resume and overwrite:
        raise ParameterError("--resume: cannot be combined with --overwrite; give one of them")
    with write_errors(out):
        found = kind_of(out)
        if found is Kind.LINK:
            raise ParameterError(f"--out: {out} is {link_to(out)}")
        if found not in (Kind.NOTHING, Kind.FOLDER):
            raise ParameterError(f"--out: {out} is {found.value} and no folder; choose another name")
        names = () if found is Kind.NOTHING else [path.name for path in out.iterdir() if not is_unfinished(path)]
    if not names:
        return
    if SETTINGS not in names:
        own = any(name in kind.parts for name in names)
        why = f"contains files of a {kind.noun} and no {SETTINGS}, so segue cannot tell which of them it wrote"
        raise ParameterError(f"--out: {out} {why if own else 'contains other files'}; choose another folder")
    listed = _listed(out, kind)
    if not (resume or overwrite):
        raise ParameterError(
            f"--out: {out} already contains a {kind.noun}; add --resume to continue it, --overwrite to replace it, "
            "or choose another folder"
        )
    _refuse(out, _foreign(out, listed, kind), kind)


def begin_folder(
    out: Path, settings: Mapping[str, Any], names: Collection[str], *, resume: bool, kind: FolderKind = RUN
) -> None:
    """Create the folder, remove the files of an older run unless it is resumed, and write run.json.

    Args:
        out: the folder.
        settings: what the run was started with.
        names: files and folders that the run writes, besides those that every such run writes.
        resume: keep the files of the older run.
        kind: what is written.

    Raises:
        ParameterError: the folder contains something by one of these names, or among them, that segue did not write;
            nothing has been changed.
        StorageError: the write failed.
    """
    make_folder(out)
    listed = _listed(out, kind) if kind_of(out / SETTINGS) is not Kind.NOTHING else set()
    names = {*names, *kind.always}
    with write_errors(out):
        present = {path.name for path in out.iterdir()}
        _refuse(
            out, sorted({name for name in names - listed if name in present} | set(_foreign(out, listed, kind))), kind
        )
        for folder in (out, *(out / name for name in listed if kind_of(out / name) is Kind.FOLDER)):
            sweep(folder)
    for name in sorted(() if resume else listed - {SETTINGS}):
        if kind_of(out / name) is not Kind.NOTHING:
            remove(out / name)
    _write_marker(out, settings, names | (listed if resume else set()), kind)


@contextmanager
def output_folder(out: Path | None, name: str) -> Iterator[Path]:
    """Yield a given folder, or else the first of runs/NAME-1, runs/NAME-2, ... that does not exist, which is created.

    No other process gets the same one. At the end it is removed if it is empty.

    Raises:
        StorageError: the folder cannot be created.
    """
    if out is not None:
        yield out
        return
    runs, number = Path("runs"), 1
    made = [] if runs.exists() else [runs]
    if kind_of(runs) not in (Kind.NOTHING, Kind.FOLDER) and not runs.is_dir():
        raise ParameterError(f"{runs}: must be a folder, to write {name}-1 into it; remove it, or name another --out")
    make_folder(runs)
    while True:
        folder = runs / f"{name}-{number}"
        try:
            with write_errors(folder):
                folder.mkdir()
            break
        except StorageError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            number += 1
    try:
        yield folder
    finally:
        for one in (folder, *made):
            with suppress(OSError):
                one.rmdir()


def add_names(out: Path, names: Collection[str], kind: FolderKind = RUN) -> None:
    """Enter further files or folders of a finished run in its run.json, before they are written.

    Raises:
        ParameterError: they are there, and the run did not write them.
        StorageError: the write failed.
    """
    listed = _listed(out, kind)
    _refuse(out, sorted(name for name in names if name not in listed and kind_of(out / name) is not Kind.NOTHING), kind)
    _write_marker(out, read_marker(out / SETTINGS, kind.noun) or {}, listed | set(names), kind)


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run, finished or not."""
    return read_marker(folder / SETTINGS, RUN.noun) is not None


def _write_marker(out: Path, settings: Mapping[str, Any], names: Collection[str], kind: FolderKind) -> None:
    marker = {"segue": kind.noun, "format": FORMAT, "files": sorted(names)}
    write_text(out / SETTINGS, dumps({**marker, **settings} | marker, indent=2) + "\n")


def _listed(out: Path, kind: FolderKind) -> set[str]:
    """Return the files and folders that a run has entered in its run.json.

    Raises:
        ParameterError: run.json is missing, damaged, or that of another kind of folder or of another version.
    """
    marker = read_marker(out / SETTINGS, kind.noun)
    other = next((noun for noun in _NOUNS if noun != kind.noun and read_marker(out / SETTINGS, noun)), None)
    if other is not None:
        raise ParameterError(f"--out: {out} contains a {other}, not a {kind.noun}; choose another folder")
    if marker is None or kind_of(out / SETTINGS) is Kind.LINK:
        raise ParameterError(
            f"--out: {out} contains other files: its {SETTINGS} is damaged, or not that of a {kind.noun} of segue; "
            "choose another folder"
        )
    if marker["format"] != FORMAT:
        raise ParameterError(
            f"--out: {out} contains a {kind.noun} of another version of segue (format {marker['format']}, this version "
            f"writes {FORMAT}); choose another folder"
        )
    names = marker.get("files")
    if not isinstance(names, list) or not all(isinstance(name, str) and _is_name(name) for name in names):
        raise ParameterError(f"--out: {out / SETTINGS} is damaged (files); choose another folder")
    return set(names)


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0", ":"}


def _refuse(out: Path, names: list[str], kind: FolderKind) -> None:
    if problem := found_there(names, f"this {kind.noun}"):
        raise ParameterError(f"--out: {out} {problem}")


def _foreign(out: Path, listed: Collection[str], kind: FolderKind) -> list[str]:
    """List what is in a folder by a name that the run has entered, or in a folder of that name, and not of the run."""
    labels = "|".join(re.escape(name) for name in sorted(listed) if name not in kind.parts)
    found: list[str] = []
    with write_errors(out):
        for name in sorted(listed):
            part = kind.parts.get(name)
            if isinstance(part, tuple):
                part = tuple(one.replace(LABEL, f"({labels})") for one in part)
            found += _foreign_in(out, name, part)
    return found


def remove_checkpoints(out: Path) -> None:
    """Remove the checkpoints of a run, and their folder if nothing else is in it.

    Raises:
        StorageError: a file cannot be removed.
    """
    folder = out / CHECKPOINTS
    with write_errors(folder):
        for name, kind in entries(folder) if kind_of(folder) is Kind.FOLDER else ():
            if kind is Kind.FILE and any(re.fullmatch(one, name) for one in CHECKPOINT_FILES):
                (folder / name).unlink()
    with suppress(OSError):
        folder.rmdir()


def _foreign_in(out: Path, name: str, part: tuple[str, ...] | FolderFormat[Any] | None) -> Iterator[str]:
    found = kind_of(out / name)
    if found is Kind.NOTHING or (found is Kind.FILE and part == FILE):
        return
    if found is not Kind.FOLDER or part == FILE:
        yield found.named(name)
    elif part is None or isinstance(part, FolderFormat):
        known = _is_of_run(out / name) if part is None else part.is_at(out / name)
        inside = (part or ARTIFACT).foreign(out / name)
        yield from (f"{name}/{inner}" for inner in inside) if known else [name]
    else:
        for inner, inner_kind in entries(out / name):
            written = inner + "/" * (inner_kind is Kind.FOLDER)
            known = inner_kind in (Kind.FILE, Kind.FOLDER) and any(re.fullmatch(one, written) for one in part)
            if not known:
                yield inner_kind.named(f"{name}/{inner}")


def _is_of_run(path: Path) -> bool:
    """Return whether a run wrote this model; production models and models saved in Python are kept."""
    try:
        about = Artifact.facts(path)
    except ArtifactError:  # Models are written atomically, so this one is damaged, or of another version.
        return False
    return "result" in about and about.get("trained_on") != EVERYTHING
