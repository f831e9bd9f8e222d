"""The console, the command line as the user typed it, and Ctrl-C."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console


def terminal() -> Console:
    """Return a console that prints text verbatim: item names may contain brackets and colons."""
    return Console(markup=False, emoji=False, highlight=False)


def program() -> str:
    """Return how to call this program, for a shell: ``segue`` if the shell finds it, else as it was called."""
    found, called = shutil.which("segue"), sys.argv[0]
    if Path(called).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m segue"
    return "segue" if found and Path(found).resolve() == Path(called).resolve() else shlex.quote(called)


def again(folder: Path, *, named: bool) -> str:
    """Return the command that continues this one; ``named`` if its options name the folder."""
    options = [option for option in sys.argv[1:] if option not in ("--overwrite", "--resume")]
    return f"{program()} {shlex.join([*options, *([] if named else ['--out', str(folder)]), '--resume'])}"


@contextmanager
def interruptible(then: str) -> Iterator[None]:
    """Turn Ctrl-C into exit code 130 and one line, which ends in ``then``."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {then}", err=True)
        raise typer.Exit(130) from None
