"""Which items occur near each other in training sessions: the global graph of GCE-GNN."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple, Self

import numpy as np
from jaxtyping import Float32, Int32

from segue.data.array_schema import MOST, Between, check_arrays, specs_of
from segue.data.growth import widened
from segue.data.sessions import Sessions
from segue.models.item_to_item.cooccurrence import PairTable, count_cooccurrences


class GlobalGraph(NamedTuple):
    """The neighbours of each item, the most frequent first, and how often they occur near it; zeros behind the last.

    Row 0 (padding) is empty. The size is S per item, never items times items.
    """

    neighbours: Annotated[Int32[np.ndarray, "N+1 S"], Between(0, "N")]
    """Item indices of the neighbours; 0 is none."""
    weights: Annotated[Float32[np.ndarray, "N+1 S"], Between(0, MOST)]
    """Number of their co-occurrences."""

    @classmethod
    def empty(cls, n_items: int, n_neighbours: int) -> Self:
        """Return the graph of items without neighbours."""
        shape = (n_items + 1, n_neighbours)
        return cls(np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.float32))

    @classmethod
    def of(cls, train: Sessions, n_neighbours: int, window: int, before: Self | None = None) -> Self:
        """Count the pairs of events of a session that are at most ``window`` events apart, whatever their order.

        An item that occurs twice within the window is a neighbour of itself, with two co-occurrences per pair, as in
        the authors' code.

        Args:
            train: the sessions.
            n_neighbours: neighbours kept per item; equal ones are kept by popularity, then by index.
            window: largest distance of two events.
            before: graph of earlier sessions, whose weights are added; what it did not keep counts as 0.
        """
        distance, support = np.ones(window + 1), train.vocabulary.support
        earlier = None if before is None else before._pairs()
        onwards = count_cooccurrences(
            train, n_neighbours, events=support, distance=distance, before=earlier, keep_all=True
        )
        table = count_cooccurrences(
            train.reverse(), n_neighbours, events=support, distance=distance, before=onwards.pairs
        ).table
        graph = cls.empty(len(train.vocabulary), n_neighbours)
        kept = np.arange(n_neighbours) < np.diff(table["offsets"])[:, None]
        graph.neighbours[kept], graph.weights[kept] = table["neighbours"], table["weights"]
        return graph

    def _pairs(self) -> PairTable:
        kept = self.neighbours > 0
        offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        return PairTable(offsets, self.neighbours[kept], self.weights[kept].astype(np.float64))

    def extended(self, n_items: int) -> Self:
        """Return the graph with further items, which have no neighbours."""
        return type(self)(*(np.ascontiguousarray(widened(one.T, n_items + 1).T) for one in self))

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], n_items: int, n_neighbours: int, place: str) -> Self:
        """Return the graph of stored arrays.

        Raises:
            ParameterError: an array is missing, unknown or invalid; ``place`` is where they belong, for the message.
        """
        check_arrays(arrays, specs_of(cls, cls._fields), {"N": n_items, "S": n_neighbours}, place)
        return cls(**arrays)
