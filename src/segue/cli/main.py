"""Entry point: the commands, and the one place where an error becomes a message and an exit code."""

import sys
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from segue.errors import SegueError

COMMANDS = {
    "demo": "Train and compare models on a generated web shop, and ask the best one for products.",
    "data": "Show the statistics of a log before and after each step of its preparation.",
    "prepare": "Prepare a log and write the data set to a folder, which other commands take instead of the log.",
    "models": (
        "List the models, or the parameters of one with defaults, bounds and paper, or what its network is made of."
    ),
    "run": "Train models on a log, test them, and print a leaderboard.",
    "tune": "Search for the parameters of a model that are best on the validation part of a log.",
    "compare": "Put the models of one or several runs in one table, and say which differences are real.",
    "report": "Write report.md and report.html of a run again, from its results.json.",
    "distill": (
        "Train a student on what a teacher says, and alone; compare the three in quality, size and time per session."
    ),
    "fit": "Train a tested configuration on a whole log, for production: nothing is held out.",
    "evaluate": "Test an artifact under its own protocol, on the test part of a log or on all of it.",
    "recommend": "Recommend the next items of one running session.",
    "add-items": "Let a model score new items by training items with the same metadata.",
    "plot": "Draw the items of a model as points, and check whether the picture can be trusted.",
}
"""Each command with the first line of its help, in the order of ``segue --help``.

The command ``add-items`` is the function ``add_items`` of the module ``segue.cli.add_items``.
"""

_MARKUP: Final = "rich"  # Keeps the lines of the examples; the help has no brackets.


class _LazyGroup(TyperGroup):
    """A group that imports the module of a command when the command is called or its own help is asked for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, name and import_command(name), rest


def import_command(name: str) -> Any:
    """Return the command of a name; its module is imported now."""
    function = name.replace("-", "_")
    alone = typer.Typer(add_completion=False, rich_markup_mode=_MARKUP)
    alone.command(name)(getattr(import_module(f"segue.cli.{function}"), function))
    return get_command(alone)


def _unimported() -> None:
    """Stand in for every command in the list that ``segue --help`` prints."""


app = typer.Typer(
    name="segue",
    cls=_LazyGroup,
    help="From a click log to live next-item recommendations.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=_MARKUP,
    pretty_exceptions_enable=False,
)
for command, summary in COMMANDS.items():
    app.command(command, help=summary)(_unimported)


@app.callback(invoke_without_command=True)
def _options(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    if version:
        from segue.version import __version__

        typer.echo(f"segue {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a user's mistake ends with one message and exit code 2."""
    try:
        app()
    except SegueError as error:
        typer.secho(f"error: {error}", err=True, fg="red", bold=True)
        sys.exit(2)
