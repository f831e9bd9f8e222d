"""`segue models`: what can be trained, and every parameter of it."""

from typing import Annotated

import typer
from rich.console import Console

import segue
from segue.cli.tables import model_table, parameter_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(models)


def models(name: Annotated[str | None, typer.Argument(help="One model, to see its parameters.")] = None) -> None:
    """List the models, or the parameters of one with defaults, bounds and paper.

    Examples:

        segue models

        segue models gru4rec
    """
    console = Console()
    if name is None:
        console.print(model_table(segue.model_classes()))
        console.print("One model's parameters: segue models NAME", highlight=False)
        return
    kind = segue.model_class(name)
    console.print(f"[bold]{kind.name}[/bold]  {kind.summary()}", highlight=False)
    console.print(f"Source: {kind.paper}", highlight=False, markup=False)
    console.print(parameter_table(kind.Config, kind.name))
    for preset, values in kind.Config.presets.items():
        console.print(f"preset {preset}: {values or 'the defaults'}", highlight=False, markup=False)
