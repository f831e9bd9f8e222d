"""`segue add-items`: make an artifact know items that came after its training."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import segue
from segue.artifact import Artifact


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("add-items")(add_items)


def add_items(
    artifact: Annotated[Path, typer.Argument(help="Folder that a run wrote, one model.")],
    items: Annotated[Path, typer.Argument(help="Table of items: their ids and metadata.")],
    by: Annotated[str, typer.Option(help="Metadata to compare, the most general column first, separated by commas.")],
    to: Annotated[Path | None, typer.Option(help="Where to write the model; over the old one if left out.")] = None,
) -> None:
    """Let a model score new items by training items with the same metadata.

    Examples:
    segue add-items runs/shop-1/gru4rec catalogue.csv --by category
    segue add-items runs/shop-1/als new.parquet --by category,brand --to als-2
    """
    about = Artifact.read(artifact).about
    model = segue.load(artifact)
    before = len(model.vocabulary)
    model.add_items(items, by=[name.strip() for name in by.split(",")])
    path = model.save(to or artifact, **about)
    ways = Counter(model.vocabulary.cold(np.arange(before, len(model.vocabulary)) + 1).values())
    typer.echo(f"{sum(ways.values()):,} items added: {ways['similar items']:,} are scored as similar items,")
    typer.echo(f"{ways['fallback']:,} are like no other and ranked behind all others. Written to {path}.")
