"""Models that compare one vector of the current session with one vector of each item."""

import copy
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.evaluation.ranking import list_candidates, top_k
from segue.models.base import Model
from segue.models.item_search import ItemSearch
from segue.models.measured_search import MEASURED_K, SearchReport, choose_search, sample_sessions
from segue.models.recommendation import Listed
from segue.models.requests import encode_sessions

_FEW = 4
"""If at most one in this many items is requested, only the rows of the requested items are multiplied."""

_ROW_NUMBERS = 8_000_000
"""Numbers of the table that are copied at once for given items."""


class DotProductModel(Model):
    """A model whose score is the dot product of a state and the item's embedding, plus the item's bias if it has one.

    Given items are scored by their own rows of the table alone. Items of which the model knows nothing come behind all
    others, see ``add_items``.
    """

    _search: ItemSearch | None = None
    """What proposes the items of a list; None scores all items."""

    @abstractmethod
    def _states(self, prefixes: Prefixes) -> Float32[Tensor, "B D"]:
        """Return the state after the last event of each prefix."""

    @abstractmethod
    def _table(self) -> tuple[Float32[Tensor, "M D"], Float32[Tensor, "M"] | None]:
        """Return the embeddings and the biases of all items."""

    @torch.no_grad()
    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        embeddings, biases = self._table()
        states = self._states(prefixes)
        scores = states @ embeddings.T if biases is None else torch.addmm(biases, states, embeddings.T)
        return self._put_last(scores)

    @torch.no_grad()
    def _score_items(self, prefixes: Prefixes, items: Int64[np.ndarray, "B C"]) -> Float32[Tensor, "B C"]:
        """Multiply each state with the rows of its items; where these are many, with the whole table."""
        if items.shape[1] * _FEW > len(self.vocabulary):
            return super()._score_items(prefixes, items)
        return self._score_rows(self._states(prefixes), items)

    @torch.no_grad()
    def _score_rows(self, states: Float32[Tensor, "B D"], items: Int64[np.ndarray, "B C"]) -> Float32[Tensor, "B C"]:
        """Multiply each state with the rows of its items."""
        embeddings, biases = self._table()
        ids = torch.from_numpy(items).to(embeddings.device)
        rows = max(1, _ROW_NUMBERS // max(1, items.shape[1] * embeddings.shape[1]))
        scores = states.new_empty(items.shape)
        for start in range(0, len(items), rows):
            part = slice(start, start + rows)
            scores[part] = (embeddings[ids[part]] @ states[part].unsqueeze(2)).squeeze(2)
        return self._put_last(scores if biases is None else scores + biases[ids], items)

    def _top_k(
        self, prefixes: Prefixes, k: int, allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        with torch.inference_mode():
            return self._list(self._states(prefixes), k, allowed, exclude)

    def _listed(self, prefixes: Prefixes, k: int) -> Listed:
        with torch.inference_mode():
            states = self._states(prefixes)
            return Listed(*self._list(states, k, None, None), partial(self._score_rows, states))

    def with_search(self, search: str) -> Self:
        """Return the model with another way to find the best items; see ``Model.with_search``."""
        self._require_fitted()

        def build(kind: type[ItemSearch]) -> ItemSearch:
            embeddings, biases = self._table()
            if embeddings.device.type != "cpu":
                raise ParameterError(
                    f"search: must be 'exact' for a model on {embeddings.device}, got '{kind.name}': other searches "
                    "are for CPUs"
                )
            return kind(embeddings, biases, self.vocabulary)

        with torch.inference_mode():
            found, report = choose_search(
                search,
                build,
                lambda rows: self._states(encode_sessions(sample_sessions(self.vocabulary, rows), self.vocabulary, {})),
                lambda found, states: self._using(found)._list(states, MEASURED_K, None, None)[0],
                len(self.vocabulary),
            )
        model = self._using(found)
        model.search_report = report
        return model

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take the arrays, without a search for those before; see ``ModelBase.restore``."""
        self._search, self.search_report = None, SearchReport()
        return super().restore(arrays, vocabulary)

    def _using(self, search: ItemSearch | None) -> Self:
        model = copy.copy(self)
        model._search = search
        return model

    def _list(
        self,
        states: Float32[Tensor, "B D"],
        k: int,
        allowed: Bool[np.ndarray, "M"] | None,
        exclude: Prefixes | None,
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        embeddings, biases = self._table()
        order = self.vocabulary.order
        if allowed is None or allowed.sum() * _FEW > len(allowed):
            if self._search is not None and (found := self._search.candidates(states, k, allowed, exclude)) is not None:
                scores = self._score_rows(states, found)
                items, values = list_candidates(found, scores.numpy(), k, order=order)
                if items[:, -1].all():  # Else a row ran out of candidates.
                    return items, values
            scores = states @ embeddings.T if biases is None else torch.addmm(biases, states, embeddings.T)
            return top_k(self._put_last(scores), k, order=order, allowed=allowed, exclude=exclude)
        items = np.flatnonzero(allowed)
        ids = torch.from_numpy(items).to(embeddings.device)
        few = states @ embeddings[ids].T
        scores = few.new_full((len(few), len(allowed)), -torch.inf)
        scores[:, ids] = self._put_last(few if biases is None else few + biases[ids], items)
        return top_k(scores, k, order=order, exclude=exclude)

    def _put_last(
        self, scores: Float32[Tensor, "B C"], items: Int64[np.ndarray, "*B C"] | None = None
    ) -> Float32[Tensor, "B C"]:
        """Give the items that the model knows nothing of the least score there is, in place.

        Args:
            scores: scores of ``items``.
            items: item indices of the columns; None for all items.
        """
        readable = self.vocabulary.known
        if self.vocabulary.all_known:
            return scores
        last = torch.from_numpy(~(readable if items is None else readable[items])).to(scores.device)
        return scores.masked_fill_(last.expand_as(scores), torch.finfo(scores.dtype).min)
