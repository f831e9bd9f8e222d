"""The items of a model as vectors with metadata; their nearest neighbours and the purity of categories."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import torch
from jaxtyping import Float32, Int64

from segue.data.vocabulary import COLD, PADDING, VECTOR, Vocabulary
from segue.embeddings.options import CLUSTER, POPULARITY, Similarity
from segue.errors import ParameterError
from segue.models.attention_clustering import AttentionClustering
from segue.models.base import Model
from segue.models.composite import CompositeModel
from segue.rng import generator

MIN_ITEMS = 3
"""Items that a plot needs."""

K = 10
"""Neighbours that are listed, and that the purity of categories considers."""

_CELLS = 2**25
"""Similarities that exist at once: 128 MiB."""


@dataclass(frozen=True, eq=False)
class ItemVectors:
    """Items with a vector each.

    Attributes:
        vectors: one per item.
        items: a row per item: ``item`` (raw id), ``support`` (training events) and the metadata.
    """

    vectors: Float32[np.ndarray, "N D"]
    items: pl.DataFrame

    def __len__(self) -> int:
        """Number of items N."""
        return self.items.height

    @cached_property
    def unit_vectors(self) -> Float32[np.ndarray, "N D"]:
        """The vectors at length 1, so that their dot products are cosines; a vector of zeros stays one."""
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        scaled: np.ndarray = np.divide(self.vectors, lengths, out=np.zeros_like(self.vectors), where=lengths > 0)
        return scaled

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Ids and names of the items; the index of a row is one more than its number."""
        return Vocabulary(self.items)

    @cached_property
    def metadata(self) -> tuple[str, ...]:
        """Names of the columns of metadata."""
        return tuple(name for name in self.items.columns if name not in ("item", "support"))

    @property
    def name_column(self) -> str | None:
        """The column that names the items."""
        return self.vocabulary.names.column

    @property
    def names(self) -> list[str]:
        """The name of each item, or its id where it has none."""
        return self.vocabulary.names.names[PADDING + 1 :]

    def sample(self, size: int, seed: int) -> Int64[np.ndarray, "n"]:
        """Return the rows of a random sample, ascending; all rows if there are no more than ``size``."""
        if len(self) <= size:
            return np.arange(len(self))
        return np.sort(generator(seed, "sample of items").choice(len(self), size, replace=False))

    def select(self, rows: Int64[np.ndarray, "n"]) -> "ItemVectors":
        """Return some of the items."""
        return self if len(rows) == len(self) else ItemVectors(self.vectors[rows], self.items[rows])

    def find(self, item: str) -> int:
        """Return the row of an item, given by its id or, if no other item has it, by its name.

        Raises:
            ParameterError: there is no such item, or several.
        """
        if index := int(self.vocabulary.index([item])[0]):
            return index - 1
        names = self.vocabulary.names
        if shared := names.with_name(item):
            ids = ", ".join(self.items["item"][[index - 1 for index in shared[:5]]].cast(pl.String))
            raise ParameterError(
                f"neighbours: must name one item, '{item}' is the name of {len(shared)}; give an id ({ids})"
            )
        raise ParameterError(
            "neighbours: must be the id or the name of an item that training has seen, got "
            f"'{item}'{names.did_you_mean(item)}"
        )


def item_vectors(model: Model, metadata: pl.DataFrame | None = None, *, stage: str | None = None) -> ItemVectors:
    """Return the items that a model was trained on; those that were added later have no vector of their own.

    Args:
        model: a fitted model.
        metadata: a table with a column ``item``; its columns replace those that the model knows by that name.
        stage: which model of several: ``retriever`` or ``ranker`` of a two-stage model, a name in a blend.

    Raises:
        ParameterError: the model has no vectors or too few, or a stage does not fit the model.
    """
    model = _single_model(model, stage)
    table = model.item_vectors()
    if table is None:
        raise ParameterError(
            f"{model.name}: has no item vectors, so there is nothing to plot; use a model with item vectors, such as "
            "als, bpr or any network"
        )
    trained = model.vocabulary.n_trained
    if trained < MIN_ITEMS:
        raise ParameterError(f"{model.name}: must know at least {MIN_ITEMS} items for a picture, got {trained}")
    vectors = np.ascontiguousarray(table[PADDING + 1 : trained + 1], dtype=np.float32)
    items = model.vocabulary.table[:trained].drop(COLD, VECTOR, strict=False)
    return ItemVectors(vectors, items if metadata is None else _with_metadata(items, metadata))


