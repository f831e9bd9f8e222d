"""Shared by Markov, SequentialRules and ItemKNN: scores looked up by the last item, in a sparse table."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from pydantic import Field
from torch import Tensor

from segue.compiled import njit
from segue.data.array_schema import MOST, Between, Distinct, Offsets
from segue.data.arrays import read_only
from segue.data.baskets import Baskets
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import ItemOrder, Vocabulary
from segue.errors import ParameterError
from segue.evaluation.ranking.cpu import Excluded, insert, is_excluded
from segue.models.decay import SessionWeights, age_notes, session_weights
from segue.models.item_to_item.cooccurrence import PairTable, count_cooccurrences
from segue.models.updating import UpdatableConfig, UpdatableModel
from segue.models.why.answer import Part
from segue.spaces import Choice, Range
from segue.threads import share_rows


class ItemToItemConfig(UpdatableConfig):
    """Parameters of every item-to-item model."""

    n_neighbours: int = Field(100, ge=1, le=1_000_000_000)
    """Number of best neighbours to keep per item."""
    decay_days: float | None = Field(None, gt=0)
    """Time constant, in days, of the exponential decay of a session's weight with its age; none means no decay."""
    decay_share: float | None = Field(None, gt=0)
    """Like decay_days, for a log without times: the age is the rank of a session, as a share of all sessions."""

    search = {"n_neighbours": Range(20, 500, log=True), "decay_days": Choice((None, 1.0, 3.0, 7.0, 30.0))}


class ScoreTable(NamedTuple):
    """Scores of items after a last item: the weights of its row, added to a background of all items.

    Attributes:
        offsets: row j is ``items[offsets[j]:offsets[j + 1]]``.
        items: second items of each row.
        weights: their weights.
        background: score of each item before the weights are added, up to a factor.
        order: items by falling background, then by ``places``.
        places: the order of items with equal scores, lower first.
    """

    offsets: Int64[np.ndarray, "N+2"]
    items: Int32[np.ndarray, "m"]
    weights: Float32[np.ndarray, "m"]
    background: Float32[np.ndarray, "N+1"]
    order: Int32[np.ndarray, "N"]
    places: Int32[np.ndarray, "N+1"]


@njit(nogil=True)
def score_rows(
    last: Int32[np.ndarray, "B"],
    factors: Float32[np.ndarray, "B"],
    table: ScoreTable,
    out: Float32[np.ndarray, "B N+1"],
) -> None:
    """Score every item after each last item.

    Args:
        last: item indices, 0 for none.
        factors: factor of the background in each row.
        table: the rows.
        out: receives the scores.
    """
    for b in range(len(last)):
        for item in range(out.shape[1]):
            out[b, item] = factors[b] * table.background[item]
        for entry in range(table.offsets[last[b]], table.offsets[last[b] + 1]):
            out[b, table.items[entry]] += table.weights[entry]


@njit(nogil=True)
def list_rows(
    last: Int32[np.ndarray, "B"],
    factors: Float32[np.ndarray, "B"],
    table: ScoreTable,
    allowed: Bool[np.ndarray, "_"],
    excluded: Excluded,
    items: Int64[np.ndarray, "B k"],
    values: Float32[np.ndarray, "B k"],
) -> None:
    """List the best items after each last item, without scoring all items.

    Args:
        last: item indices, 0 for none.
        factors: factor of the background in each row.
        table: the rows.
        allowed: mask of the items that may be listed; empty for all.
        excluded: items that must not be listed in a row.
        items: receives the item indices; initially 0.
        values: receives their scores; initially -inf.
    """
    k = items.shape[1]
    for b in range(len(last)):
        row = slice(table.offsets[last[b]], table.offsets[last[b] + 1])
        own, weights = table.items[row], table.weights[row]
        for entry in range(len(own)):
            item = own[entry]
            value = factors[b] * table.background[item] + weights[entry]
            if value >= values[b, k - 1] and not is_excluded(item, excluded, b, allowed):
                insert(item, value, table.places, items[b], values[b])
        for item in table.order:
            value = factors[b] * table.background[item]
            # With a factor of 0 the order is that of the places, so that no later item can come before the last one.
            if value < values[b, k - 1] or (factors[b] == 0.0 and value == values[b, k - 1]):
                break
            if not (own == item).any() and not is_excluded(item, excluded, b, allowed):
                insert(item, value, table.places, items[b], values[b])


