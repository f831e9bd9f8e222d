"""Raw item id <-> dense item index, learnt from training events only and frozen."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Int, Int32

from segue.data.names import ItemNames
from segue.errors import ParameterError

PADDING = 0
"""Item index that stands for "no item"; real items are numbered 1..N."""

RawId = int | str

_TRUTH_VALUES = frozenset({bool, np.bool_})
"""Types of what Python takes for 0 or 1, and what is no id."""

COLD = "segue: scored as"
"""Column of the catalogue: null for an item of the training, else what its score is taken from.

Metadata that have it are the items of an artifact; it is left out of them.
"""
SIMILAR = "similar items"
"""Taken from training items with the same metadata."""
UNKNOWN = "fallback"
"""From nothing: the item is ranked behind all others, by popularity."""


_FEW = 8
"""Where at most one in so many items is allowed, they are sorted instead of walking past all others."""


@dataclass(frozen=True, eq=False)
class ItemOrder:
    """A total order of the items of a catalogue: it decides between equal scores.

    Attributes:
        items: item indices 1..N, the first one leads.
        places: the place of each item index in ``items``; padding comes last.
    """

    items: Int32[np.ndarray, "N"]
    places: Int32[np.ndarray, "M"]
    on_device: dict[Any, Any] = field(default_factory=dict, repr=False)
    """Copies of ``places`` on other devices, made once for each."""

    @classmethod
    def descending(cls, numbers: Int[np.ndarray, "M"]) -> "ItemOrder":
        """Put items with larger numbers first, those with equal ones in ascending order of index."""
        return cls.of((PADDING + 1 + np.argsort(-numbers[PADDING + 1 :], kind="stable")).astype(np.int32))

    @classmethod
    def of(cls, items: Int32[np.ndarray, "N"]) -> "ItemOrder":
        """Take all items in a given order."""
        places = np.full(len(items) + 1, len(items), dtype=np.int32)
        places[items] = np.arange(len(items), dtype=np.int32)
        return cls(items, places)

    def within(self, allowed: Bool[np.ndarray, "M"] | None) -> Int32[np.ndarray, "_"]:
        """Return the items in their order, without those that are not allowed where these are many."""
        if allowed is None or np.count_nonzero(allowed) * _FEW > len(self.items):
            return self.items
        few = np.flatnonzero(allowed).astype(np.int32)
        return few[np.argsort(self.places[few])]


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
    def order(self) -> ItemOrder:
        """The order of items with equal scores: more training events first, then the lower index."""
        return ItemOrder.descending(self.support)

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

    def require_same(self, other: "Vocabulary", place: str) -> None:
        """Refuse what was encoded with another catalogue; support and metadata may differ.

        Args:
            other: the catalogue that ``place`` was encoded with.
            place: name of the argument, for the message.

        Raises:
            ParameterError: the ids differ, or their order does.
        """
        if other is not self and other.hash != self.hash:
            raise ParameterError(
                f"{place}: must be encoded with the catalogue of the model, {len(self):,} items with hash {self.hash}, "
                f"got {len(other):,} items with hash {other.hash}; "
                "use segue.prepare(log, vocabulary=model.vocabulary), or fit the model on this data set"
            )

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

    def cold(self, indices: Sequence[int] | Int[np.ndarray, "n"], *, fallback: bool = False) -> dict[RawId, str]:
        """Return those of some items that were added after the training, and what their score is taken from.

        Args:
            indices: item indices, 1..N.
            fallback: True where popularity alone has ranked them.
        """
        if not self._added:
            return {}
        found = [index for index in map(int, indices) if index in self._added]
        return {self.labels[index]: UNKNOWN if fallback else self._added[index] for index in found}

    @cached_property
    def _added(self) -> dict[int, str]:
        """What the score of each item index that was added after the training is taken from."""
        if COLD not in self.table.columns:
            return {}
        return {index: way for index, way in enumerate(self.table[COLD].to_list(), start=1) if way is not None}

    @cached_property
    def labels(self) -> list[RawId]:
        """The raw id of each item index as a plain list; that of padding is empty text."""
        return ["", *self.ids.to_list()]

    @cached_property
    def _index(self) -> dict[RawId, int]:
        return {raw: index for index, raw in enumerate(self.labels) if index}

    def encode(self, items: pl.Series) -> Int32[np.ndarray, "n"]:
        """Map a column of raw ids to item indices; an unknown id becomes ``PADDING``."""
        right = self.table.select("item").with_row_index("index", offset=1)
        left = pl.DataFrame({"item": items.cast(self.ids.dtype, strict=False)})
        joined = left.join(right, on="item", how="left", maintain_order="left")
        return joined["index"].fill_null(PADDING).cast(pl.Int32).to_numpy()

    def index(self, items: Sequence[Any]) -> list[int]:
        """Map a few raw ids, or names of items, to item indices; what is neither becomes ``PADDING``.

        An id is found whether it is given as a number or as its text, so ids typed on a command line work. A text that
        is no id is taken for a name, see ``names``. Truth values and decimals such as 1.5 are no ids.

        Raises:
            ParameterError: something cannot be an id of any kind, such as a list.
        """
        known = self._index
        try:
            return [0 if item.__class__ in _TRUTH_VALUES else known.get(item) or self._look_up(item) for item in items]
        except TypeError:
            for place, item in enumerate(items):
                if type(item).__hash__ is None:
                    raise ParameterError(f"items: must be item ids, got {item!r} at {place}") from None
            raise

    def _look_up(self, item: Any) -> int:
        """Return the index of an item whose id is written in another way, or which is given by its name."""
        raw = as_stored(item, int if self.ids.dtype.is_integer() else str)
        index = None if raw is None else self._index.get(raw)
        if index is None and isinstance(item, str):
            index = self.names.find(item)
        return index or PADDING

    @cached_property
    def names(self) -> ItemNames:
        """What the items are called, as far as the metadata tell."""
        return ItemNames(self.ids, self.table.select(self.metadata))

    def suggest(self, text: str, n: int = 3) -> list[RawId]:
        """Return the ids of at most n items whose names or ids are nearest to a text, nearest first."""
        return [self.labels[index] for index in self.names.suggest(text, n)]

    def require_rows(self, model: str, **rows: int) -> None:
        """Refuse arrays of a model that do not have one row per item index.

        Args:
            model: name of the model.
            **rows: rows of each array.

        Raises:
            ParameterError: the first array that has another number.
        """
        for name, count in rows.items():
            if count != len(self) + 1:
                raise ParameterError(
                    f"{model}.{name}: must have {len(self) + 1} rows, padding and the {len(self)} items of the "
                    f"vocabulary, got {count}; restore a model with the vocabulary of its arrays"
                )

    def can_read(self, index: int) -> bool:
        """Whether a model knows anything of an item index; see ``readable``."""
        return index != PADDING and index not in self._strangers

    @property
    def reads_all(self) -> bool:
        """Whether a model knows something of every item."""
        return not self._strangers

    @cached_property
    def _strangers(self) -> frozenset[int]:
        """The item indices that resemble nothing in training."""
        return frozenset(index for index, way in self._added.items() if way == UNKNOWN)

    def decode(self, indices: Int[np.ndarray, "n"]) -> list[RawId]:
        """Map item indices (1..N) back to raw ids."""
        return [self.labels[index] for index in indices.tolist()]


def as_stored(raw: Any, kind: type[int] | type[str]) -> RawId | None:
    """Return an id as a column of integers or texts would hold it; None for what is no such id.

    A number is an id of a column of texts, too, and a text one of a column of integers: ``5`` and ``"5"`` are the same.
    A truth value, a decimal such as 1.5, or None is no id.
    """
    if isinstance(raw, str):
        return raw if kind is str else _integer(raw)
    if isinstance(raw, bool | np.bool_) or raw is None:
        return None
    if kind is str and not isinstance(raw, float | np.floating):
        return str(raw)
    number = _integer(raw)
    return None if number is None or number != raw else kind(number)


def _integer(raw: Any) -> int | None:
    if isinstance(raw, str) and (not raw.isascii() or "_" in raw):  # Python reads "1_0" as 10.
        return None
    try:
        return int(raw)
    except (TypeError, ValueError, OverflowError):
        return None
