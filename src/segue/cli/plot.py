"""`segue plot`: plot the item embeddings of a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import segue
from segue.cli import options
from segue.cli.terminal import echo, echo_json, terminal
from segue.errors import ParameterError

if TYPE_CHECKING:
    from segue.embeddings.plot import EmbeddingPlot


def plot(
    artifact: options.ModelFolder,
    kind: Annotated[str, typer.Option(help="pca, tsne, umap or spectrum.")] = "pca",
    color: Annotated[
        str | None,
        typer.Option("--color", "--colour", help="popularity, cluster, or a column of the items' metadata."),
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="File to write (.png, .svg or .html); repeat for several; default: NAME-KIND.png."),
    ] = None,
    perplexity: Annotated[str | None, typer.Option(help="With tsne: 5,30,50 or others, side by side.")] = None,
    iterations: Annotated[int | None, typer.Option(help="With tsne: steps after the early exaggeration (500).")] = None,
    learning_rate: Annotated[
        str | None, typer.Option(help="With tsne: size of a step, or auto, by the number of items.")
    ] = None,
    neighbours: Annotated[str | None, typer.Option(help="List and mark the nearest neighbours of this item.")] = None,
    similarity: Annotated[
        str | None, typer.Option(help="Similarity for --neighbours and .html pages: cosine or dot.")
    ] = None,
    items: options.Items = None,
    columns: Annotated[
        list[str] | None, typer.Option(help="Column of the ids in --items, if it has another name: item=sku.")
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(help="Which model of several: retriever or ranker of a two-stage model, a name in a blend."),
    ] = None,
    max_items: Annotated[int | None, typer.Option(help="Maximum number of plotted items (50,000).")] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON.")] = False,
) -> None:
    """Plot the item embeddings of a model, and check whether the picture can be trusted.

    Examples:
    segue plot runs/shop-1/sasrec --color category
    segue plot runs/shop-1/sasrec --kind tsne --color category --out map.html --out map.png
    segue plot runs/shop-1/als --kind spectrum --neighbours 1041
    """
    from segue.cli.progress import progress_shown
    from segue.data.readers.read import read_items
    from segue.embeddings.options import PlotOptions, checked_suffix
    from segue.storage import check_file
    from segue.validation import OPTION, build

    given: dict[str, Any] = {
        "kind": kind,
        "color": color,
        "perplexity": None if perplexity is None else [part.strip() for part in perplexity.split(",")],
        "iterations": iterations,
        "learning_rate": learning_rate,
        "neighbours": neighbours,
        "similarity": similarity,
        "stage": stage,
        "max_items": max_items,
        "seed": seed,
    }
    given = {name: value for name, value in given.items() if value is not None}
    build(PlotOptions, OPTION, parameters=given)
    paged = any(path.suffix.lower() == ".html" for path in out or [])
    if similarity is not None and neighbours is None and not paged:
        raise ParameterError(
            f"--similarity: has no effect without --neighbours or an .html page, got '{similarity}'; add --neighbours "
            "ITEM, or remove it"
        )
    folder = options.model_folder(artifact)
    files = [checked_suffix(path) for path in out or [Path(f"{folder.resolve().name}-{kind}.png")]]
    for path in files:
        check_file(path)
    table = None if items is None else read_items(items, options.item_columns(folder, columns))
    with progress_shown() as progress:
        plotted = segue.plot(segue.load(folder), items=table, progress=progress, **given)
    written = [plotted.write(path) for path in files]
    if as_json:
        echo_json({**plotted.to_dict(), "written": [str(path) for path in written]})
        return
    _show(plotted)
    echo(f"Wrote {', '.join(map(str, written))}.")


def _show(plotted: "EmbeddingPlot") -> None:
    """Print the numbers of the plot."""
    from segue.cli.tables import component_table, item_table

    console = terminal()
    for note in plotted.notes:
        echo(f"· {note}")
    for fact in plotted.summary():
        echo(fact)
    console.print(component_table(plotted.components))
    if plotted.neighbours is not None:
        console.print(item_table(plotted.neighbours))
    for warning in plotted.warnings:
        echo(f"! {warning}")
    if plotted.caption:
        echo(plotted.caption)
