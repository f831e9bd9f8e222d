"""The items of a model on a plane, for the map of the page."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from segue.embeddings.colours import CategoricalColours, Colours, colours_of
from segue.embeddings.options import POPULARITY
from segue.embeddings.vectors import ItemVectors, K, item_vectors, nearest_neighbours
from segue.errors import ParameterError
from segue.models.base import Model
from segue.models.composite import CompositeModel
from segue.serving.schema.messages import Mistake, Refused, invalid
from segue.serving.served_model import ServedModel

MAX_ITEMS = 100_000
"""Items on a map, the most popular ones."""

OTHER, UNKNOWN = 254, 255
"""Codes of other categories, and of items of which nothing is known."""

_LEVELS = 253
_LISTED = 200
"""Items that are described in one answer."""
_FOUND = 20
"""Items that a search lists."""
_KEPT = 2
"""Maps that are kept."""


class Maps:
    """The maps of some models, of which the last two are kept."""

    def __init__(self) -> None:
        self._maps: dict[str, ItemMap] = {}

    def of(self, served: ServedModel) -> "ItemMap":
        """Return the map of a model."""
        found = self._maps.pop(served.name, None)
        if found is None or found.served.model is not served.model:
            found = ItemMap(served)
        found.served = served  # The catalogue may have changed.
        self._maps[served.name] = found
        for name in list(self._maps)[:-_KEPT]:
            del self._maps[name]
        return found

    def forget(self, served: ServedModel) -> None:
        """Forget the map of another model of the same name, and what it holds of it."""
        found = self._maps.get(served.name)
        if found is None:
            return
        if found.served.model is served.model:
            found.served = served
        else:
            del self._maps[served.name]


class ItemMap:
    """The items of a model on a plane; the row of an item grows with its popularity.

    The plane is that of the first two principal components of the vectors at length 1: neighbours are found by cosine
    as well, and vectors whose length follows popularity would leave most items in one place.

    Args:
        served: the model.
    """

    def __init__(self, served: ServedModel) -> None:
        self.served = served
        self._problem = ""
        part = _with_vectors(served.model)
        self._vectors_of = None if part is None else _titled(served.model, part)
        try:
            every = item_vectors(served.model, stage=part)
        except ParameterError as error:
            self._problem = str(error)
            return
        order = served.model.vocabulary.order.items
        self._indices = order[order <= len(every)][:MAX_ITEMS][::-1]
        self._total = len(every)
        self._points = ItemVectors(every.vectors[self._indices - 1], every.items[(self._indices - 1).tolist()])
        self._row = {int(index): row for row, index in enumerate(self._indices)}

    def describe(self) -> dict[str, Any]:
        """Return what a page has to know before it draws the map, or why there is none."""
        served = self.served
        found = {"model": served.name, "version": served.version, "problem": self._problem or None}
        if self._problem:
            return found
        columns = [name for name in self._points.metadata if name != self._points.name_column]
        known = [one for name in (POPULARITY, *columns) if (one := self._legend(name)) is not None]
        shares = self._projected[1]
        sizes = {"items": len(self._points), "total": self._total}
        return {**found, **sizes, "vectors_of": self._vectors_of, "shares": shares, "columns": known}

    def coordinates(self) -> bytes:
        """Return x of every item, then y, between -1 and 1, as float32 (little endian)."""
        self._require()
        return self._projected[0].T.astype("<f4").tobytes()

    def codes(self, column: str) -> bytes:
        """Return the colour of every item: the number of its category, or its level from 0 to 252, as a byte."""
        self._require()
        return _codes(self._colours(column)).tobytes()

    def items(self, rows: Sequence[int], search: str) -> dict[str, Any]:
        """Return some items, by row or as a search finds them, the most popular first."""
        self._require()
        if len(rows) > _LISTED or any(row >= len(self._points) for row in rows):
            raise invalid([Mistake("/rows", f"must be at most {_LISTED}, each below {len(self._points)}")])
        if search:
            found = (self._row.get(index) for index in self.served.search(search).tolist())
            rows = [row for row in found if row is not None][:_FOUND]
        return {"items": [self._described(row) for row in rows]}

    def neighbours(self, row: int) -> dict[str, Any]:
        """Return an item and its nearest items by cosine, in all dimensions."""
        self._require()
        if row >= len(self._points):
            raise invalid([Mistake("/row", f"must be below {len(self._points)}")])
        nearest = nearest_neighbours(self._points, K, of=np.array([row]))
        listed = zip(nearest.rows[0].tolist(), nearest.similarities[0].tolist(), strict=True)
        near = [{**self._described(one), "similarity": round(value, 4)} for one, value in listed]
        return {"item": self._described(row), "neighbours": near}

    def _require(self) -> None:
        if self._problem:
            raise Refused(404, "not-found", self._problem)

    def _described(self, row: int) -> dict[str, Any]:
        index = int(self._indices[row])
        one = self.served.describe(index)
        support = int(self.served.model.vocabulary.support[index])
        return {"row": row, "item": one.item, "name": one.name, "support": support, "metadata": one.metadata}

    @cached_property
    def _projected(self) -> tuple[Float32[np.ndarray, "N 2"], list[float]]:
        plane, shares = principal_plane(self._points.unit_vectors)
        plane -= (plane.max(0) + plane.min(0)) / 2
        largest = float(np.abs(plane).max())
        return (plane / largest if largest else plane), shares

    def _colours(self, column: str) -> Colours:
        try:
            return colours_of(self._points, column)
        except ParameterError as error:
            raise invalid([Mistake("/column", str(error))]) from None

    def _legend(self, column: str) -> dict[str, Any] | None:
        try:
            colours = colours_of(self._points, column)
        except ParameterError:
            return None
        if isinstance(colours, CategoricalColours):
            if not colours.shown:
                return None
            sizes = np.bincount(_codes(colours), minlength=256)
            named = [*enumerate(colours.shown), (OTHER, "other"), (UNKNOWN, "not known")]
            entries = [{"code": code, "name": name, "items": int(sizes[code])} for code, name in named if sizes[code]]
            return {"name": column, "title": colours.title, "categories": entries}
        low, high = _range(colours.values)
        return {"name": column, "title": colours.title, "low": low, "high": high, "logarithmic": colours.logarithmic}


def _range(values: Any) -> tuple[float, float]:
    return float(np.nanmin(values)), float(np.nanmax(values))


def _codes(colours: Colours) -> UInt8[np.ndarray, "N"]:
    if isinstance(colours, CategoricalColours):
        codes, shown = colours.codes, len(colours.shown)
        return np.where(codes < shown, codes, codes - shown + OTHER).astype(np.uint8)
    values = np.log(colours.values) if colours.logarithmic else colours.values
    low, high = _range(values)
    levels = np.round((values - low) / ((high - low) or 1.0) * (_LEVELS - 1))
    return np.where(np.isfinite(values), np.nan_to_num(levels), UNKNOWN).astype(np.uint8)


def principal_plane(vectors: Float32[np.ndarray, "N D"]) -> tuple[Float32[np.ndarray, "N 2"], list[float]]:
    """Return vectors on their first two principal components, and the share of the variance of each.

    The largest coordinate of each component in the space of the vectors is positive, which fixes the orientation.
    """
    centred = vectors - vectors.mean(0, dtype=np.float64).astype(np.float32)
    variances, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    best = axes[:, ::-1][:, :2]
    best = best * np.sign(best[np.abs(best).argmax(0), np.arange(best.shape[1])])
    plane = np.zeros((len(vectors), 2), dtype=np.float32)
    plane[:, : best.shape[1]] = centred @ best.astype(np.float32)
    total = float(variances.sum())
    shares = [float(one) / total if total > 0 else 0.0 for one in np.maximum(variances[::-1][:2], 0.0)]
    return plane, shares


def _with_vectors(model: Model) -> str | None:
    """Return the first model with item vectors of a model that is made of several."""
    parts = model.parts if isinstance(model, CompositeModel) else {}
    return next((name for name, part in parts.items() if part.item_vectors() is not None), next(iter(parts), None))


def _titled(model: Model, part: str) -> str:
    """Name a part of a model, with the name of its own model if that is another one."""
    name = model.parts[part].name if isinstance(model, CompositeModel) else part
    return part if name == part else f"{part}, {name}"
