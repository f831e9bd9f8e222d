"""Entry point: the table of commands, and errors as messages with exit codes."""

import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from segue.cli.streams import (
    Closed,
    Interrupted,
    check_arguments,
    discard_output,
    finish_output,
    interrupted,
    prepare_streams,
    print_line,
    silence_followers,
    system_errors,
)
from segue.docstrings import docstring
from segue.errors import SegueError
from segue.printable import one_line

COMMANDS = {
    "demo": "Train and compare models on a generated web shop, and get recommendations of the best one.",
    "data": "Show the statistics of a log before and after each step of its preparation.",
    "prepare": "Prepare a log once and save the data set, which other commands accept in place of the log.",
    "models": "List the models, or show the parameters of one, or its network with --summary.",
    "run": "Train models on a log, test them, and print a leaderboard.",
    "best": "Find the best model of a log within a budget of time.",
    "tune": "Tune the parameters of a model on the validation part of a log.",
    "compare": "Compare the models of one or several runs in one table, with tests of significance.",
    "report": "Write report.md and report.html of a run again, from its results.json.",
    "distill": "Train a student with and without a teacher; compare the three in quality, size and latency.",
    "fit": "Train a tested configuration on a whole log for production, without holding anything out.",
    "update": "Add later events to a model that segue fit wrote, without training it from the beginning.",
    "evaluate": "Evaluate a model under its own protocol, on the test part of a log or on all of it.",
    "score": "List the best next items of every session of a log, or of the training sessions of a prepared data set.",
    "recommend": "Recommend the next items for a session.",
    "why": "Explain recommended items: by the events of the session, similar sessions, rules and attention.",
    "serve": "Serve recommendations for live sessions over HTTP.",
    "experiment": "Report hit and conversion rates of the arms of an experiment on live traffic.",
    "sessions": "Forget a session of a service, what was recommended to a user, or all that is older than some days.",
    "import-events": "Send events in JSON Lines from a file or a pipe to a running service.",
    "export": "Write a network as an ONNX file, and check it in onnxruntime.",
    "add-items": "Add new items to a model, scored by their vectors or like training items with the same metadata.",
    "doctor": "Check a finished run for common mistakes, each with a verdict and an explanation to read.",
    "explain": "Explain a model, a loss, a metric or a protocol, with a worked example; without a name list all.",
    "plot": "Plot the item embeddings of a model, and check whether the picture can be trusted.",
    "warm-up": "Compile the numerical code once, so that no later command waits for it, as when an image is built.",
}
"""The commands with the first line of their help, in the order of ``segue --help``.

The command ``add-items`` is the function ``add_items`` of the module ``segue.cli.add_items``.
"""

_MARKUP: Final = "rich"  # Keeps the lines of the examples; the help has no brackets.


class _LazyGroup(TyperGroup):
    """A group that imports the module of a command only when the command or its help is called."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with system_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        with system_errors():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, name and import_command(name), rest


def import_command(name: str) -> Any:
    """Import the module of a command and return the command."""
    function = name.replace("-", "_")
    alone = typer.Typer(add_completion=False, rich_markup_mode=_MARKUP)
    module = import_module(f"segue.cli.{function}")
    command = getattr(module, function)
    alone.command(name, cls=getattr(module, "Command", None), help=docstring(command))(command)
    return get_command(alone)


def _unimported() -> None:
    """Placeholder of each command in the list of ``segue --help``."""


app = typer.Typer(
    name="segue",
    cls=_LazyGroup,
    help="From a click log to next-item recommendations.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=_MARKUP,
    pretty_exceptions_enable=False,
)
for command, summary in COMMANDS.items():
    app.command(command, help=summary)(_unimported)


@app.callback(invoke_without_command=True)
def _options(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from segue.version import __version__

        print_line(f"segue {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; errors of segue end with one message and exit code 2, Ctrl-C with 130."""
    prepare_streams()
    silence_followers()
    try:
        try:
            check_arguments()
            app()
        finally:
            finish_output()
    except Closed:
        discard_output()
        sys.exit(0)
    except SegueError as error:
        with suppress(OSError):
            for note in getattr(error, "__notes__", ()):
                print_line(f"· {one_line(note)}", err=True)
            print_line(f"error: {error}", err=True, fg="red", bold=True)
        discard_output()
        sys.exit(2)
    except (KeyboardInterrupt, Interrupted):
        interrupted()
