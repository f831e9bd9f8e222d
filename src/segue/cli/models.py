"""`segue models`: what can be trained, and every parameter of it."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

import segue
from segue.cli.tables import model_table, parameter_table, typed
from segue.cli.terminal import terminal


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(models)


def models(name: Annotated[str | None, typer.Argument(help="One model, to see its parameters.")] = None) -> None:
    """List the models, or the parameters of one with defaults, bounds and paper.

    Examples:
    segue models
    segue models gru4rec
    """
    console = terminal()
    if name is None:
        console.print(model_table(segue.model_classes()))
        console.print("One model's parameters: segue models NAME")
        return
    kind = segue.model_class(name)
    console.print(f"{kind.name}: {kind.summary()}")
    console.print(f"Source: {kind.paper}")
    console.print(parameter_table(kind.Config))
    console.print(f"Set one with: --set {kind.name}.NAME=VALUE")
    for preset, values in kind.Config.presets.items():
        shown = ", ".join(_flat(values)) or "the defaults"
        console.print(f"--preset {kind.name}={preset}: {shown}")


def _flat(values: Mapping[str, Any], section: str = "") -> list[str]:
    """Write the parameters of a preset as they are typed."""
    flat = []
    for name, value in values.items():
        inner = _flat(value, f"{section}{name}.") if isinstance(value, Mapping) else [f"{section}{name}={typed(value)}"]
        flat += inner
    return flat
