"""`segue recommend`: ask an artifact."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import segue
from segue.cli.reading import model_folder
from segue.cli.terminal import terminal
from segue.errors import ParameterError


def recommend(
    artifact: Annotated[Path, typer.Argument(help="Folder that a run wrote, one model.")],
    items: Annotated[str, typer.Option(help="Items of the running session, oldest first, separated by commas.")],
    k: Annotated[int, typer.Option("-k", "--k", help="How many items.")] = 10,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen", help="Leave out the items of the session itself.")
    ] = False,
    context: Annotated[
        list[str] | None,
        typer.Option(help="What else is known of each item, for models that read it: shop=a,b or user=anna."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Recommend the next items of one running session.

    Examples:
    segue recommend runs/shop-1/gru4rec --items 17,204,31
    segue recommend runs/shop-1/v-sknn --items "red shoes,blue hat" -k 5 --json
    segue recommend runs/shop-1/sasrec --items 17,204 --context time=2026-01-31T20:00,2026-01-31T20:05
    """
    from segue.cli.tables import recommendation_table

    session = [item.strip() for item in items.split(",") if item.strip()]
    if not session:
        raise ParameterError(f"--items: must name at least one item such as 17,204,31, got '{items}'")
    model = segue.load(model_folder(artifact))
    answer = model.recommend(session, k, exclude_seen=exclude_seen, context=_told(context or []))
    if as_json:
        typer.echo(json.dumps(asdict(answer), ensure_ascii=False))
        return
    terminal().print(recommendation_table(answer, model.vocabulary))
    if answer.unknown:
        typer.echo(f"Not in the training data, so ignored: {', '.join(map(str, answer.unknown))}")
    if answer.cold:
        typer.echo(f"Added after training: {', '.join(f'{item} ({way})' for item, way in answer.cold.items())}")
    if answer.source == "popularity":
        typer.echo("No item of the session is known, so the most popular items answer.")


def _told(context: list[str]) -> dict[str, Any]:
    """Turn ``["shop=a,b"]`` into a mapping; a value that is left out is not known, a single one is that of all."""
    told: dict[str, Any] = {}
    for entry in context:
        name, separator, values = entry.partition("=")
        if not separator:
            raise ParameterError(f"--context: must be NAME=VALUE,VALUE,..., got '{entry}'")
        each = [value.strip() or None for value in values.split(",")]
        told[name.strip()] = each if len(each) > 1 else each[0]
    return told
