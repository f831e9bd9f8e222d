"""Vocabulary: raw item id <-> dense item index, learned from training events only."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Int, Int32

from segue.data.item_names import ItemNames
from segue.errors import ParameterError

PADDING = 0
"""Item index of padding and unknown items; real items are numbered 1..N."""

RawId = int | str

_BOOLEANS = frozenset({bool, np.bool_})
"""Types that equal 0 or 1 in Python, but are not ids."""

COLD = "segue: scored as"
"""Column of the vocabulary: null for a training item, else the origin of an added item's score.

It is dropped from metadata, which have it if they are the items of an artifact.
"""
SIMILAR = "similar items"
"""Scored by training items with the same metadata."""
UNKNOWN = "fallback"
"""Not scored: ranked behind all others, by popularity."""

VECTOR = "segue: vector"
"""Column of the vocabulary: the vector of an item that ``--item-vectors`` gave, an array of float32; null for none."""

_SORT_BELOW = 8
"""If at most one in this many items is allowed, sorting them is faster than skipping the others."""


@dataclass(frozen=True, eq=False)
class ItemOrder:
    """A total order of the items, which breaks ties between equal scores.

    Attributes:
        items: item indices 1..N, best first.
        places: the position of each item index in ``items``; padding comes last.
    """

    items: Int32[np.ndarray, "N"]
    places: Int32[np.ndarray, "M"]
    on_device: dict[Any, Any] = field(default_factory=dict, repr=False)
    """Copies of ``places`` by device, made on first use."""

    @classmethod
    def descending(cls, numbers: Int[np.ndarray, "M"]) -> "ItemOrder":
        """Order items by descending number, then by ascending index."""
        return cls.of((PADDING + 1 + np.argsort(-numbers[PADDING + 1 :], kind="stable")).astype(np.int32))

    @classmethod
    def of(cls, items: Int32[np.ndarray, "N"]) -> "ItemOrder":
        """Create an order from the sorted items."""
        places = np.full(len(items) + 1, len(items), dtype=np.int32)
        places[items] = np.arange(len(items), dtype=np.int32)
        return cls(items, places)

    def within(self, allowed: Bool[np.ndarray, "M"] | None) -> Int32[np.ndarray, "_"]:
        """Return the items in order; items that are not allowed are left out if that saves time."""
        if allowed is None or np.count_nonzero(allowed) * _SORT_BELOW > len(self.items):
            return self.items
        few = np.flatnonzero(allowed).astype(np.int32)
        return few[np.argsort(self.places[few])]


@dataclass(frozen=True, eq=False, repr=False)
class Vocabulary:
    """The items that a model can recommend.

    Attributes:
        table: one row per item in index order (row ``j`` is item ``j + 1``): ``item`` (raw id, Int64 or String),
            ``support`` (training events, Int64), any metadata columns, ``VECTOR`` if the items have vectors, and
            ``COLD`` if items were added later.
    """

    table: pl.DataFrame

    def __repr__(self) -> str:
        return f"Vocabulary(items={len(self)})"

    @classmethod
    def from_items(cls, items: pl.Series, metadata: pl.DataFrame | None = None) -> "Vocabulary":
        """Number the distinct ids of ``items`` (one entry per training event) in ascending order of id.

        Args:
            items: raw ids, one per event.
            metadata: optional table with a column ``item``; its other columns are joined to the items.
        """
        return cls.from_counts(items.alias("item").value_counts(name="events"), metadata)

    @classmethod
    def from_counts(cls, counts: pl.DataFrame, metadata: pl.DataFrame | None = None) -> "Vocabulary":
        """Number items in ascending order of id.

        Args:
            counts: distinct ids (column ``item``) and their training events (column ``events``).
            metadata: see ``from_items``.
        """
        table = counts.sort("item").select("item", support=pl.col("events").cast(pl.Int64))
        if metadata is not None:
            ids = pl.col("item").cast(table.schema["item"], strict=False)
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
    def order(self) -> ItemOrder:
        """The order of items with equal scores: by descending number of training events, then by index."""
        return ItemOrder.descending(self.support)

    @cached_property
    def hash(self) -> str:
        """Identity of the vocabulary: 16 hex digits of SHA-256 over the type of the ids and the ids in index order."""
        digest = hashlib.sha256(f"{self.ids.dtype}:{len(self)};".encode())
        if self.ids.dtype.is_integer():
            digest.update(self.ids.cast(pl.Int64).to_numpy().astype("<i8", copy=False).tobytes())
        else:
            digest.update(self.ids.str.len_bytes().cast(pl.Int64).to_numpy().astype("<i8", copy=False).tobytes())
            digest.update("".join(self.ids.to_list()).encode())
        return digest.hexdigest()[:16]

    def require_same(self, other: "Vocabulary", name: str) -> None:
        """Refuse data encoded with another vocabulary; support and metadata may differ.

        Args:
            other: the vocabulary of the data.
            name: name of the argument, for messages.

        Raises:
            ParameterError: the ids differ, or their order does.
        """
        if other is not self and other.hash != self.hash:
            raise ParameterError(
                f"{name}: must be encoded with the catalogue of the model, {len(self):,} items with hash {self.hash}, "
                f"got {len(other):,} items with hash {other.hash}; "
                "use segue.prepare(log, vocabulary=model.vocabulary), or fit the model on this data set"
            )

    @cached_property
    def metadata(self) -> tuple[str, ...]:
        """Names of the metadata columns."""
        return tuple(name for name in self.table.columns if name not in ("item", "support", COLD, VECTOR))

    def without_vectors(self) -> "Vocabulary":
        """Return the vocabulary itself, or one without the vectors of its items if it has any."""
        return Vocabulary(self.table.drop(VECTOR)) if VECTOR in self.table.columns else self

    @property
    def n_trained(self) -> int:
        """Number of training items, which come first."""
        return self.table[COLD].null_count() if COLD in self.table.columns else len(self)

    @cached_property
    def known(self) -> Bool[np.ndarray, "M"]:
        """Whether a model can score each item index: neither padding nor a cold item without similar items."""
        known = np.ones(len(self) + 1, dtype=bool)
        known[PADDING] = False
        if COLD in self.table.columns:
            known[1:] = self.table[COLD].ne_missing(UNKNOWN).to_numpy()
        return known

    def cold(self, indices: Sequence[int] | Int[np.ndarray, "n"], *, fallback: bool = False) -> dict[RawId, str]:
        """Return the cold items among some items, with the origin of their scores.

        Args:
            indices: item indices, 1..N.
            fallback: True if they were ranked only by popularity.
        """
        if not self._added:
            return {}
        found = [index for index in map(int, indices) if index in self._added]
        return {self.raw_ids[index]: UNKNOWN if fallback else self._added[index] for index in found}

    @cached_property
    def _added(self) -> dict[int, str]:
        """The origin of the score of each added item index."""
        if COLD not in self.table.columns:
            return {}
        origins = enumerate(self.table[COLD].to_list(), start=1)
        return {index: origin for index, origin in origins if origin is not None}

    @cached_property
    def raw_ids(self) -> list[RawId]:
        """Raw id by item index as a plain list; empty text for padding."""
        return ["", *self.ids.to_list()]

    @cached_property
    def _index(self) -> dict[RawId, int]:
        return {raw: index for index, raw in enumerate(self.raw_ids) if index}

    def encode(self, items: pl.Series) -> Int32[np.ndarray, "n"]:
        """Map raw ids to item indices; an unknown id becomes ``PADDING``."""
        right = self.table.select("item").with_row_index("index", offset=1)
        left = pl.DataFrame({"item": items.cast(self.ids.dtype, strict=False)})
        joined = left.join(right, on="item", how="left", maintain_order="left")
        return joined["index"].fill_null(PADDING).cast(pl.Int32).to_numpy()

    def index(self, items: Sequence[Any]) -> list[int]:
        """Map a few raw ids, or names of items, to item indices; anything else becomes ``PADDING``.

        An integer id may be given as text and vice versa, as on a command line. Text that is not an id is looked up
        as a name, see ``names``. Booleans and decimals such as 1.5 are not ids.

        Raises:
            ParameterError: an item cannot be an id of any type, for example a list.
        """
        known = self._index
        try:
            return [0 if item.__class__ in _BOOLEANS else known.get(item) or self._look_up(item) for item in items]
        except TypeError:
            for position, item in enumerate(items):
                if type(item).__hash__ is None:
                    raise ParameterError(f"items: must be item ids, got {item!r} at {position}") from None
            raise

    def _look_up(self, item: Any) -> int:
        """Return the index of an item given by another form of its id, or by its name."""
        raw = normalize_id(item, int if self.ids.dtype.is_integer() else str)
        index = None if raw is None else self._index.get(raw)
        if index is None and isinstance(item, str):
            index = self.names.find(item)
        return index or PADDING

    @cached_property
    def names(self) -> ItemNames:
        """The names of the items, if the metadata has any."""
        return ItemNames(self.ids, self.table.select(self.metadata))

    def suggest(self, text: str, n: int = 3) -> list[RawId]:
        """Return the ids of at most n items whose names or ids are most similar to a text, most similar first."""
        return [self.raw_ids[index] for index in self.names.suggest(text, n)]

    def is_known(self, index: int) -> bool:
        """Whether a model can score an item index; see ``known``."""
        return index != PADDING and index not in self._unknown

    @property
    def all_known(self) -> bool:
        """Whether a model can score every item."""
        return not self._unknown

    @cached_property
    def _unknown(self) -> frozenset[int]:
        """Item indices without similar training items."""
        return frozenset(index for index, origin in self._added.items() if origin == UNKNOWN)

    def decode(self, indices: Int[np.ndarray, "n"]) -> list[RawId]:
        """Map item indices (1..N) back to raw ids."""
        return [self.raw_ids[index] for index in indices.tolist()]


def normalize_id(raw: Any, kind: type[int] | type[str]) -> RawId | None:
    """Convert an id to the type of an id column, integers or text; None if it is not an id.

    ``5`` and ``"5"`` are the same id, whatever the type of the column. A boolean, a decimal such as 1.5, or None is not
    an id.
    """
    if isinstance(raw, str):
        return raw if kind is str else _parse_integer(raw)
    if isinstance(raw, bool | np.bool_) or raw is None:
        return None
    if kind is str and not isinstance(raw, float | np.floating):
        return str(raw)
    number = _parse_integer(raw)
    return None if number is None or number != raw else kind(number)


def _parse_integer(raw: Any) -> int | None:
    if isinstance(raw, str) and (not raw.isascii() or "_" in raw):  # Python reads "1_0" as 10.
        return None
    try:
        return int(raw)
    except (TypeError, ValueError, OverflowError):
        return None
