"""Clouds whose answer is known, and models that hold them."""

from pathlib import Path

import numpy as np
import polars as pl

from segue.data.vocabulary import Vocabulary
from segue.embeddings.vectors import ItemVectors
from segue.models.als import ALS

HOSTILE = "</script><script>alert(1)</script>"


def cloud(vectors: np.ndarray, **columns: object) -> ItemVectors:
    """Return items with ids from 100, and support 1, 2, 3, ... unless it is given."""
    n = len(vectors)
    items = pl.DataFrame({"item": range(100, 100 + n), "support": range(1, n + 1), **columns})
    return ItemVectors(np.asarray(vectors, dtype=np.float32), items)


def groups(per_group: int = 20, count: int = 6, width: int = 8, noise: float = 0.3, seed: int = 0) -> ItemVectors:
    """Return well separated groups, named in the column ``kind``, with decimal prices and names."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(count), per_group)
    vectors = rng.standard_normal((count, width))[kinds] + noise * rng.standard_normal((len(kinds), width))
    return cloud(
        vectors,
        name=[f"Product {number}" for number in range(len(kinds))],
        kind=[f"kind {kind}" for kind in kinds],
        price=[1.5 * number for number in range(len(kinds))],
    )


def model_of(points: ItemVectors) -> ALS:
    """Return a fitted model whose items these are."""
    width = points.vectors.shape[1]
    factors = np.vstack([np.zeros((1, width), dtype=np.float32), points.vectors])
    return ALS(embedding_size=width).restore({"item_factors": factors}, Vocabulary(points.items))


def artifact_of(points: ItemVectors, path: Path) -> Path:
    """Save a model whose items these are."""
    return model_of(points).save(path)
