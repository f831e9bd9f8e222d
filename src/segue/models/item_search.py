"""Faster ways to find the best items of a state: an int8 table, or an approximate index.

Both only propose candidates. The candidates are scored exactly, in float32, and sorted as an exact list is, so that an
approximation can miss an item and never changes a score or the order of two items.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from segue.compiled import njit
from segue.data.sessions import Prefixes
from segue.data.vocabulary import PADDING, Vocabulary
from segue.errors import import_extra
from segue.evaluation.ranking import excluded_mask
from segue.evaluation.ranking.cpu import Excluded, insert, is_excluded

_LONGEST = 500
"""Length of a list above which all items are scored."""

_SPARE = 20
"""Candidates in addition to the length of a list."""

_BLOCK = 8192
"""Items whose int8 products are computed together; they stay in the cache."""

_COMPARED = 64
"""Scores compared with the last of a list together, before any of them is compared alone."""

_PROBES = 8
"""Clusters that an index reads at first; twice as many until the recall is reached."""

_CLUSTERING = {"niter": 8, "max_points_per_centroid": 40, "min_points_per_centroid": 1, "seed": 0}


class ItemSearch(ABC):
    """Proposes candidates for the list of each state.

    Args:
        embeddings: the item table; row 0 (padding) is not read.
        biases: the bias of each item; None without biases.
        vocabulary: the catalogue; items of which the model knows nothing are not proposed.
    """

    name: ClassVar[Literal["int8", "faiss"]]
    """Name on the command line."""

    def __init__(
        self, embeddings: Float32[Tensor, "M D"], biases: Float32[Tensor, "M"] | None, vocabulary: Vocabulary
    ) -> None:
        self.vocabulary = vocabulary

    def candidates(
        self,
        states: Float32[Tensor, "B D"],
        k: int,
        allowed: Bool[np.ndarray, "M"] | None,
        exclude: Prefixes | None,
    ) -> Int64[np.ndarray, "B C"] | None:
        """Return candidates for lists of k items, padded with 0; None if all items have to be scored."""
        count = k + _SPARE
        if k > _LONGEST or count >= len(self.vocabulary):
            return None
        return self._candidates(states, count, allowed, exclude)

    def widen(self) -> bool:
        """Look at more items for a better recall; false if that is not possible."""
        return False

    @abstractmethod
    def _candidates(
        self,
        states: Float32[Tensor, "B D"],
        count: int,
        allowed: Bool[np.ndarray, "M"] | None,
        exclude: Prefixes | None,
    ) -> Int64[np.ndarray, "B C"] | None:
        """Return about ``count`` candidates; see ``candidates``."""


class Int8Search(ItemSearch):
    """Multiplies whole numbers of 8 bits: table and states, each row scaled to -127 to 127.

    The table takes a quarter of the memory of float32, in addition to it. ``allowed`` and ``exclude`` are exact.
    """

    name = "int8"

    def __init__(
        self, embeddings: Float32[Tensor, "M D"], biases: Float32[Tensor, "M"] | None, vocabulary: Vocabulary
    ) -> None:
        super().__init__(embeddings, biases, vocabulary)
        self._table, scales = _quantized(embeddings)
        self._scales = scales.numpy()
        self._biases = np.zeros(len(scales), dtype=np.float32) if biases is None else biases.numpy()

    def _candidates(
        self,
        states: Float32[Tensor, "B D"],
        count: int,
        allowed: Bool[np.ndarray, "M"] | None,
        exclude: Prefixes | None,
    ) -> Int64[np.ndarray, "B C"]:
        quantized, scales = _quantized(states)
        if not self.vocabulary.all_known:
            allowed = self.vocabulary.known if allowed is None else allowed & self.vocabulary.known
        mask = np.zeros(0, dtype=bool) if allowed is None else allowed
        excluded = Excluded.by(exclude, len(states))
        items = np.zeros((len(states), count), dtype=np.int64)
        values = np.full((len(states), count), -np.inf, dtype=np.float32)
        for begin in range(0, len(self._table), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            _insert_products(
                torch._int_mm(quantized, self._table[block].T).numpy(),
                begin,
                scales.numpy(),
                self._scales[block],
                self._biases[block],
                self.vocabulary.order.places,
                excluded,
                mask,
                items,
                values,
            )
        return items


def _quantized(rows: Float32[Tensor, "R D"]) -> tuple[Tensor, Float32[Tensor, "R"]]:
    """Return each row as whole numbers from -127 to 127, and what they are multiples of."""
    scales = (rows.abs().amax(1) / 127).clamp_(min=torch.finfo(rows.dtype).tiny)
    return (rows / scales.unsqueeze(1)).round_().to(torch.int8), scales


@njit(nogil=True)
def _insert_products(
    products: np.ndarray,
    begin: int,
    scales: np.ndarray,
    factors: np.ndarray,
    biases: np.ndarray,
    places: np.ndarray,
    excluded: Excluded,
    allowed: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
) -> None:
    """Insert a block of items into the list of each row, by approximate score.

    Args:
        products: [B, block], whole numbers.
        begin: index of the first item of the block.
        scales: [B], what a row is a multiple of.
        factors: [block], the same for the items.
        biases: [block].
        places: [N+1], decides between equal scores, lower first.
        excluded: the items that are not candidates.
        allowed: [N+1] bool, the candidates of all rows; empty for all items.
        items: [B, C], written.
        values: [B, C], their approximate scores, written.
    """
    size, last = products.shape[1], items.shape[1] - 1
    for b in range(len(products)):
        scale, row_items, row_values = scales[b], items[b], values[b]
        for first in range(0, size, _COMPARED):
            part = slice(first, min(first + _COMPARED, size))
            whole, of_item, bias = products[b, part], factors[part], biases[part]
            least, better = row_values[last], np.int32(0)
            for offset in range(len(whole)):
                better |= np.int32(np.float32(whole[offset]) * (scale * of_item[offset]) + bias[offset] >= least)
            if better == 0:
                continue
            for offset in range(len(whole)):
                score = np.float32(whole[offset]) * (scale * of_item[offset]) + bias[offset]
                item = begin + first + offset
                if score >= row_values[last] and item and not is_excluded(item, excluded, b, allowed):
                    insert(item, score, places, row_items, row_values)


class FaissSearch(ItemSearch):
    """Divides the items into clusters by k-means, and scores those of the clusters nearest to a state.

    It uses an inverted file of faiss, the extra ``faiss``. A bias is one more dimension. Lists with ``allowed`` are
    found by scoring all items.
    """

    name = "faiss"

    def __init__(
        self, embeddings: Float32[Tensor, "M D"], biases: Float32[Tensor, "M"] | None, vocabulary: Vocabulary
    ) -> None:
        super().__init__(embeddings, biases, vocabulary)
        faiss = import_extra("faiss", "search 'faiss'", "faiss")
        self._faiss = faiss
        self._biased = biases is not None
        rows = embeddings if biases is None else torch.cat((embeddings, biases.unsqueeze(1)), dim=1)
        known = np.flatnonzero(vocabulary.known)
        known = known[known != PADDING]
        vectors = np.ascontiguousarray(rows.numpy()[known])
        clusters = max(1, round(2 * math.sqrt(len(known))))
        faiss.omp_set_num_threads(torch.get_num_threads())
        self._index: Any = faiss.index_factory(vectors.shape[1], f"IVF{clusters},Flat", faiss.METRIC_INNER_PRODUCT)
        for name, value in _CLUSTERING.items():
            setattr(self._index.cp, name, value)
        self._index.train(vectors)
        self._index.add_with_ids(vectors, known)
        self._index.nprobe = min(_PROBES, clusters)

    def widen(self) -> bool:
        """Read twice as many clusters; false if that would be more than a quarter of them."""
        if 8 * self._index.nprobe > self._index.nlist:
            return False
        self._index.nprobe *= 2
        return True

    def _candidates(
        self,
        states: Float32[Tensor, "B D"],
        count: int,
        allowed: Bool[np.ndarray, "M"] | None,
        exclude: Prefixes | None,
    ) -> Int64[np.ndarray, "B C"] | None:
        if allowed is not None:
            return None
        queries = torch.cat((states, states.new_ones(len(states), 1)), dim=1) if self._biased else states
        if exclude is not None:
            count += int(exclude.lengths.max(initial=0))
        if count > len(self.vocabulary):
            return None
        self._faiss.omp_set_num_threads(torch.get_num_threads())
        _, items = self._index.search(np.ascontiguousarray(queries.numpy()), count)
        items = np.maximum(items, PADDING)  # -1 where the clusters hold fewer items.
        return np.where(excluded_mask(items, allowed, exclude), PADDING, items)


SEARCHES: dict[str, type[ItemSearch]] = {kind.name: kind for kind in (Int8Search, FaissSearch)}
"""The approximate searches by name."""
