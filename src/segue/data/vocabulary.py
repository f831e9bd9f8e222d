"""Raw item id <-> dense item index, learnt from training events only and frozen."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from jaxtyping import Bool, Int, Int32

PADDING = 0
"""Item index that stands for "no item"; real items are numbered 1..N."""

RawId = int | str

COLD = "segue: scored as"
"""Column of the catalogue: null for an item of the training, else what its score is taken from.

Metadata that have it are the items of an artifact; it is left out of them.
"""
SIMILAR = "similar items"
"""Taken from training items with the same metadata."""
UNKNOWN = "fallback"
"""From nothing: the item is ranked behind all others, by popularity."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The catalogue a model can recommend from.

    Attributes:
        table: one row per item in index order (row ``j`` is item ``j + 1``): ``item`` (raw id, Int64 or String),
            ``support`` (training events, Int64) and any metadata columns; and ``COLD``, if items were added later.
    """

    table: pl.DataFrame

    @classmethod
    def from_items(cls, items: pl.Series, metadata: pl.DataFrame | None = None) -> "Vocabulary":
        """Number the distinct ids of ``items`` (one entry per training event) in ascending order of id.

        Args:
            items: raw ids, one per event.
            metadata: optional table with a column ``item``; its other columns are kept for the known items.
        """
        counts = items.alias("item").value_counts(name="support").sort("item")
        table = counts.with_columns(pl.col("support").cast(pl.Int64))
        if metadata is not None:
            ids = pl.col("item").cast(items.dtype, strict=False)
            unique = metadata.drop(COLD, strict=False).with_columns(ids).unique("item", keep="first")
            table = table.join(unique, on="item", how="left", maintain_order="left")
        return cls(table)

    def __len__(self) -> int:
        """Number of items N, padding not counted."""
        return self.table.height

    @cached_property
    def ids(self) -> pl.Series:
        """Raw ids in index order."""
        return self.table["item"]

    @cached_property
    def support(self) -> Int[np.ndarray, "M"]:
        """Training events per item index; the padding row is 0."""
        counts = np.zeros(len(self) + 1, dtype=np.int64)
        counts[1:] = self.table["support"].to_numpy()
        return counts

    @cached_property
    def hash(self) -> str:
        """Identity of the catalogue: 16 hex digits of SHA-256 over the type of the ids and the ids in index order."""
        digest = hashlib.sha256(f"{self.ids.dtype}:{len(self)};".encode())
        if self.ids.dtype.is_integer():
            digest.update(self.ids.cast(pl.Int64).to_numpy().astype("<i8", copy=False).tobytes())
        else:
            digest.update(self.ids.str.len_bytes().cast(pl.Int64).to_numpy().astype("<i8", copy=False).tobytes())
            digest.update("".join(self.ids.to_list()).encode())
        return digest.hexdigest()[:16]

    @cached_property
    def metadata(self) -> tuple[str, ...]:
        """Names of the metadata columns."""
        return tuple(name for name in self.table.columns if name not in ("item", "support", COLD))

    @property
    def n_trained(self) -> int:
        """Number of items that the training has seen, which are the first ones."""
        return self.table[COLD].null_count() if COLD in self.table.columns else len(self)

    @cached_property
    def readable(self) -> Bool[np.ndarray, "M"]:
        """Whether a model knows anything of an item index; not of padding, nor of a cold item that resembles none."""
        known = np.ones(len(self) + 1, dtype=bool)
        known[PADDING] = False
        if COLD in self.table.columns:
            known[1:] = self.table[COLD].ne_missing(UNKNOWN).to_numpy()
        return known

    def cold(self, indices: Int[np.ndarray, "n"], *, fallback: bool = False) -> dict[RawId, str]:
        """Return those of some items that were added after the training, and what their score is taken from.

        Args:
            indices: item indices, 1..N.
            fallback: True where popularity alone has ranked them.
        """
        if COLD not in self.table.columns:
            return {}
        rows = self.table.select("item", COLD)[np.asarray(indices, dtype=np.int64) - 1].drop_nulls(COLD)
        return {item: UNKNOWN if fallback else way for item, way in rows.iter_rows()}

    @cached_property
    def _index(self) -> dict[RawId, int]:
        return {raw: position for position, raw in enumerate(self.ids.to_list(), start=1)}

    def encode(self, items: pl.Series) -> Int32[np.ndarray, "n"]:
        """Map a column of raw ids to item indices; an unknown id becomes ``PADDING``."""
        right = self.table.select("item").with_row_index("index", offset=1)
        left = pl.DataFrame({"item": items.cast(self.ids.dtype, strict=False)})
        joined = left.join(right, on="item", how="left", maintain_order="left")
        return joined["index"].fill_null(PADDING).cast(pl.Int32).to_numpy()

    def index(self, items: Sequence[RawId]) -> Int32[np.ndarray, "n"]:
        """Map a few raw ids to item indices; an unknown id becomes ``PADDING``.

        An id is found whether it is given as a number or as its text, so ids typed on a command line work.
        """
        convert = int if self.ids.dtype.is_integer() else str
        return np.array([self._index.get(_as(convert, item), PADDING) for item in items], dtype=np.int32)

    def decode(self, indices: Int[np.ndarray, "n"]) -> list[RawId]:
        """Map item indices (1..N) back to raw ids."""
        return self.ids.gather(np.asarray(indices, dtype=np.int64) - 1).to_list()


def _as(kind: type[int] | type[str], item: RawId) -> RawId:
    """Return an id as the vocabulary would hold it; what is no such id (``"pan"``, 1.5 or None) stays as it is."""
    try:
        converted = kind(item)
    except (TypeError, ValueError):
        return item
    return converted if isinstance(item, str) or kind is str or converted == item else item
