"""From a fitted model to plots of its items, as files and as pages."""

import textwrap
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from segue.charts import ALARM, CONFIG, INK, PALE, Spec, render_png, text_lines, write_chart
from segue.embeddings.colours import CategoricalColours, Colours, colours_of
from segue.embeddings.components import PrincipalComponents, principal_components
from segue.embeddings.diagnostics import diagnose
from segue.embeddings.options import CLUSTER, PlotOptions, checked_suffix
from segue.embeddings.page import write_page
from segue.embeddings.panels import (
    SMALL_WIDTH,
    correlation_chart,
    cumulative_chart,
    domains_of,
    map_layers,
    share_chart,
)
from segue.embeddings.plot_data import PlotData
from segue.embeddings.projections import (
    TSNE_MAX_ITEMS,
    Projection,
    pca_projection,
    tsne_projections,
    umap_projection,
    usable_perplexities,
)
from segue.embeddings.vectors import (
    ItemVectors,
    K,
    category_purity,
    item_vectors,
    nearest_neighbours,
    with_clusters,
)
from segue.models.base import Model
from segue.progress import Progress
from segue.validation import build

_TITLES = {"pca": "principal components", "tsne": "t-SNE", "umap": "UMAP", "spectrum": "variance of the components"}

_SIDES = {1: 560, 2: 430, 3: 330, 4: 275}
"""Pixels of each panel beside so many."""
_PCA_SIDE, _CHART_WIDTH = 480, 400
_RASTER = 5_000
"""Number of items above which an SVG contains one image instead of one shape per item."""
_LEGEND_COLUMN = 150
_LETTER = 6.1
"""Pixels of a letter, to break lines."""


class EmbeddingPlot(PlotData):
    """Plots of a model's items, which can be written to files."""

    def write(self, path: str | Path) -> Path:
        """Write the plot atomically: .png or .svg, or .html for a page to search and zoom in.

        Raises:
            ParameterError: the name ends in something else.
            MissingExtraError: vl-convert is not installed.
            StorageError: the write failed.
        """
        path = checked_suffix(Path(path))
        if path.suffix.lower() == ".html":
            write_page(self, path)
        else:
            write_chart(figure(self, rasterise=path.suffix.lower() == ".svg"), path)
        return path


