"""The catalogue over a model: its items get the metadata of today, and those added after training get scores."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from segue.errors import SegueError
from segue.serving.catalogue.catalogue import Entries, Entry
from segue.serving.schema.messages import Value
from segue.serving.served_model import ServedModel, as_text, values_of
from segue.strict_json import digest

_OF_ITEMS = ("index", "ids", "names", "texts")
_OF_MODEL = ("rules", "excludes_seen", "states")


class Overlay:
    """The catalogue over one version of a model.

    Args:
        base: the model as it was loaded.

    Attributes:
        missing: why an item of the catalogue is none of the model's.
    """

    def __init__(self, base: ServedModel) -> None:
        self.base = base
        self.missing: dict[str, str] = {}
        self._grown: tuple[str, ServedModel] = ("", base)

    def apply(self, entries: Entries) -> ServedModel:
        """Return the model with the catalogue over it; without rules, which see its items."""
        new = {item: one for item, one in entries.items() if item not in self.base.index and one.by}
        grown = self._grow(new)
        known = {grown.index[item]: one for item, one in entries.items() if item in grown.index}
        column = self.base.model.vocabulary.names.column
        changes: dict[str, dict[int, Value]] = {}
        for index, one in known.items():
            named = {column: one.name} if column is not None and one.name is not None else {}
            for name, value in {**one.metadata, **named}.items():
                if name in self.base.columns:
                    changes.setdefault(name, {})[index] = value
        unavailable = frozenset(item for item, one in entries.items() if not one.available)
        served = replace(grown, changed=_changed(grown, changes) if changes else None, unavailable=unavailable)
        same = [*_OF_MODEL, *_OF_ITEMS, *([] if changes else ["columns", "_mask"])]
        served.__dict__.update({name: getattr(grown, name) for name in same})
        if grown.names and column in changes:
            names = list(grown.names)
            for index, value in changes[column].items():
                names[index] = grown.ids[index] if value is None else as_text(value).strip() or grown.ids[index]
            served.__dict__["names"] = names
            del served.__dict__["texts"]
        served.texts, served.columns  # noqa: B018 (computed now, not by the first request)
        return served

    def _grow(self, new: Entries) -> ServedModel:
        """Return the model with further items; it is kept until there are others."""
        key = digest({item: [one.by, one.metadata] for item, one in new.items()}) if new else ""
        if key == self._grown[0]:
            return self._grown[1]
        self.missing = {}
        model, vocabulary = self.base.model, self.base.model.vocabulary
        groups: dict[tuple[str, ...], dict[str, Entry]] = {}
        for item, one in new.items():
            if vocabulary.ids.dtype.is_integer() and not _is_integer(item):
                self.missing[item] = "its items have whole numbers as ids"
            else:
                groups.setdefault(one.by, {})[item] = one
        for by, items in groups.items():
            try:
                model = model.add_items(self._table(items, by), by=by)
            except SegueError as error:
                self.missing |= dict.fromkeys(items, error.lines[0])
        served = self.base
        if model is not self.base.model:
            served = replace(self.base, model=model)
            served.__dict__.update({name: getattr(self.base, name) for name in ("rules", "excludes_seen")})
            names = self.base.names
            served.__dict__["names"] = [*names, *served.ids[len(names) :]] if names else []
            for name in (*_OF_MODEL, *_OF_ITEMS, "columns"):
                getattr(served, name)
        self._grown = key, served
        return served

    def _table(self, items: Mapping[str, Entry], by: Sequence[str]) -> pl.DataFrame:
        """Return new items as a table, with the types of the others."""
        types = self.base.table.schema
        given = {name for one in items.values() for name in one.metadata if name in self.base.columns}
        columns = [pl.Series("item", list(items), dtype=pl.String).cast(types["item"])]
        for name in sorted(given | {name for name in by if name in types}):
            columns.append(_series(name, [one.metadata.get(name) for one in items.values()], types[name]))
        return pl.DataFrame(columns)


def _changed(served: ServedModel, changes: Mapping[str, Mapping[int, Value]]) -> pl.DataFrame:
    table = served.model.vocabulary.without_vectors().table
    columns = []
    for name, values in changes.items():
        column = table[name].clone()
        rows = np.array(list(values), dtype=np.int64) - 1
        columns.append(column.scatter(rows, _series(name, list(values.values()), column.dtype)))
    return table.with_columns(columns)


def _series(name: str, values: Sequence[Value], kind: pl.DataType) -> pl.Series:
    """Return values of a message as a column; null where one is of another type."""
    given = pl.Series([None if value is None else as_text(value) for value in values], dtype=pl.String)
    return values_of(given, kind).alias(name)


def fits(value: Value, kind: pl.DataType) -> bool:
    """Return whether a value of a message can be one of a column."""
    return value is None or _series("", [value], kind).null_count() == 0


def described(kind: pl.DataType) -> str:
    """Return what the values of a column are, in words."""
    words = (
        (kind.is_integer(), "a whole number"),
        (kind.is_numeric(), "a number"),
        (kind == pl.Boolean, "true or false"),
        (kind == pl.String, "text"),
    )
    return next((word for holds, word in words if holds), f"of the type {kind}")


def _is_integer(item: Any) -> bool:
    try:
        return str(int(item)) == item and abs(int(item)) < 2**63
    except ValueError:
        return False
