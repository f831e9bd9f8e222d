"""The folder that a run writes."""

from dataclasses import dataclass
from pathlib import Path

from segue.artifact import EVERYTHING, Artifact, is_artifact
from segue.errors import ArtifactError, ParameterError
from segue.storage import make_folder, remove
from segue.storage.scratch import is_unfinished

RESULTS, REPORT, PAGE, BEGUN = "results.json", "report.md", "report.html", "begun.json"
CHECKPOINTS, ENVIRONMENT, CURVES, CASES = "checkpoints", "environment.json", "curves", "cases"
TENSORBOARD, MLFLOW = "tensorboard", "mlruns"


@dataclass(frozen=True)
class Layout:
    """What one command writes into its folder: what that is called, and the names of the files and folders."""

    noun: str
    names: frozenset[str]


RUN = Layout(
    "run",
    frozenset((RESULTS, REPORT, PAGE, BEGUN, CHECKPOINTS, ENVIRONMENT, CURVES, CASES, TENSORBOARD, MLFLOW)),
)


def check_folder(out: Path, *, resume: bool, overwrite: bool, layout: Layout = RUN) -> None:
    """Refuse to write over what is there, unless it is of the same kind and the user said so.

    Raises:
        ParameterError: the folder holds something.
    """
    if resume and overwrite:
        raise ParameterError("--resume: goes on with what --overwrite would replace; give one of them")
    if out.exists() and not out.is_dir():
        raise ParameterError(f"--out: must be a folder, and {out} is a file; choose another name")
    if not out.exists() or not any(out.iterdir()):
        return
    if not any(path.name in layout.names or is_unfinished(path) for path in out.iterdir()):
        raise ParameterError(f"--out: {out} holds other files; choose another folder")
    if not (resume or overwrite):
        raise ParameterError(
            f"--out: {out} holds a {layout.noun} already; add --resume to go on with it, --overwrite to replace it, "
            "or choose another folder"
        )


def begin_folder(out: Path, *, resume: bool, layout: Layout = RUN) -> None:
    """Make the folder ready for a run, or for what else writes into it; what an older one wrote is removed.

    Of one that is gone on with, only what it was writing when it was killed.

    Raises:
        StorageError: the write failed.
    """
    make_folder(out)
    for path in (*(out / CASES).glob("*"), *_written(out, layout)):
        if is_unfinished(path) or not resume:
            remove(path)


def is_begun(out: Path, layout: Layout = RUN) -> bool:
    """Say if a folder holds anything of a run, besides what was being written when it was killed."""
    return out.is_dir() and not all(is_unfinished(path) for path in _written(out, layout))


def next_folder(name: str) -> Path:
    """Return the first of runs/NAME-1, runs/NAME-2, ... that does not exist."""
    number = 1
    while (folder := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return folder


def _written(out: Path, layout: Layout) -> list[Path]:
    """List what a run wrote into a folder, and what it was writing when it was killed."""
    return [path for path in out.iterdir() if path.name in layout.names or _is_of_run(path) or is_unfinished(path)]


def _is_of_run(path: Path) -> bool:
    """Say if this is a model that a run wrote, and not one for production or one that was saved from Python."""
    if not is_artifact(path):
        return False
    try:
        about = Artifact.facts(path)
    except ArtifactError:  # Models are written at once, so this is damaged, or of a newer version.
        return False
    return "result" in about and about.get("trained_on") != EVERYTHING
