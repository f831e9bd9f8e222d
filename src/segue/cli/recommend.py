"""`segue recommend`: ask an artifact."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import segue
from segue.cli.tables import recommendation_table
from segue.cli.terminal import terminal


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(recommend)


def recommend(
    artifact: Annotated[Path, typer.Argument(help="Folder that a run wrote, one model.")],
    items: Annotated[str, typer.Option(help="Items of the running session, oldest first, separated by commas.")],
    k: Annotated[int, typer.Option("-k", "--k", help="How many items.")] = 10,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen", help="Leave out the items of the session itself.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Recommend the next items of one running session.

    Examples:
    segue recommend runs/shop-1/gru4rec --items 17,204,31
    segue recommend runs/shop-1/v-sknn --items "red shoes,blue hat" -k 5 --json
    """
    model = segue.load(artifact)
    session = [item.strip() for item in items.split(",") if item.strip()]
    answer = model.recommend(session, k, exclude_seen=exclude_seen)
    if as_json:
        typer.echo(json.dumps(asdict(answer), ensure_ascii=False))
        return
    terminal().print(recommendation_table(answer, model.vocabulary))
    if answer.unknown:
        typer.echo(f"Not in the training data, so ignored: {', '.join(map(str, answer.unknown))}")
    if answer.source == "popularity":
        typer.echo("No item of the session is known, so the most popular items answer.")
