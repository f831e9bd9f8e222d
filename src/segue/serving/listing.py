"""What rules and availability do to the lists of a model: which items may be listed, and in what order.

In this order: items that are blocked or not available are left out before ranking; boosts, burials and freshness change
the order; pinned items take their positions; diversity puts further items of a value behind the others.

Lists are exact. Items with the same rules keep the order of the model, so the best k of all items are among the best k
of each such part of the catalogue; a part is ranked like the items of a filter. Of many parts the whole catalogue is
ranked in their place. Diversity looks further down the list until it is full.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from segue.errors import ArtifactError
from segue.serving.ranking import Moved, Query, Ranked

Rank = Callable[[Sequence[Query]], list[Ranked | ArtifactError]]

MAX_FACTOR = 1e6
"""Bound on the product of the factors of an item, and of its inverse."""

MAX_PARTS = 64
ITEMS_PER_PART = 500
"""A catalogue is ranked in up to 4 parts, or one for so many items; where there are more, the whole is ranked."""

_LOOK_AHEAD = 4
"""How much further a list is looked through for diversity."""

_KEPT, _KEPT_BYTES = 16, 1 << 26
"""Filters whose parts are kept, and bound on the size of these."""


@dataclass(frozen=True)
class Pin:
    """A position for the best of some items.

    Attributes:
        name: name of the rule.
        position: the position, from 1.
        items: mask of the items.
    """

    name: str
    position: int
    items: Bool[np.ndarray, "M"]


@dataclass(frozen=True)
class Limit:
    """At most so many items of the same value.

    Attributes:
        name: name of the rule.
        most: the limit.
        values: number of the value of each item; -1 for an item without one, which is not limited.
    """

    name: str
    most: int
    values: Int64[np.ndarray, "M"]

    def capacity(self, allowed: Bool[np.ndarray, "M"]) -> int:
        """Return how many of some items a list can have within the limit."""
        values = self.values[allowed]
        return int((values < 0).sum() + np.minimum(np.bincount(values[values >= 0]), self.most).sum())


def adjusted(scores: Float64[np.ndarray, "n"], factors: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Return scores after factors: positive scores are multiplied, negative ones divided.

    So a larger factor never lowers a score, whatever its sign, and items with equal factors keep their order.
    """
    found: np.ndarray = np.where(scores > 0, scores * factors, scores / factors)
    return found


class _Parts(NamedTuple):
    """The items that a query allows, in parts.

    Attributes:
        masks: the items of each part.
        capacity: how many items diversity lets into a list.
        filter: the mask of the query; while it is held here, no other one has its id.
    """

    masks: list[Bool[np.ndarray, "M"]]
    capacity: int
    filter: Any


