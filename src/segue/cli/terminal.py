"""The console, the command line as the user typed it, and Ctrl-C."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from segue.cli.streams import INTERRUPTED, print_line, printable_as_it_is
from segue.printable import one_line, visible, visible_json


def terminal() -> Console:
    """Return a console that prints text verbatim, item names with brackets and colons too, but no control characters.

    The tables it prints are ``VisibleTable``.
    """
    return _Console(markup=False, emoji=False, highlight=False)


class _Console(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        """Print tables, and texts as lines."""
        super().print(*(one_line(one) if isinstance(one, str) else one for one in objects), **options)


class VisibleTable(Table):
    """A table whose cells show what is not printable, also line breaks, as escapes; only a ``Text`` may have lines."""

    def __init__(self, *headers: Column | str, **options: Any) -> None:
        super().__init__(*headers, **options)
        for column in self.columns:
            column.header = _visible_cell(column.header)

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row."""
        super().add_row(*map(_visible_cell, cells), **options)

    def add_column(self, header: Any = "", *others: Any, **options: Any) -> None:
        """Add a column."""
        super().add_column(_visible_cell(header), *others, **options)


def _visible_cell(cell: Any) -> Any:
    if isinstance(cell, Text):
        shown = visible(cell.plain)
        return cell if shown == cell.plain else Text(shown, style=cell.style)
    return one_line(cell) if isinstance(cell, str) else cell


def echo(text: str = "", *, err: bool = False) -> None:
    """Print a line; control and bidi characters, line breaks and tabs in it are escapes."""
    print_line(one_line(text), err=err)


def echo_json(value: Any) -> None:
    """Print a value as JSON; characters that control the terminal, or that it has not, are escapes of JSON."""
    from segue.strict_json import dumps

    text = dumps(value)
    print_line(visible_json(text if printable_as_it_is(text) else dumps(value, ascii_only=True)))


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
        echo(f"interrupted; {then}", err=True)
        raise typer.Exit(INTERRUPTED) from None
