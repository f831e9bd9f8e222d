"""From a fitted model to pictures of its items and the numbers that go with them."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from segue.embeddings.cloud import Cloud, cloud_of
from segue.embeddings.colours import Categories, colours_of
from segue.embeddings.look import Look
from segue.embeddings.maps import FOR_TSNE, Map, fitting, pca_map, tsne_maps, umap_map
from segue.embeddings.neighbours import K, category_purity, neighbours_of, row_of
from segue.embeddings.options import PlotOptions, checked_suffix
from segue.embeddings.shape import shape_of
from segue.embeddings.variance import Variance, variance_of
from segue.models.base import Model
from segue.parameters import build
from segue.progress import Progress


class Insight(Look):
    """Pictures of a model's items, which can be written to files."""

    def write(self, path: str | Path) -> Path:
        """Write the picture, whole or not at all: .png or .svg, or .html for a page to search and zoom in.

        Raises:
            ParameterError: the name ends in something else.
            MissingExtraError: matplotlib is not installed.
            StorageError: the write failed.
        """
        path = checked_suffix(Path(path))
        # Pictures and pages each need libraries that the other does not.
        if path.suffix.lower() == ".html":
            from segue.embeddings.page.page import write_page  # noqa: PLC0415

            write_page(self, path)
        else:
            from segue.embeddings.pictures import write_picture  # noqa: PLC0415

            write_picture(self, path)
        return path


def plot(
    model: Model,
    kind: str = "pca",
    *,
    items: pl.DataFrame | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Insight:
    """Look at the vectors that a model has learnt of its items.

    Args:
        model: a fitted model that learns vectors of items.
        kind: ``pca``, ``tsne``, ``umap`` or ``spectrum``.
        items: metadata to colour by, with a column ``item``, beside what the model was trained with.
        progress: told of what takes long.
        **options: see ``PlotOptions``.

    Raises:
        ParameterError: an option breaks its rule, an item or a column is unknown, or the model has no vectors.
        MissingExtraError: the extra ``plot`` is not installed.
    """
    asked = build(PlotOptions, "plot", parameters={"kind": kind, **options})
    whole = cloud_of(model, items, stage=asked.stage)
    row = None if asked.neighbours is None else row_of(whole, asked.neighbours)
    colours_of(whole, asked.color)  # A mistake is told before anything is computed.
    variance = variance_of(whole, asked.seed)
    rows = whole.sample(asked.max_items, asked.seed)
    cloud = whole.part(rows)
    colours = colours_of(cloud, asked.color)
    maps, notes = _maps(asked, cloud, variance, variance.points[rows], progress or Progress())
    return Insight(
        model=model.name if asked.stage is None else f"{model.name}, {asked.stage}",
        options=asked,
        total=len(whole),
        cloud=cloud,
        variance=variance,
        shape=shape_of(whole, variance, asked.seed),
        colours=colours,
        maps=maps,
        purity=category_purity(cloud, colours.values) if isinstance(colours, Categories) else None,
        asked=None if row is None else _nearest(whole, row, asked),
        notes=(*_on_size(asked, len(whole)), *colours.notes, *notes),
    )


def _maps(
    asked: PlotOptions, cloud: Cloud, variance: Variance, points: Any, progress: Progress
) -> tuple[tuple[Map, ...], list[str]]:
    """Return the pictures, and what was changed to make them."""
    if asked.kind == "spectrum":
        return (), []
    if asked.kind == "pca":
        return (pca_map(variance, points),), []
    if asked.kind == "umap":
        note = "UMAP runs in one thread, so that its seed fixes the picture"
        return (umap_map(cloud, points, seed=asked.seed),), [note]
    perplexities, notes = fitting(asked.perplexity, len(cloud))
    threads = torch.get_num_threads()
    return tuple(tsne_maps(cloud, points, perplexities, seed=asked.seed, threads=threads, progress=progress)), notes


def _on_size(asked: PlotOptions, total: int) -> list[str]:
    """Say what a large catalogue means for the picture."""
    notes = []
    if asked.kind == "tsne" and total > FOR_TSNE:
        notes.append(f"{total:,} items: above {FOR_TSNE:,} UMAP is advised, which keeps more of the whole: --kind umap")
    if total > asked.max_items and asked.kind != "spectrum":
        notes.append(
            f"{asked.max_items:,} of {total:,} items are drawn, at random, and purity is that among them; the variance "
            "is that of all items (more: --max-items)"
        )
    return notes


def _nearest(cloud: Cloud, row: int, asked: PlotOptions) -> pl.DataFrame:
    """Return an item and the items most similar to it, with what is known of them."""
    found = neighbours_of(cloud, K, asked.similarity, of=np.array([row]))
    rows = [row, *found.rows[0].tolist()]
    names = pl.Series("name", [cloud.names[at] for at in rows])
    similarities = pl.Series(asked.similarity, [None, *found.similarities[0].tolist()], dtype=pl.Float64)
    known = cloud.items[rows].select("item", "support", *(name for name in cloud.metadata if name != cloud.name_column))
    return pl.DataFrame([known["item"], names, similarities]).hstack(known.drop("item", "name", strict=False))
