"""Models whose item vectors are consistent but false; see ``crafted``."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from crafted import ITEMS, Craft

from segue.data.vocabulary import VECTOR


def vector_crafts(folder: Path) -> Iterator[Craft]:
    """Yield changes of the vectors in the catalogue of a model, if there are some."""
    if VECTOR not in pl.read_parquet_schema(folder / ITEMS):
        return

    def write(change: Callable[[np.ndarray], pl.Series | list[Any]]) -> Callable[[Path], None]:
        def apply(path: Path) -> None:
            table = pl.read_parquet(path / ITEMS)
            vectors = pl.Series(VECTOR, change(table[VECTOR].to_numpy().copy()))
            table.with_columns(vectors).write_parquet(path / ITEMS)

        return apply

    changes: dict[str, tuple[Callable[[np.ndarray], Any], bool]] = {
        "not a number": (lambda vectors: np.where(vectors == vectors[-1], np.float32(np.nan), vectors), True),
        "infinite": (lambda vectors: np.where(vectors == vectors[-1], np.float32(np.inf), vectors), True),
        "the largest number": (lambda vectors: np.full_like(vectors, np.finfo(np.float32).max), False),
        "zeros": (np.zeros_like, False),
        "float64": (lambda vectors: vectors.astype(np.float64), True),
        "a number less": (lambda vectors: vectors[:, :-1], False),
        "a number more": (lambda vectors: np.concatenate([vectors, vectors], axis=1), False),
        "lists": (lambda vectors: vectors.tolist(), True),
        "text": (lambda vectors: ["1 2"] * len(vectors), True),
        "the first missing": (lambda vectors: _array_column([None, *vectors[1:].tolist()]), False),
        "all missing": (lambda vectors: _array_column([None] * len(vectors)), False),
    }
    for name, (change, invalid) in changes.items():
        yield Craft(f"vectors: {name}", write(change), invalid)


def _array_column(rows: list[list[float] | None]) -> pl.Series:
    return pl.Series(rows, dtype=pl.Array(pl.Float32, 2))