def with_clusters(points: ItemVectors, model: Model, *, stage: str | None = None) -> ItemVectors:
    """Return the items of a model with a column of the cluster that the network assigns to each.

    Args:
        points: what ``item_vectors`` returned of the model; a column of that name is taken where a model has no
            clusters.
        model: the fitted model.
        stage: which model of several; see ``item_vectors``.

    Raises:
        ParameterError: the model has no clusters, or both it and the metadata have some.
    """
    model, listed = _single_model(model, stage), CLUSTER in points.metadata
    if not isinstance(model, AttentionClustering):
        if listed:
            return points
        raise ParameterError(
            f"color: '{CLUSTER}' needs a network that assigns items to clusters, {AttentionClustering.name}, got "
            f"{model.name}; write {POPULARITY} or a column of the items' metadata"
        )
    if listed:
        raise ParameterError(
            f"color: '{CLUSTER}' is both the network's clusters and a column of the items' metadata; rename the "
            f"column, or write {CLUSTER}:category for it"
        )
    clusters = pl.Series(CLUSTER, model.clusters()[: len(points)])
    return ItemVectors(points.vectors, points.items.with_columns(clusters))


def _single_model(model: Model, stage: str | None) -> Model:
    if stage is None:
        return model
    if not isinstance(model, CompositeModel):
        raise ParameterError(f"stage: must be left out for {model.name}, which is one model, got '{stage}'")
    if stage not in model.parts:
        raise ParameterError(f"stage: must be {' or '.join(model.parts)}, got '{stage}'")
    return model.parts[stage]


def _with_metadata(items: pl.DataFrame, metadata: pl.DataFrame) -> pl.DataFrame:
    known = metadata.drop("support", COLD, strict=False)
    known = known.with_columns(pl.col("item").cast(items["item"].dtype, strict=False)).drop_nulls("item")
    known = known.unique("item", keep="first", maintain_order=True)
    if not known.join(items, on="item", how="semi").height:
        raise ParameterError(
            f"items: must contain ids that the model was trained on, got {metadata.height:,} other ids; "
            "give the file that belongs to its log"
        )
    kept = items.drop([name for name in known.columns if name != "item"], strict=False)
    return kept.join(known, on="item", how="left", maintain_order="left")


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The items most similar to each item, most similar first; an item is not its own neighbour.

    Attributes:
        rows: their rows.
        similarities: cosines or dot products.
    """

    rows: Int64[np.ndarray, "n k"]
    similarities: Float32[np.ndarray, "n k"]


def nearest_neighbours(
    points: ItemVectors, k: int, similarity: Similarity = "cosine", *, of: Int64[np.ndarray, "n"] | None = None
) -> Neighbours:
    """Compare items with all items, exactly and in chunks.

    Args:
        points: the items.
        k: neighbours of each, at most N - 1.
        similarity: cosine, or dot product, which prefers long vectors (usually of popular items).
        of: rows of the items whose neighbours are wanted; None takes all.
    """
    k = min(k, len(points) - 1)
    vectors = torch.tensor(points.unit_vectors if similarity == "cosine" else points.vectors)
    queries = torch.arange(len(points)) if of is None else torch.from_numpy(of)
    rows, values = [], []
    for part in torch.split(queries, max(1, _CELLS // len(points))):
        similarities = vectors[part] @ vectors.T
        similarities[torch.arange(len(part)), part] = -torch.inf
        best = similarities.topk(k, dim=1)
        rows.append(best.indices)
        values.append(best.values)
    return Neighbours(torch.cat(rows).numpy(), torch.cat(values).numpy())


@dataclass(frozen=True)
class Purity:
    """The share of the nearest neighbours of an item with the same category.

    Attributes:
        value: mean share, over the items and their neighbours.
        chance: the value for random neighbours.
        k: neighbours of each item.
        items: number of items whose category is known; the others are left out.
        categories: number of categories.
    """

    value: float
    chance: float
    k: int
    items: int
    categories: int


def category_purity(points: ItemVectors, categories: pl.Series, k: int = K) -> Purity | None:
    """Return the purity of categories among the nearest neighbours by cosine, in the full space.

    Args:
        points: the items.
        categories: of each item; null where it is not known.
        k: neighbours of each.

    Returns:
        None if fewer than two items have a category.
    """
    known = np.flatnonzero(categories.is_not_null().to_numpy())
    if len(known) < 2:
        return None
    labels = categories.rank("dense").gather(known).to_numpy()
    counts = np.bincount(labels)
    neighbours = nearest_neighbours(points.select(known), k).rows
    value = (labels[neighbours] == labels[:, None]).mean()
    chance = (counts * (counts - 1)).sum() / (len(known) * (len(known) - 1))
    return Purity(float(value), float(chance), neighbours.shape[1], len(known), int((counts > 0).sum()))
