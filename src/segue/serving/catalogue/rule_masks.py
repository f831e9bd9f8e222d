"""Rules for the items of one model: ids, values and times become masks over its item indices."""

from collections.abc import Iterator, Sequence, Set
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64

from segue.data.events import TIME_DTYPE
from segue.data.ingest.times import parse_times
from segue.errors import ParameterError
from segue.printable import short
from segue.serving.catalogue.rules import Freshness, Rule
from segue.serving.listing import Limit, Listing, Pin

if TYPE_CHECKING:
    from segue.serving.served_model import ServedModel

_STEPS = 6
"""Half-lives after which an item is no longer new."""

_DAY_MS = 86_400_000


class Masks:
    """Masks of rules for the items of a model.

    Args:
        served: the model.
        now: milliseconds since 1970.

    Attributes:
        warnings: what rules name and the items of the model do not have.
    """

    def __init__(self, served: "ServedModel", now: int) -> None:
        self._served, self._now = served, now
        self.warnings: list[str] = []

    def listing(self, rules: Sequence[Rule], unavailable: Set[str]) -> Listing | None:
        """Return what rules and availability do to lists; None if they do nothing.

        Args:
            rules: the rules.
            unavailable: ids of items that are not available.
        """
        index = self._served.index
        allowed = np.ones(len(self._served.ids), dtype=bool)
        allowed[0] = False
        allowed[[index[item] for item in unavailable if item in index]] = False
        effects: list[tuple[str, float, Bool[np.ndarray, M]]] = []
        pins: list[Pin] = []
        limit, counts = None, {}
        for rule in rules:
            mask = self.selected(rule)
            counts[rule.name] = 0 if mask is None else int(mask.sum())
            if mask is None:
                continue
            if rule.freshness is not None:
                effects += [(rule.name, factor, mask & new) for factor, new in self._new(rule.name, rule.freshness)]
            elif rule.diversity is not None:
                limit = self._limit(rule) or limit
            elif rule.block:
                allowed &= ~mask
            elif rule.availability is not None:
                allowed &= mask
            elif rule.pin is not None:
                pins.append(Pin(rule.name, rule.pin, mask))
            else:
                effects.append((rule.name, rule.boost or rule.bury or 1.0, mask))
        if not rules and allowed[1:].all():
            return None
        return Listing(allowed, effects, pins, limit, ruled=bool(rules), counts=counts)

    def selected(self, rule: Rule) -> Bool[np.ndarray, "M"] | None:
        """Return the items that a rule is for; None if it names a column that there is not."""
        served = self._served
        mask = np.ones(len(served.ids), dtype=bool)
        mask[0] = False
        if rule.where is not None:
            try:
                mask &= served.mask({name: list(values) for name, values in rule.where.items()})
            except ParameterError as error:
                self._warn(rule.name, f"does nothing: {error}")
                return None
        if rule.items is not None:
            named = [served.index[item] for item in rule.items if item in served.index]
            if unknown := [item for item in rule.items if item not in served.index]:
                more = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
                self._warn(rule.name, f"names items that the model does not know: {short(unknown[0])}{more}")
            listed = np.zeros(len(mask), dtype=bool)
            listed[named] = True
            mask &= listed
        if rule.where is not None and not mask.any():
            self._warn(rule.name, "selects no items")
        return mask

    def _warn(self, rule: str, text: str) -> None:
        self.warnings.append(f"the rule '{rule}' of {self._served.name} {text}")

    def _column(self, rule: str, name: str) -> pl.Series | None:
        if name in self._served.columns:
            return self._served.table[name]
        known = ", ".join(self._served.columns) or "none"
        self._warn(rule, f"does nothing: the items have no column {name!r}; they have: {known}")
        return None

    def _limit(self, rule: Rule) -> Limit | None:
        assert rule.diversity is not None
        if self._column(rule.name, rule.diversity.column) is None:
            return None
        column = self._served.columns[rule.diversity.column]
        values = np.full(len(column) + 1, -1, dtype=np.int64)
        values[1:] = (column.rank("dense").cast(pl.Int64) - 1).fill_null(-1).to_numpy()
        return Limit(rule.name, rule.diversity.most, values)

    def _new(self, rule: str, freshness: Freshness) -> Iterator[tuple[float, Bool[np.ndarray, "M"]]]:
        """Yield factors, and the items that have them; others are not new."""
        ages = self._ages(rule, freshness.column)
        if ages is None:
            return
        if freshness.newer_than_days is not None:
            yield freshness.boost, ages <= freshness.newer_than_days
            return
        assert freshness.half_life_days is not None
        halved = np.floor(np.maximum(ages, 0) / freshness.half_life_days)
        for step in range(_STEPS):
            yield 1 + (freshness.boost - 1) / 2**step, halved == step

    def _ages(self, rule: str, name: str) -> Float64[np.ndarray, "M"] | None:
        """Return the ages of the items in days; infinity for an item without a time."""
        column = self._column(rule, name)
        if column is None:
            return None
        parsed = parse_times(column)
        if parsed.values.dtype != TIME_DTYPE or len(parsed.invalid):
            self._warn(rule, f"does nothing: the column {name!r} has values that are no times: {parsed.rule}")
            return None
        then = (parsed.values.to_physical() / 1000).fill_null(-np.inf).to_numpy()
        return np.concatenate([[np.inf], (self._now - then) / _DAY_MS])
