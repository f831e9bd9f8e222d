"""Entry point: the commands, and the one place where an error becomes a message and an exit code."""

import sys

import typer

from segue.cli import add_items, compare, data, demo, distill, evaluate, fit, models, plot, recommend, report, run, tune
from segue.errors import SegueError
from segue.version import __version__

app = typer.Typer(
    name="segue",
    help="From a click log to live next-item recommendations.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",  # Keeps the lines of the examples; the help has no brackets.
    pretty_exceptions_enable=False,
)
for command in (demo, data, models, run, tune, compare, report, distill, fit, evaluate, recommend, add_items, plot):
    command.register(app)


@app.callback(invoke_without_command=True)
def _options(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    if version:
        typer.echo(f"segue {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a user's mistake ends with one message and exit code 2."""
    try:
        app()
    except SegueError as error:
        typer.secho(f"error: {error}", err=True, fg="red", bold=True)
        sys.exit(2)
