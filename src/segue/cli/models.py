"""`segue models`: available models, their parameters and networks."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

import segue
from segue.cli.terminal import terminal
from segue.errors import ParameterError


def models(
    name: Annotated[str | None, typer.Argument(help="Model to describe.")] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Show the layers of the network with shapes, parameters and FLOPs.")
    ] = False,
    items: Annotated[
        int | None, typer.Option(help="With --summary: number of items in the catalogue (10,000).")
    ] = None,
    length: Annotated[int | None, typer.Option(help="With --summary: number of events of the session (50).")] = None,
    preset: Annotated[list[str] | None, typer.Option(help="With --summary: a preset, such as gru4rec=recbole.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="With --summary: a parameter, such as gru4rec.hidden_size=128.")
    ] = None,
) -> None:
    """List the models, or show the parameters of one, or its network with --summary.

    Examples:
    segue models
    segue models gru4rec
    segue models gru4rec --summary --items 50000 --set gru4rec.hidden_size=256
    """
    if summary and name is None:
        raise ParameterError("--summary: needs a model; give its name: segue models NAME --summary")
    if not summary and any(option is not None for option in (items, length, preset, settings)):
        raise ParameterError("--items, --length, --preset and --set: are options of --summary; add --summary")
    if name is None:
        _list()
    elif summary:
        from segue.experiment.config import parse_assignments, parse_settings

        model = _configured(name, parse_assignments("--preset", preset or []), parse_settings(settings or []))
        _show_network(model, items=10_000 if items is None else items, length=50 if length is None else length)
    else:
        _show_parameters(segue.model_class(name))


def _list() -> None:
    from segue.cli.tables import model_table
    from segue.models.registry import usable_models

    found, problems = usable_models()
    console = terminal()
    console.print(model_table(found))
    for problem in problems:
        console.print(f"! {problem}", soft_wrap=True)
    console.print("Parameters of a model: segue models NAME")


def _show_parameters(kind: "type[segue.Model]") -> None:
    from segue.cli.tables import parameter_table
    from segue.parameters import flatten, typed

    console = terminal()
    console.print(f"{kind.name}: {kind.description()}")
    console.print(f"Source: {kind.paper}")
    console.print(parameter_table(kind.Config))
    console.print(f"To set one: --set {kind.name}.NAME=VALUE")
    for preset, values in kind.Config.presets.items():
        shown = ", ".join(f"{name}={typed(value)}" for name, value in flatten(values).items()) or "the defaults"
        console.print(f"--preset {kind.name}={preset}: {shown}")


def _show_network(model: "segue.Model", *, items: int, length: int) -> None:
    from segue.cli.tables import layer_table, parameter_table
    from segue.models.composite import CompositeModel

    if isinstance(model, CompositeModel):
        for part in model.parts.values():
            _show_network(part, items=items, length=length)
        return
    console = terminal()
    found = segue.summary(model, n_items=items, length=length)
    if found is None:
        learnt = ", ".join(model.array_names).replace("_", " ")
        console.print(f"{model.name} has no network. The size of what it learns depends on the log: {learnt}.")
        console.print(parameter_table(type(model.config)))
        return
    console.print(f"{model.name}: {items:,} items, a session of {length:,} events")
    console.print(layer_table(found.layers))
    rest = found.parameters - found.item_parameters
    console.print(f"Parameters: {found.parameters:,}; without the item tables {rest:,}")
    total = found.encoder_flops + found.logits_flops
    console.print(
        f"FLOPs per scored session: {total:,}; {found.encoder_flops:,} to read it, "
        f"{found.logits_flops:,} to score all items"
    )


def _configured(name: str, presets: Mapping[str, str], settings: Mapping[str, Mapping[str, Any]]) -> "segue.Model":
    """Build a model from its preset and settings."""
    kind = segue.model_class(name)
    strangers = sorted({*presets, *settings} - {kind.name})
    if strangers:
        raise ParameterError(f"--preset, --set: only {kind.name} is shown, got {', '.join(strangers)}; leave it out")
    return kind(preset=presets.get(kind.name), **settings.get(kind.name, {}))