class ItemToItemModel(UpdatableModel):
    """A model whose scores are a row of a sparse item x item table, chosen by the last item of the session."""

    memory: ClassVar[tuple[str, ...]] = (*UpdatableModel.memory, "pair_offsets", "pair_items", "pair_sums")

    array_names: ClassVar[tuple[str, ...]] = ("offsets", "neighbours", "weights")
    config: ItemToItemConfig

    offsets: Annotated[Int64[np.ndarray, "N+2"], Offsets("m")]
    """The neighbours of item j are ``neighbours[offsets[j]:offsets[j + 1]]``."""
    neighbours: Annotated[Int32[np.ndarray, "m"], Between(1, "N"), Distinct("offsets", "N")]
    """Item indices, best first in each row."""
    weights: Annotated[Float32[np.ndarray, "m"], Between(0, MOST)]
    """Their scores."""

    pair_offsets: Annotated[Int64[np.ndarray, "N+2"], Offsets("p")]
    """Where the pairs of each first item start."""
    pair_items: Annotated[Int32[np.ndarray, "p"], Between(1, "N"), Distinct("pair_offsets", "N")]
    """Second items of all pairs."""
    pair_sums: Annotated[Float64[np.ndarray, "p"], Between(0, MOST)]
    """Summed weights of all pairs, see ``SessionWeights``."""

    def weigh_sessions(self, train: Sessions, before: Self | None) -> SessionWeights:
        """Return the weight of each session by its age; a log without times is noted in ``notes``."""
        days, share = self.config.decay_days, self.config.decay_share
        self.notes = age_notes(train, days=days, share=share)
        if train.times is not None and days is not None:
            return SessionWeights.by_age(train, days, None if before is None else before.last_time)
        return SessionWeights(session_weights(train, days=None, share=share))

    def check(self, train: Sessions) -> None:
        """Check that an updatable model can be updated; see ``Model.check``."""
        if self.config.updatable and train.times is None and self.config.decay_share is not None:
            raise ParameterError(
                f"{self.name}.updatable: must be false with decay_share in a log without times, got true: every later "
                "session changes the weights of all earlier ones; leave decay_share out, or fit again on all sessions"
            )

    def count(
        self,
        train: Sessions,
        before: Self | None,
        session: SessionWeights,
        *,
        distance: Float64[np.ndarray, "_"] | None = None,
        column: Float64[np.ndarray, "N+1"] | None = None,
        baskets: Baskets | None = None,
    ) -> tuple[dict[str, np.ndarray], Float64[np.ndarray, "N+1"]]:
        """Count what co-occurs; see ``count_cooccurrences``.

        Returns:
            The arrays of ``ItemToItemModel``, and the sums of the rows.
        """
        counts = self._count(train, before)
        found = count_cooccurrences(
            train,
            self.config.n_neighbours,
            events=counts["item_events"],
            distance=distance,
            session=session,
            column=column,
            baskets=baskets,
            before=None if before is None else PairTable(before.pair_offsets, before.pair_items, before.pair_sums),
            keep_all=self.config.updatable,
        )
        pairs = dict(zip(("pair_offsets", "pair_items", "pair_sums"), found.pairs, strict=True))
        return {**found.table, **counts, **pairs}, found.totals

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take the arrays and make the look-up ready."""
        super().restore(arrays, vocabulary)
        background, places = read_only(self.background()), vocabulary.order.places
        order = (1 + np.lexsort((places[1:], -background[1:]))).astype(np.int32)
        self._walk = ItemOrder.of(order)
        self._table = ScoreTable(self.offsets, self.neighbours, self.weights, background, order, places)
        return self

    def background(self) -> Float32[np.ndarray, "N+1"]:
        """Return the score of each item that does not depend on the last item, up to a factor."""
        return np.zeros(len(self.vocabulary) + 1, dtype=np.float32)

    def background_factors(self, last: Int32[np.ndarray, "B"]) -> Float32[np.ndarray, "B"]:
        """Return the factor of the background after each last item."""
        return np.zeros(len(last), dtype=np.float32)

    def _look_up(self, prefixes: Prefixes) -> tuple[Int32[np.ndarray, "B"], Float32[np.ndarray, "B"], ScoreTable]:
        """Return a table, and for each prefix its row and the factor of the background: those of the last item."""
        last = last_items(prefixes)
        return last, self.background_factors(last), self._table

    def _sources(self, prefixes: Prefixes) -> list[tuple[int, float]]:
        """Return the events of the first prefix whose rows make its scores, and their shares."""
        return [(int(prefixes.lengths[0]) - 1, 1.0)]

    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> list[list[Part]]:
        """Return the rules from the last items, and the background; see ``Model._parts``."""
        _, factors, table = self._look_up(prefixes)
        found: list[list[Part]] = []
        for item in items:
            value = float(factors[0] * table.background[item])
            found.append([Part("popularity", "popularity, from smoothing", value)] if value else [])
        for event, share in self._sources(prefixes):
            source = prefixes.items[prefixes.starts[0] + event]
            row = slice(self.offsets[source], self.offsets[source + 1])
            weights = dict(zip(self.neighbours[row].tolist(), self.weights[row].tolist(), strict=True))
            for parts, item in zip(found, items.tolist(), strict=True):
                if item in weights:
                    parts.append(Part("rule", "a rule", weights[item] * share, (int(source),), (event,)))
        return found

    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Look up the row of each prefix. An empty prefix scores 0 everywhere, but for the background."""
        scores = np.empty((len(prefixes), len(self.vocabulary) + 1), dtype=np.float32)
        rows, factors, table = self._look_up(prefixes)
        share_rows(len(rows), lambda part: score_rows(rows[part], factors[part], table, scores[part]))
        return torch.from_numpy(scores)

    def _top_k(
        self, prefixes: Prefixes, k: int, allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the neighbours, and items of the background where these score better or fill the list."""
        items = np.zeros((len(prefixes), k), dtype=np.int64)
        values = np.full((len(prefixes), k), -np.inf, dtype=np.float32)
        rows, factors, table = self._look_up(prefixes)
        mask = np.zeros(0, dtype=bool) if allowed is None else allowed
        table = table._replace(order=self._walk.within(allowed))
        excluded = Excluded.by(exclude, len(prefixes))

        def fill(part: slice) -> None:
            list_rows(rows[part], factors[part], table, mask, excluded.rows(part), items[part], values[part])

        share_rows(len(rows), fill)
        return items, values


def last_items(prefixes: Prefixes) -> Int32[np.ndarray, "B"]:
    """Return the last item of each prefix, padding for an empty one."""
    last = np.zeros(len(prefixes), dtype=np.int32)
    filled = prefixes.lengths > 0
    last[filled] = prefixes.items[prefixes.ends[filled] - 1]
    return last