@dataclass(eq=False)
class Listing:
    """Rules and availability, for the items of one model.

    Attributes:
        allowed: the items that may be listed.
        effects: rules that change scores: name, factor and mask of the items.
        pins: the pins.
        limit: the diversity.
        ruled: whether there are rules, so that answers say what they did.
        counts: number of items that each rule selects, by its name.
    """

    allowed: Bool[np.ndarray, "M"]
    effects: Sequence[tuple[str, float, Bool[np.ndarray, "M"]]] = ()
    pins: Sequence[Pin] = ()
    limit: Limit | None = None
    ruled: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)
    _known: dict[int, _Parts] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Combine the rules by item."""
        count = len(self.allowed)
        factors, names = np.ones(count), np.zeros(count, dtype=np.int64)
        self.names: list[tuple[str, ...]] = [()]
        for name, factor, mask in self.effects:
            factors[mask] *= factor
            touched, numbers = np.unique(names[mask], return_inverse=True)
            names[mask] = len(self.names) + numbers
            self.names += [(*self.names[one], name) for one in touched]
        self.factors, self._names = np.clip(factors, 1 / MAX_FACTOR, MAX_FACTOR), names
        keys, known = names.copy(), len(self.names)
        for pin in self.pins:
            touched, numbers = np.unique(keys[pin.items], return_inverse=True)
            keys[pin.items] = known + numbers
            known += len(touched)
        parts = np.unique(keys[self.allowed])
        self._in_parts = len(parts) <= min(MAX_PARTS, max(4, count // ITEMS_PER_PART))
        masks = [self.allowed & (keys == one) for one in parts] if self._in_parts else []
        self._masks = masks or [self.allowed]
        self._kept = max(1, min(_KEPT, _KEPT_BYTES // (count * len(self._masks))))
        self.pins = sorted(self.pins, key=lambda pin: pin.position)

    def rank(
        self, queries: Sequence[Query], rank: Rank, places: Int64[np.ndarray, "M"]
    ) -> list[Ranked | ArtifactError]:
        """Rank items for sessions.

        Args:
            queries: the sessions.
            rank: ranks without rules.
            places: decides between equal scores of the model, lower first.
        """
        answers: dict[int, Ranked | ArtifactError] = {}
        everything = len(self.allowed)
        ahead = 1 if self.limit is None else _LOOK_AHEAD
        lengths = {row: ahead * query.k if self._in_parts else everything for row, query in enumerate(queries)}
        while lengths:
            parts = {row: self._parts(queries[row]) for row in lengths}
            lengths = {row: min(length, everything) for row, length in lengths.items()}
            asked = [
                queries[row]._replace(k=length, allowed=mask)
                for row, length in lengths.items()
                for mask in parts[row].masks
            ]
            found = iter(rank(asked))
            further = {}
            for row, length in lengths.items():
                lists = [next(found) for _ in parts[row].masks]
                answer = self._join(queries[row], lists, places, length, parts[row].capacity)
                if answer is None:
                    further[row] = _LOOK_AHEAD * length
                else:
                    answers[row] = answer
            lengths = further
        return [answers[row] for row in range(len(queries))]

    def _parts(self, query: Query) -> _Parts:
        """Return the parts of what a query allows; those of a filter that is used again are kept."""
        key = id(query.allowed)
        if (known := self._known.get(key)) is not None:
            return known
        masks, allowed = self._masks, self.allowed
        if query.allowed is not None:
            allowed = allowed & query.allowed
            masks = [both for mask in masks if (both := mask & query.allowed).any()] or [allowed]
        capacity = 0 if self.limit is None else self.limit.capacity(allowed)
        if len(self._known) >= self._kept:
            self._known = {}
        self._known[key] = parts = _Parts(masks, capacity, query.allowed)
        return parts

    def _join(
        self,
        query: Query,
        lists: Sequence[Ranked | ArtifactError],
        ties: Int64[np.ndarray, "M"],
        length: int,
        capacity: int,
    ) -> Ranked | ArtifactError | None:
        """Return the list of a session from the first items of each part; None if further ones are needed."""
        ranked: list[Ranked] = []
        for one in lists:
            if isinstance(one, ArtifactError):
                return one
            ranked.append(one)
        items = np.array([index for one in ranked for index in one.indices], dtype=np.int64)
        scores = np.array([score for one in ranked for score in one.scores])
        by_model = np.lexsort((ties[items], -scores))
        items, scores = items[by_model], scores[by_model]
        places = np.arange(len(items))
        factors = self.factors[items]
        # Among equal scores, a boost still lifts an item.
        order = np.lexsort((places, -factors, -adjusted(scores, factors)))
        complete = all(len(one.indices) < length for one in ranked) or length >= len(self.allowed)
        pinned = self._pinned(items[order], query.k) if self.pins else {}
        free = query.k - len(pinned)
        certain = order if complete else order[:length]
        rest = certain[~np.isin(items[certain], list(pinned))] if pinned else certain
        within, beyond = self._divided(items, rest, pinned, free)
        if self.limit is not None and not complete:
            used = Counter(self.limit.values[list(pinned)].tolist())
            capacity -= sum(count if value < 0 else min(count, self.limit.most) for value, count in used.items())
            if len(within) < min(free, capacity):
                return None
        listed = (within + beyond)[:free]
        for item, pin in pinned.items():
            listed.insert(pin.position - 1, int(np.flatnonzero(items == item)[0]))
        chosen = np.array(listed, dtype=np.int64)
        moved = self._moved(items, chosen, pinned, frozenset(beyond), query.k) if self.ruled else None
        return ranked[0]._replace(indices=items[chosen].tolist(), scores=scores[chosen].tolist(), moved=moved)

    def _moved(
        self,
        items: Int64[np.ndarray, "n"],
        chosen: Int64[np.ndarray, "_"],
        pinned: Mapping[int, Pin],
        beyond: frozenset[int],
        k: int,
    ) -> Moved:
        """Say which rules moved the chosen places of a list."""
        limit = "" if self.limit is None else self.limit.name
        rules = []
        for place, item in zip(chosen.tolist(), items[chosen].tolist(), strict=True):
            names = [pinned[item].name] if item in pinned else []
            names += self.names[self._names[item]]
            names += [limit] if place in beyond else []
            rules.append(", ".join(names) or None)
        return Moved(rules, [place + 1 if place < k else None for place in chosen.tolist()])

    def _pinned(self, items: Int64[np.ndarray, "n"], k: int) -> Mapping[int, Pin]:
        """Return the pinned items of a list of k, which of several is the best one, by ascending position."""
        found: dict[int, Pin] = {}
        for pin in self.pins:
            candidates = items[pin.items[items]] if pin.position <= k else ()
            item = next((int(one) for one in candidates if int(one) not in found), None)
            if item is not None:
                found[item] = pin
        return found

    def _divided(
        self, items: Int64[np.ndarray, "n"], places: Int64[np.ndarray, "_"], pinned: Mapping[int, Pin], free: int
    ) -> tuple[list[int], list[int]]:
        """Divide places of a list into those within the limit, as many as are free, and those beyond."""
        if self.limit is None:
            return places[:free].tolist(), []
        counts = Counter(self.limit.values[list(pinned)].tolist())
        within: list[int] = []
        beyond: list[int] = []
        for place, value in zip(places.tolist(), self.limit.values[items[places]].tolist(), strict=True):
            if value >= 0 and counts[value] >= self.limit.most:
                beyond.append(place)
                continue
            counts[value] += 1
            within.append(place)
            if len(within) == free:
                break
        return within, beyond
