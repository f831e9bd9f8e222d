"""`segue data`: what is in a log, before and after each step of its preparation."""

import json
from typing import Annotated

import typer
from rich.console import Console

import segue
from segue.cli.reading import Columns, Format, Log, read_log
from segue.cli.tables import statistics_table
from segue.experiment.recipe import parse_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(data)


def data(
    log: Log,
    protocol: Annotated[str | None, typer.Option(help="Protocol; picked from the kind of log if not given.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A parameter: protocol.k_core=5.")] = None,
    log_format: Format = None,
    columns: Columns = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the statistics of a log before and after each step of its preparation.

    Examples:

        segue data clicks.csv

        segue data ratings.inter --protocol leave-one-out --set protocol.k_core=10 --json
    """
    parameters = parse_settings(settings or []).get("protocol", {})
    dataset = segue.prepare(read_log(log, log_format, columns), protocol, **parameters)
    if as_json:
        typer.echo(json.dumps({"protocol": dataset.describe(), "data": dataset.statistics(), "notes": dataset.notes}))
        return
    console = Console()
    for note in dataset.notes:
        console.print(f"· {note}", markup=False, highlight=False)
    console.print(statistics_table(dataset.statistics()["stages"]))
