"""Projections of item vectors onto a plane: principal components, t-SNE, UMAP."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64

from segue.embeddings import library
from segue.embeddings.components import PrincipalComponents
from segue.embeddings.vectors import ItemVectors, nearest_neighbours
from segue.errors import ParameterError
from segue.progress import Progress
from segue.rng import generator

TSNE_MAX_ITEMS = 100_000
"""Items above which UMAP is advised."""

CAPTIONS = {
    "tsne": (
        "t-SNE shows which items are close neighbours. Do not interpret distances between groups, sizes and densities "
        "of groups, or shapes that appear at one perplexity only."
    ),
    "umap": (
        "UMAP shows which items are close neighbours and roughly which groups touch. Do not interpret distances "
        "between groups, or sizes and densities of groups."
    ),
    "pca": (
        "Distances are those of the vectors in these two components only; the content of the other components is not "
        "to be seen, so items that lie together here may be far apart."
    ),
}
"""How to read each kind of plot."""

_PER_PERPLEXITY = 3
"""Neighbours that t-SNE considers, per unit of perplexity."""
_UMAP_NEIGHBOURS = 15
_TSNE_START, _UMAP_START = 1e-4, 5.0
"""Standard deviation of the coordinates that a layout starts from, as the libraries' own."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Items on a plane.

    Attributes:
        title: tells several projections apart; empty for a single one.
        points: the coordinates of each item.
        axes: titles of the axes; empty where coordinates have no meaning.
    """

    title: str
    points: Float[np.ndarray, "N 2"]
    axes: tuple[str, str]


def pca_projection(components: PrincipalComponents, points: Float64[np.ndarray, "N 2"]) -> Projection:
    """Return items on the first two principal components.

    Args:
        components: the principal components.
        points: the coordinates of the plotted items.
    """
    shares = [*components.shares[:2], 0.0]
    return Projection("", points, (f"component 1 ({shares[0]:.1%} of the variance)", f"component 2 ({shares[1]:.1%})"))


def usable_perplexities(perplexities: Sequence[float], items: int) -> tuple[list[float], list[str]]:
    """Return the perplexities that a catalogue is large enough for, and what was changed.

    Raises:
        ParameterError: the catalogue is too small for any.
    """
    most = (items - 1) // _PER_PERPLEXITY
    if most < 2:
        raise ParameterError(
            f"t-SNE: needs at least {2 * _PER_PERPLEXITY + 1} items, got {items}; use --kind pca instead"
        )
    kept = list(dict.fromkeys(min(perplexity, most) for perplexity in perplexities))
    lowered = [f"{perplexity:g}" for perplexity in perplexities if perplexity > most]
    if not lowered:
        return kept, []
    return kept, [
        f"perplexity {' and '.join(lowered)}: lowered to {most}, for {items:,} items have no more than "
        f"{_PER_PERPLEXITY} x {most} neighbours"
    ]


def tsne_projections(
    points: ItemVectors,
    start: Float64[np.ndarray, "N 2"],
    perplexities: Sequence[float],
    *,
    iterations: int = 500,
    learning_rate: float | Literal["auto"] = "auto",
    seed: int,
    threads: int,
    progress: Progress,
) -> list[Projection]:
    """Lay the items out by t-SNE once per perplexity, all from the same exact neighbours by cosine.

    Args:
        points: the items.
        start: where each layout begins: on the first two principal components, so that what is far apart stays roughly
            far apart (Kobak and Berens 2019, Nature Communications).
        perplexities: as ``usable_perplexities`` returns them.
        iterations: steps after the 250 of the early exaggeration.
        learning_rate: size of a step; auto is the number of items, and a twelfth of it during the early exaggeration
            (Belkina et al. 2019, Nature Communications).
        seed: the same seed gives the same picture.
        threads: of openTSNE.
        progress: advances with each layout.

    Raises:
        ParameterError: the coordinates are no longer finite.
    """
    tsne, affinity = library("openTSNE").TSNE, library("openTSNE.affinity").PerplexityBasedNN
    given = library("openTSNE.nearest_neighbors").PrecomputedNeighbors
    found = nearest_neighbours(points, int(_PER_PERPLEXITY * max(perplexities)))
    distances = np.sqrt(np.maximum(2 - 2 * found.similarities.astype(np.float64), 0))
    begin = _TSNE_START * _at_unit_width(start)
    begin += 0.01 * _TSNE_START * generator(seed, "t-SNE").standard_normal(begin.shape)  # No two at the same place.
    projections = []
    with progress.task("t-SNE", len(perplexities)) as task:
        for perplexity in perplexities:
            k = int(_PER_PERPLEXITY * perplexity)
            pairs = affinity(
                perplexity=perplexity, knn_index=given(found.rows[:, :k], distances[:, :k]), n_jobs=threads
            )
            layout = tsne(n_iter=iterations, learning_rate=learning_rate, random_state=seed, n_jobs=threads).fit(
                affinities=pairs, initialization=begin.copy()
            )
            if not np.isfinite(layout).all():
                shown = learning_rate if learning_rate == "auto" else f"{learning_rate:g}"
                raise ParameterError(
                    f"learning_rate: must be so small that t-SNE converges, and with {shown} at perplexity "
                    f"{perplexity:g} it does not; lower it, or take auto"
                )
            projections.append(Projection(f"perplexity {perplexity:g}", np.asarray(layout), ("", "")))
            task.advance(1, f"perplexity {perplexity:g}")
    return projections


def umap_projection(points: ItemVectors, start: Float64[np.ndarray, "N 2"], *, seed: int) -> Projection:
    """Lay the items out by UMAP with 15 neighbours by cosine, from the first two principal components.

    A fixed seed makes UMAP run in one thread: in several, no two runs are alike.

    Args:
        points: the items.
        start: the first two principal components.
        seed: the same seed gives the same picture.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap-learn and numba talk of tensorflow and of threads.
        kind = library("umap").UMAP
        layout = kind(
            n_neighbors=min(_UMAP_NEIGHBOURS, len(points) - 1),
            metric="cosine",
            init=_UMAP_START * _at_unit_width(start).astype(np.float32),
            random_state=seed,
            n_jobs=1,
        ).fit_transform(points.unit_vectors)
    return Projection("", np.asarray(layout), ("", ""))


def _at_unit_width(points: Float64[np.ndarray, "N 2"]) -> Float64[np.ndarray, "N 2"]:
    """Scale coordinates to a standard deviation of 1 along the first axis; points that are all equal stay so."""
    width = points[:, 0].std()
    return points / width if width > 0 else points.copy()
