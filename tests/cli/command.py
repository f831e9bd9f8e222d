"""Runs the command line inside this process, as a shell would."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from segue.cli.main import main
from segue.data.synthetic import shop

SMALL = ("--set", "gru4rec.training.epochs=1", "--set", "gru4rec.hidden_size=8")
"""Parameters that make GRU4Rec quick."""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def segue(*arguments: object) -> Outcome:
    """Run one command on a terminal of 80 columns; what is no message and exit code is raised."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["segue", *map(str, arguments)])
        patch.setenv("COLUMNS", "80")
        patch.delenv("SEGUE_DATA", raising=False)
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    assert isinstance(code, int)
    return Outcome(code, out.getvalue(), err.getvalue())


def write_shop(path: Path, sessions: int = 1500, seed: int = 0) -> Path:
    """Write the log of a generated shop."""
    shop(sessions, seed).frame.write_csv(path)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder with their content, hidden ones too, and the folders as empty ones."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}
