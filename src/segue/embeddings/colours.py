"""Colours of items: by popularity, or by a column of their metadata."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from segue.charts import PALETTE, SHAPES
from segue.embeddings.options import POPULARITY
from segue.embeddings.vectors import ItemVectors
from segue.errors import ParameterError

_HUES = PALETTE[:7]
"""Without grey."""
_SHAPES = (SHAPES[0], SHAPES[3])
UNKNOWN_GREY = "#BBBBBB"
"""Colour of other categories and of items without a known value."""
OTHER, UNKNOWN = "other", "not known"

MAX_CATEGORIES = len(_SHAPES) * len(_HUES)
"""Maximum number of distinguishable categories: each colour in two shapes."""
_IF_MORE = len(_HUES)
"""Number of shown categories if there are more: one per colour, because shapes are hard to see among many items."""
_SEPARATORS = ("|", ";", ",", " ")


@dataclass(frozen=True, eq=False)
class NumericColours:
    """Items coloured by a number.

    Attributes:
        title: name of the number.
        values: value of each item; NaN if unknown.
        logarithmic: whether the scale is logarithmic.
        notes: notes on changes to the column.
    """

    title: str
    values: Float64[np.ndarray, "N"]
    logarithmic: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class CategoricalColours:
    """Items coloured by a category.

    Attributes:
        title: name of the category.
        values: category of each item; null if unknown.
        shown: the categories with their own colour, the most frequent first.
        notes: notes on changes to the column.
    """

    title: str
    values: pl.Series
    shown: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def legend(self) -> list[str]:
        """The entries of a legend: the shown categories and, if they occur, "other" and "not known"."""
        codes = set(self.codes.tolist())
        rest = [name for code, name in enumerate((OTHER, UNKNOWN), len(self.shown)) if code in codes]
        return [*self.shown, *rest]

    @property
    def codes(self) -> Int64[np.ndarray, "N"]:
        """Index of each item's category in ``shown``; its length for other categories, one more for unknown ones."""
        place = {name: code for code, name in enumerate(self.shown)}
        other = len(self.shown)
        return np.array([other + 1 if name is None else place.get(name, other) for name in self.values.to_list()])

    def mark(self, code: int) -> tuple[str, str]:
        """Return the colour and shape of a code; other and unknown categories are grey."""
        if code >= len(self.shown):
            return UNKNOWN_GREY, _SHAPES[0]
        return _HUES[code % len(_HUES)], _SHAPES[code // len(_HUES)]


Colours = NumericColours | CategoricalColours


def colours_of(points: ItemVectors, color: str) -> Colours:
    """Return the colours of the items.

    As in the features of a network, text, integers and booleans are categories and decimals are numbers, unless the
    name ends in ``:number`` or ``:category``.

    Args:
        points: the items.
        color: ``popularity``, or a column of the metadata.

    Raises:
        ParameterError: there is no such column, or ``:number`` of a column without numbers.
    """
    if color == POPULARITY:
        support = np.maximum(points.items["support"].to_numpy(), 1).astype(np.float64)
        return NumericColours("popularity (events in training)", support, logarithmic=True)
    name, _, kind = color.rpartition(":") if color.endswith((":number", ":category")) else (color, "", "")
    if name not in points.metadata:
        known = ", ".join((POPULARITY, *points.metadata))
        raise ParameterError(f"color: must be one of {known}, got '{name}'; add columns with a table of items")
    column = points.items[name]
    if kind == "number" or (not kind and column.dtype.is_float()):
        return _numbers(column)
    return _categories(column, whole=kind == "category")


def _numbers(column: pl.Series) -> NumericColours:
    values = column.cast(pl.Float64, strict=False)
    if values.is_finite().fill_null(value=False).sum() == 0:
        raise ParameterError(f"color: {column.name} must contain numbers, got none; use {column.name}:category")
    finite = values.is_finite().fill_null(value=False).to_numpy()
    known = np.where(finite, values.fill_null(0.0).to_numpy(), np.nan)
    unread = int((~finite & column.is_not_null().to_numpy()).sum())
    notes = (f"{column.name}: {unread:,} values are not numbers and are shown as not known",) if unread else ()
    return NumericColours(column.name, known, logarithmic=False, notes=notes)


def _categories(column: pl.Series, *, whole: bool) -> CategoricalColours:
    values, notes = _one_value_each(column, whole=whole)
    names = values.drop_nulls().value_counts().sort(["count", values.name], descending=[True, False])[values.name]
    shown = names.to_list() if len(names) <= MAX_CATEGORIES else names[:_IF_MORE].to_list()
    if len(shown) < len(names):
        notes = (*notes, f"{column.name}: {len(names):,} values; only the {len(shown)} most frequent have a colour")
    return CategoricalColours(column.name, values, tuple(shown), notes)


def _one_value_each(column: pl.Series, *, whole: bool) -> tuple[pl.Series, tuple[str, ...]]:
    """Return a column as text, null if unknown; if cells contain several values, the first value of each cell.

    A text is split into several values if there are too many texts for colours and they consist of at most half as many
    parts, for example genres: "Action Comedy", "Comedy Drama", "Action Drama".

    Args:
        column: the cells.
        whole: whether a text is always one value.
    """
    if isinstance(column.dtype, pl.List | pl.Array):
        firsts = column.list.first() if isinstance(column.dtype, pl.List) else column.arr.first()
        return _text(firsts), (f"{column.name}: coloured by the first value of each list",)
    text = _text(column)
    cells = text.drop_nulls().unique()
    for separator in () if whole or len(cells) <= MAX_CATEGORIES else _SEPARATORS:
        parts = cells.str.split(separator)
        if 2 * parts.explode().n_unique() <= len(cells):
            note = f"{column.name}: coloured by the first value before '{separator}' (use :category for the whole text)"
            return _text(text.str.split(separator).list.first()), (note,)
    return text, ()


def _text(column: pl.Series) -> pl.Series:
    stripped = column.cast(pl.String).str.strip_chars()
    return stripped.replace("", None)
