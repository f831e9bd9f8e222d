"""`segue add-items`: make an artifact know items that came after its training."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

import segue
from segue.cli.reading import model_folder
from segue.errors import ParameterError


def add_items(
    artifact: Annotated[Path, typer.Argument(help="Folder that a run wrote, one model.")],
    items: Annotated[Path, typer.Argument(help="Table of items: their ids and metadata.")],
    by: Annotated[str, typer.Option(help="Metadata to compare, the most general column first, separated by commas.")],
    to: Annotated[Path | None, typer.Option(help="Where to write the model; over the old one if left out.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another model at --to.")] = False,
) -> None:
    """Let a model score new items by training items with the same metadata.

    Examples:
    segue add-items runs/shop-1/gru4rec catalogue.csv --by category
    segue add-items runs/shop-1/als new.parquet --by category,brand --to als-2
    """
    import numpy as np

    from segue.artifact import is_artifact
    from segue.data.readers.read import read_items

    model_folder(artifact)
    to = to or artifact
    if is_artifact(to) and not (overwrite or to.samefile(artifact)):
        raise ParameterError(f"--to: {to} holds a model already; add --overwrite to replace it, or choose another name")
    model = segue.load(artifact)
    before = len(model.vocabulary)
    table = read_items(items)
    grown = model.add_items(table, by=_columns(by, model, artifact))
    added = np.arange(before, len(grown.vocabulary)) + 1
    if not len(added):
        why = f"{artifact} knows all items of {items} already" if len(table) else f"{items} holds no items"
        typer.echo(f"{why}; nothing was written.")
        return
    path = grown.save(to)
    ways = Counter(grown.vocabulary.cold(added).values())
    noun = "item" if len(added) == 1 else "items"
    typer.echo(f"{len(added):,} {noun} added: {ways['similar items']:,} scored as similar items,")
    typer.echo(f"{ways['fallback']:,} like no other and ranked behind all others. Written to {path}.")


def _columns(by: str, model: "segue.Model", artifact: Path) -> list[str]:
    names = [name.strip() for name in by.split(",")]
    known = model.vocabulary.metadata
    for name in names:
        if name not in known:
            raise ParameterError(
                f"--by: must name metadata of the items that {artifact} was trained on ({', '.join(known) or 'none'}), "
                f"got '{name}'; give --items to segue run, or items= to segue.read"
            )
    return names
