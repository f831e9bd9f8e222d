"""A model in service: what a request has to know of it, computed once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Int32

from segue.errors import ParameterError
from segue.models.recommendation import Stateful
from segue.serving.carried import CarriedStates
from segue.serving.listing import Listing
from segue.serving.ranking import Moved
from segue.serving.schema.answers import ItemAnswer, ListedItem
from segue.serving.session_rules import SessionRules

if TYPE_CHECKING:
    from segue.models.base import Model

INLINE_SECONDS = 0.001
"""A model that answers faster than this is called by the event loop itself; a thread would cost as much."""

Filter = Mapping[str, Any]


@dataclass(eq=False)
class ServedModel:
    """A model, and what a request has to know of it. A request keeps the one that it began with.

    Attributes:
        name: its name in requests.
        version: hash of its manifest, which lists the checksums of its files.
        folder: where it was read from.
        model: the model.
        seconds: time of one answer, measured when it was loaded.
        listing: rules and availability; None if there are none.
        changed: the items with metadata as it is now; None if it is that of the model.
        unavailable: ids of the items that are not available.
    """

    name: str
    version: str
    folder: Path
    model: "Model"
    seconds: float = 0.0
    listing: Listing | None = None
    changed: pl.DataFrame | None = None
    unavailable: frozenset[str] = frozenset()

    @cached_property
    def rules(self) -> SessionRules:
        """What the model reads of a session."""
        return SessionRules(self._protocol.get("cleaning") or {})

    @cached_property
    def excludes_seen(self) -> bool:
        """Whether items of the session are excluded if a request does not say."""
        return bool((self._protocol.get("cases") or {}).get("exclude_seen", False))

    @property
    def _protocol(self) -> Mapping[str, Any]:
        return self.model.about.get("protocol") or {}

    @cached_property
    def states(self) -> CarriedStates | None:
        """The states of a recurrent model; None for other models."""
        return CarriedStates(self.model) if isinstance(self.model, Stateful) else None

    @property
    def inline(self) -> bool:
        """Whether the event loop calls the model itself."""
        return self.seconds < INLINE_SECONDS

    @cached_property
    def names(self) -> list[str]:
        """Display name by item index; empty if the items have no names."""
        names = self.model.vocabulary.names
        return names.names if names.column is not None else []

    @cached_property
    def index(self) -> dict[str, int]:
        """Item index by raw id, as text."""
        return {str(raw): place for place, raw in enumerate(self.model.vocabulary.raw_ids) if place}

    @cached_property
    def ids(self) -> list[str]:
        """Raw id by item index, as text."""
        return list(map(str, self.model.vocabulary.raw_ids))

    def listed(
        self, indices: Sequence[int], scores: Sequence[float], *, fallback: bool, moved: Moved | None = None
    ) -> list[ListedItem]:
        """Return a ranking as the API lists it.

        Args:
            indices: item indices, best first.
            scores: their scores.
            fallback: whether they are ranked by popularity.
            moved: what rules did to the ranking.
        """
        ids, names = self.ids, self.names
        cold = self.model.vocabulary.cold(indices, fallback=fallback)
        listed = [
            ListedItem(ids[index], score, names[index] if names else None)
            for index, score in zip(indices, scores, strict=True)
        ]
        if cold:
            ways = {str(raw): way for raw, way in cold.items()}
            for item in listed:
                item.cold = ways.get(item.item)
        if moved is not None:
            for item, rule, rank in zip(listed, moved.rules, moved.ranks, strict=True):
                item.rule, item.rank_by_model = rule, rank
        return listed

    @property
    def table(self) -> pl.DataFrame:
        """The items with their metadata, in index order."""
        return self.model.vocabulary.without_vectors().table if self.changed is None else self.changed

    def describe(self, index: int) -> ItemAnswer:
        """Return an item with its metadata."""
        row = self.table.row(index - 1, named=True)
        metadata = {name: _plain(row[name]) for name in self.model.vocabulary.metadata}
        item = self.ids[index]
        return ItemAnswer(item, self.names[index] if self.names else None, metadata, item not in self.unavailable)

    @cached_property
    def texts(self) -> list[pl.Series]:
        """What a search reads, by item index: the ids, and the names if there are any, in lower case."""
        return [pl.Series(column, dtype=pl.String).str.to_lowercase() for column in (self.ids, self.names) if column]

    def search(self, text: str) -> Int32[np.ndarray, "_"]:
        """Return the items whose id or name contains a text, the most popular first.

        Args:
            text: the text, in lower case.
        """
        found = np.zeros(len(self.ids), dtype=bool)
        for column in self.texts:
            found |= column.str.contains(text, literal=True).to_numpy()
        order = self.model.vocabulary.order.items
        matches: np.ndarray = order[found[order]]
        return matches

    @cached_property
    def columns(self) -> dict[str, pl.Series]:
        """Metadata as filters compare it: numbers as numbers, anything else as the text that the API shows."""
        return {name: _comparable(self.table[name]) for name in self.model.vocabulary.metadata}

    def mask(self, wanted: Filter) -> Bool[np.ndarray, "M"]:
        """Return the items whose metadata has the wanted values.

        Args:
            wanted: for each column a value, or a list of values one of which an item must have. A number and its text
                are the same value.

        Raises:
            ParameterError: there is no such column.
        """
        mask: np.ndarray = self._mask(tuple(sorted((name, _as_texts(values)) for name, values in wanted.items())))
        return mask

    @cached_property
    def _mask(self) -> Any:
        columns, count = self.columns, len(self.ids)

        @lru_cache(maxsize=64)
        def mask(wanted: tuple[tuple[str, tuple[str, ...]], ...]) -> Bool[np.ndarray, "M"]:
            allowed = np.ones(count, dtype=bool)
            allowed[0] = False
            for name, values in wanted:
                if name not in columns:
                    known = ", ".join(columns) or "none"
                    raise ParameterError(f"the items have no column {name!r}; they have: {known}")
                column = columns[name]
                found = column.is_in(values_of(pl.Series(values, dtype=pl.String), column.dtype).implode())
                allowed[1:] &= found.fill_null(value=False).to_numpy()
            return allowed

        return mask


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _comparable(column: pl.Series) -> pl.Series:
    if column.dtype.is_integer() or column.dtype.is_float() or column.dtype == pl.String:
        return column
    return pl.Series([None if one is None else as_text(one) for one in column.to_list()], dtype=pl.String)


def values_of(given: pl.Series, kind: pl.DataType) -> pl.Series:
    """Return the values of a type that texts stand for; null for a text that stands for none."""
    values = given.cast(kind, strict=False)
    if kind.is_integer():  # 10.0 is 10, and 10.5 is no value.
        numbers = given.cast(pl.Float64, strict=False)
        values = values.fill_null(numbers.set(numbers != numbers.floor(), None).cast(kind, strict=False))
    return values


def _as_texts(values: Any) -> tuple[str, ...]:
    given = values if isinstance(values, list) else [values]
    return tuple(sorted(as_text(one) for one in given if one is not None))


def as_text(value: Any) -> str:
    """Return a value as the text by which it is compared."""
    return str(value).lower() if isinstance(value, bool) else str(value)
