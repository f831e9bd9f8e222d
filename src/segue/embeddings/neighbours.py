"""Nearest items, exactly, in chunks; and how often they are of the same category."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Float32, Int64

from segue.embeddings.cloud import Cloud
from segue.embeddings.options import Similarity
from segue.errors import ParameterError

K = 10
"""Neighbours that are listed, and that the purity of categories looks at."""

_CELLS = 2**25
"""Similarities that exist at once: 128 MiB."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The items most similar to each, the most similar first; an item is no neighbour of its own.

    Attributes:
        rows: their rows in the cloud.
        similarities: cosines or dot products.
    """

    rows: Int64[np.ndarray, "n k"]
    similarities: Float32[np.ndarray, "n k"]


def neighbours_of(
    cloud: Cloud, k: int, similarity: Similarity = "cosine", *, of: Int64[np.ndarray, "n"] | None = None
) -> Neighbours:
    """Compare items with all items, exactly.

    Args:
        cloud: the items.
        k: neighbours of each, at most N - 1.
        similarity: cosine, or dot product, which prefers long vectors: those of popular items, as a rule.
        of: rows of the items whose neighbours are wanted; None takes all.
    """
    k = min(k, len(cloud) - 1)
    vectors = torch.from_numpy(cloud.directions if similarity == "cosine" else cloud.vectors)
    asked = torch.arange(len(cloud)) if of is None else torch.from_numpy(of)
    rows, values = [], []
    for part in torch.split(asked, max(1, _CELLS // len(cloud))):
        similarities = vectors[part] @ vectors.T
        similarities[torch.arange(len(part)), part] = -torch.inf
        best = similarities.topk(k, dim=1)
        rows.append(best.indices)
        values.append(best.values)
    return Neighbours(torch.cat(rows).numpy(), torch.cat(values).numpy())


@dataclass(frozen=True)
class Purity:
    """How often the nearest neighbours of an item are of its category.

    Attributes:
        value: mean share, over the items and their neighbours.
        chance: what neighbours drawn at random would give.
        k: neighbours of each item.
        items: number of items whose category is known; the others are left out.
        categories: number of categories.
    """

    value: float
    chance: float
    k: int
    items: int
    categories: int


def category_purity(cloud: Cloud, categories: pl.Series, k: int = K) -> Purity | None:
    """Return the purity of categories among the nearest neighbours by cosine, in the full space.

    Args:
        cloud: the items.
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
    found = neighbours_of(cloud.part(known), k).rows
    value = (labels[found] == labels[:, None]).mean()
    chance = (counts * (counts - 1)).sum() / (len(known) * (len(known) - 1))
    return Purity(float(value), float(chance), found.shape[1], len(known), int((counts > 0).sum()))


def row_of(cloud: Cloud, asked: str) -> int:
    """Return the row of the item that was asked for, by its id or, if only one has it, by its name.

    Raises:
        ParameterError: there is no such item, or several.
    """
    by_id = np.flatnonzero((cloud.items["item"].cast(pl.String) == asked).to_numpy())
    if len(by_id):
        return int(by_id[0])
    index = cloud.called.find(asked)
    if index is not None:
        return index - 1
    if shared := cloud.called.with_name(asked):
        ids = ", ".join(cloud.items["item"][[index - 1 for index in shared[:5]]].cast(pl.String))
        raise ParameterError(
            f"neighbours: must name one item, '{asked}' is the name of {len(shared)}; give an id ({ids})"
        )
    raise ParameterError(
        f"neighbours: must be the id or the name of an item that training has seen, got '{asked}'"
        f"{cloud.called.did_you_mean(asked)}"
    )
