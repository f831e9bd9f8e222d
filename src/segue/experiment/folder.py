"""The folder that a run writes."""

from pathlib import Path

from segue.errors import ParameterError

RESULTS, REPORT, CHECKPOINTS = "results.json", "report.md", "checkpoints"


def check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to write over what is there, unless it is a run and the user said so.

    Raises:
        ParameterError: the folder holds something.
    """
    if not out.exists() or resume:
        return
    if not out.is_dir():
        raise ParameterError(f"--out: must be a folder, and {out} is a file; choose another name")
    if (out / RESULTS).is_file() or (out / CHECKPOINTS).is_dir():
        if not overwrite:
            raise ParameterError(
                f"--out: {out} holds a run already; add --resume to go on with it, --overwrite to replace it, "
                "or choose another folder"
            )
    elif any(out.iterdir()):
        raise ParameterError(f"--out: {out} holds other files; choose another folder")


def next_folder(name: str) -> Path:
    """Return the first of runs/NAME-1, runs/NAME-2, ... that does not exist."""
    number = 1
    while (folder := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return folder