def plot(
    model: Model,
    kind: str = "pca",
    *,
    items: pl.DataFrame | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> EmbeddingPlot:
    """Plot the vectors that a model has learnt of its items.

    Args:
        model: a fitted model that learns vectors of items.
        kind: ``pca``, ``tsne``, ``umap`` or ``spectrum``.
        items: metadata to colour by, with a column ``item``, in addition to what the model was trained with.
        progress: receives progress updates.
        **options: see ``PlotOptions``.

    Raises:
        ParameterError: an option breaks its rule, an item or a column is unknown, or the model has no vectors.
        MissingExtraError: the extra ``plot`` is not installed.
    """
    chosen = build(PlotOptions, "plot", parameters={"kind": kind, **options})
    every = item_vectors(model, items, stage=chosen.stage)
    if chosen.color == CLUSTER:
        every = with_clusters(every, model, stage=chosen.stage)
    row = None if chosen.neighbours is None else every.find(chosen.neighbours)
    colours_of(every, chosen.color)  # Problems come before anything is computed.
    components = principal_components(every, chosen.seed)
    rows = every.sample(chosen.max_items, chosen.seed)
    points = every.select(rows)
    colours, diagnostics = colours_of(points, chosen.color), diagnose(every, components, chosen.seed)
    projections, notes = _project(chosen, points, components, components.points[rows], progress or Progress())
    return EmbeddingPlot(
        model=model.name if chosen.stage is None else f"{model.name}, {chosen.stage}",
        options=chosen,
        total=len(every),
        points=points,
        components=components,
        diagnostics=diagnostics,
        colours=colours,
        projections=projections,
        purity=category_purity(points, colours.values) if isinstance(colours, CategoricalColours) else None,
        neighbours=None if row is None else _neighbour_table(every, row, chosen),
        notes=(*size_notes(chosen, len(every)), *colours.notes, *notes, *diagnostics.notes()),
    )


def _project(
    options: PlotOptions, points: ItemVectors, components: PrincipalComponents, start: Any, progress: Progress
) -> tuple[tuple[Projection, ...], list[str]]:
    """Return the projections, and what was changed to make them."""
    if options.kind == "spectrum":
        return (), []
    if options.kind == "pca":
        return (pca_projection(components, start),), []
    if options.kind == "umap":
        note = "UMAP runs in one thread, so that its seed fixes the picture"
        return (umap_projection(points, start, seed=options.seed),), [note]
    perplexities, notes = usable_perplexities(options.perplexity, len(points))
    threads = torch.get_num_threads()
    found = tsne_projections(
        points,
        start,
        perplexities,
        iterations=options.iterations,
        learning_rate=options.learning_rate,
        seed=options.seed,
        threads=threads,
        progress=progress,
    )
    return tuple(found), notes


def size_notes(options: PlotOptions, total: int) -> list[str]:
    """Return notes on plots of large catalogues.

    Args:
        options: of the plot.
        total: number of items.
    """
    notes = []
    if options.kind == "tsne" and total > TSNE_MAX_ITEMS:
        notes.append(
            f"{total:,} items: above {TSNE_MAX_ITEMS:,} UMAP is advised, which keeps more of the whole: --kind umap"
        )
    if total > options.max_items and options.kind != "spectrum":
        notes.append(
            f"a random sample of {options.max_items:,} of {total:,} items is plotted; purity is computed on the "
            "sample, the variance on all items (for more items, set --max-items)"
        )
    return notes


def _neighbour_table(points: ItemVectors, row: int, options: PlotOptions) -> pl.DataFrame:
    """Return an item and the items most similar to it, with what is known of them."""
    nearest = nearest_neighbours(points, K, options.similarity, of=np.array([row]))
    rows = [row, *nearest.rows[0].tolist()]
    names = pl.Series("name", [points.names[at] for at in rows])
    similarities = pl.Series(options.similarity, [None, *nearest.similarities[0].tolist()], dtype=pl.Float64)
    columns = (name for name in points.metadata if name != points.name_column)
    known = points.items[rows].select("item", "support", *columns)
    return pl.DataFrame([known["item"], names, similarities]).hstack(known.drop("item", "name", strict=False))


def figure(plot: PlotData, *, rasterise: bool = False) -> Spec:
    """Return the picture of a plot: heading, panels, legend, caption, warnings; equal plots give equal pictures.

    Args:
        plot: what it shows.
        rasterise: whether many items become one image, which keeps an SVG small.
    """
    panels, width = _panels(plot, rasterise and len(plot.points) > _RASTER)
    caption = [(line, PALE) for line in _wrapped([plot.caption], width)]
    warnings = [(line, ALARM) for line in _wrapped([f"! {warning}" for warning in plot.warnings], width)]
    rows: list[Spec] = [{"hconcat": panels, "spacing": 24, "resolve": _resolve("shared")}]
    if caption or warnings:
        rows.append(text_lines([*caption, *warnings], width))
    drawn = "" if len(plot.points) == plot.total else f" ({len(plot.points):,} plotted)"
    title = {
        "text": f"{plot.model}  ·  {plot.total:,} items{drawn}  ·  {_TITLES[plot.options.kind]}",
        **{"fontSize": 17, "fontWeight": "bold", "anchor": "start", "offset": 22},
        "subtitle": _wrapped(plot.summary(), width),
        **{"subtitleFontSize": 12, "subtitleColor": INK, "subtitlePadding": 10, "subtitleLineHeight": 17},
    }
    return {
        "title": title,
        "vconcat": rows,
        "resolve": _resolve("independent"),
        "spacing": 22,
        "padding": 24,
        "background": "white",
        "config": {**CONFIG, "concat": {"spacing": 24}},
    }


def _resolve(how: str) -> Spec:
    channels = {"color": how, "shape": how}
    return {"scale": channels, "legend": channels}


def _panels(plot: PlotData, rasterise: bool) -> tuple[list[Spec], int]:
    """Return the panels side by side, and their width in pixels."""
    kind, components = plot.options.kind, plot.components
    if kind == "spectrum":
        charts = share_chart(components), cumulative_chart(components)
        return [{**chart, "width": _CHART_WIDTH, "height": 300} for chart in charts], 2 * _CHART_WIDTH + 90
    count = len(plot.projections)
    side = _PCA_SIDE if kind == "pca" else _SIDES[count]
    width = _PCA_SIDE + SMALL_WIDTH + 130 if kind == "pca" else count * (side + 24) - 24
    panels = [_map_panel(plot, projection, side, width, rasterise) for projection in plot.projections]
    if kind == "pca":
        small = {"width": SMALL_WIDTH, "height": 175}
        side_charts = [{**chart, **small} for chart in (cumulative_chart(components), correlation_chart(components))]
        panels.append({"vconcat": side_charts, "spacing": 30})
    return panels, width


def _map_panel(plot: PlotData, projection: Projection, side: int, width: int, rasterise: bool) -> Spec:
    colours, points = plot.colours, projection.points
    values = np.asarray(colours.codes if isinstance(colours, CategoricalColours) else colours.values, dtype=np.float64)
    # High numbers and frequent categories on top; items of which nothing is known below.
    order = np.argsort(-values if isinstance(colours, CategoricalColours) else np.nan_to_num(values, nan=-np.inf))
    columns = max(1, width // _LEGEND_COLUMN)
    panel = map_layers(projection, colours, rings=(55, 1.0, 150, 2.0), legend_columns=columns)
    marks, near, chosen = panel["layer"]
    marks["data"] = {"values": [_place(points[row], values[row]) for row in order]}
    marks["mark"]["size"] = float(np.clip(26_000 / len(points), 3, 46))
    domains = domains_of(points)
    for channel, domain in zip("xy", domains, strict=True):
        marks["encoding"][channel]["scale"]["domain"] = domain
    if plot.neighbours is not None:
        rows = _rows(plot, plot.neighbours["item"])
        near["data"] = {"values": [_place(points[row]) for row in rows[1:] if row >= 0]}
        chosen["data"] = {"values": [_place(points[row]) for row in rows[:1] if row >= 0]}
    if rasterise:
        panel["layer"].insert(0, _image_layer(marks, projection, colours, side))
        first_of_each = np.unique(values, return_index=True)[1]
        marks["data"] = {"values": [_place(points[row], values[row]) for row in first_of_each[[0, -1]]]}
        marks["encoding"]["opacity"] = {"value": 0}
    return {**panel, "title": {"text": projection.title, "fontSize": 13}, "width": side, "height": side}


def _image_layer(marks: Spec, projection: Projection, colours: Colours, side: int) -> Spec:
    """Return the items as one image; their own layer stays for axes and legend."""
    bare = map_layers(projection, colours, rings=(0, 0, 0, 0), legend_columns=0)["layer"][0]["encoding"]
    for name in ("x", "y"):
        bare[name] = {**marks["encoding"][name], "axis": None}
    alone = {**marks, "encoding": bare, "width": side, "height": side, "padding": 0}
    png = render_png({**alone, "config": {"view": {"stroke": None}, "background": None}}, 2)
    mark = {"type": "image", "url": f"data:image/png;base64,{b64encode(png).decode()}", "width": side, "height": side}
    return {"data": {"values": [{}]}, "mark": mark, "encoding": {"x": {"value": side / 2}, "y": {"value": side / 2}}}


def _place(point: Any, value: float | None = None) -> dict[str, float | None]:
    """Return a point of the data; coordinates need no more digits than a picture shows."""
    place: dict[str, float | None] = {"x": float(f"{point[0]:.6g}"), "y": float(f"{point[1]:.6g}")}
    return place if value is None else {**place, "value": float(value) if np.isfinite(value) else None}


def _rows(plot: PlotData, items: pl.Series) -> list[int]:
    """Return the rows of items among the plotted items, -1 for other items."""
    numbered = plot.points.items.select("item").with_row_index("row")
    found = pl.DataFrame({"item": items}).join(numbered, on="item", how="left", maintain_order="left")
    return found["row"].cast(pl.Int64).fill_null(-1).to_list()


def _wrapped(texts: Sequence[str], width: int) -> list[str]:
    return [line for text in texts if text for line in textwrap.wrap(text, int(width / _LETTER))]
