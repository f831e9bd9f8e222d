"""What the commands print tables with, and what they are called by."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console


def terminal() -> Console:
    """Return a console that shows text as it is: item names may hold brackets and colons."""
    return Console(markup=False, emoji=False, highlight=False)


def program() -> str:
    """Return what to type for this very command line: ``segue`` where the shell finds it, else what was typed."""
    found, called = shutil.which("segue"), sys.argv[0]
    return "segue" if found and Path(found).resolve() == Path(called).resolve() else called


def again(folder: Path, *, named: bool) -> str:
    """Return the command that goes on with this one; ``named`` if its options name the folder."""
    options = [option for option in sys.argv[1:] if option not in ("--overwrite", "--resume")]
    return shlex.join([program(), *options, *([] if named else ["--out", str(folder)]), "--resume"])


@contextmanager
def interruptible(then: str) -> Iterator[None]:
    """End the command with one line and exit code 130 where Ctrl-C interrupts it.

    Args:
        then: what the interrupt leaves, or how to go on.
    """
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {then}", err=True)
        raise typer.Exit(130) from None
