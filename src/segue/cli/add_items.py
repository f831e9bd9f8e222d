"""`segue add-items`: add items to a model after its training."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

import segue
from segue.cli import options
from segue.cli.terminal import echo
from segue.errors import ParameterError


def add_items(
    artifact: options.ModelFolder,
    items: Annotated[Path, typer.Argument(help="Table of items with their ids and metadata.")],
    by: Annotated[
        str | None, typer.Option(help="Metadata columns to compare, separated by commas, the most general one first.")
    ] = None,
    item_vectors: Annotated[
        Path | None,
        typer.Option(help="Vectors of the new items; of the training items, too, if the model was trained without."),
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option(help="Column of the ids in both files, if it has another name: item=sku.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder to write the model to; default: replace the given model.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another model at --to.")] = False,
) -> None:
    """Add new items to a model, scored by their vectors or like training items with the same metadata.

    Examples:
    segue add-items runs/shop-1/gru4rec catalogue.csv --by category
    segue add-items runs/shop-1/sasrec vectors.parquet --item-vectors vectors.parquet
    segue add-items runs/shop-1/als new.parquet --by category,brand --to als-2
    """
    from functools import partial

    import numpy as np

    from segue.artifact import ARTIFACT
    from segue.data.readers.read import read_item_vectors, read_items
    from segue.storage.claims import claimed

    options.model_folder(artifact)
    if by is None and item_vectors is None:
        raise ParameterError("--by or --item-vectors: give one of them, or both: what new items are scored by")
    named = options.item_columns(artifact, columns)
    to = to or artifact
    same = ARTIFACT.is_at(to) and to.samefile(artifact)
    check = partial(ARTIFACT.check_target, to, "--to", overwrite=overwrite or same)
    with claimed(to, "segue add-items", check, option="--to", replaced=True):
        model = segue.load(artifact)
        before = len(model.vocabulary)
        table = read_items(items, named)
        vectors = None if item_vectors is None else read_item_vectors(item_vectors, named)
        grown = model.add_items(table, by=_columns(by, model, artifact), vectors=vectors)
        added = np.arange(before, len(grown.vocabulary)) + 1
        if not len(added):
            why = f"{artifact} already knows all items of {items}" if len(table) else f"{items} contains no items"
            echo(f"{why}; nothing was written.")
            return
        path = grown.save(to)
    ways = Counter(grown.vocabulary.cold(added).values())
    noun = "item" if len(added) == 1 else "items"
    ways_given = ["by their vectors"] * (item_vectors is not None) + ["like similar items"] * (by is not None)
    last = f", {ways['fallback']:,} ranked last, as nothing is similar" if ways["fallback"] else ""
    echo(f"{len(added):,} {noun} added: {ways['similar items']:,} scored {' or '.join(ways_given)}{last}.")
    echo(f"Wrote {path}.")


def _columns(by: str | None, model: "segue.Model", artifact: Path) -> list[str]:
    names = [] if by is None else [name.strip() for name in by.split(",")]
    known = model.vocabulary.metadata
    for name in names:
        if name not in known:
            raise ParameterError(
                f"--by: must name metadata of the items that {artifact} was trained on ({', '.join(known) or 'none'}), "
                f"got '{name}'; give --items to segue run, or items= to segue.read"
            )
    return names
