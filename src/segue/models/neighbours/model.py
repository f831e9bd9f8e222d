"""Shared by V-SKNN, STAN and VSTAN, which differ only in their weights: the index, the search and the votes."""

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from math import fsum
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from pydantic import Field
from torch import Tensor

from segue.data.array_schema import IN_YEARS, MOST, Between, Falling, Offsets, UpTo
from segue.data.sessions import SECONDS_PER_DAY, Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.evaluation.ranking.cpu import Excluded
from segue.models.decay import age_notes, age_weights
from segue.models.neighbours.index import Index, ListsItsSessions, build_index
from segue.models.neighbours.search import (
    UNDERFLOW,
    ListFilters,
    SearchParameters,
    SessionBatch,
    TieOrder,
    list_best,
    score_given,
    score_prefixes,
)
from segue.models.neighbours.votes import split_votes
from segue.models.neighbours.workspace import Workspace, new_workspace
from segue.models.updating import UpdatableConfig, UpdatableModel
from segue.models.why.answer import Part, others
from segue.spaces import Range
from segue.threads import share_rows

_LISTED = 20
"""Items of a neighbour that are shown, the last ones."""


class NeighbourConfig(UpdatableConfig):
    """Parameters of every session-based kNN model."""

    k: int = Field(100, ge=1, le=1_000_000_000)
    """Number of neighbours: the most similar sessions, which vote for their items."""
    sample_size: int = Field(1000, ge=1, le=1_000_000_000)
    """Number of candidate neighbours: the most recent sessions that share an item with the current session."""
    max_length: int = Field(10, ge=1, le=1000)
    """Number of most recent events of the current session to use."""
    leave_out: Literal["nothing", "last", "session"] = "nothing"
    """Items of the current session that get no score: none, the last item, or all."""
    tie_order: Literal["neighbours", "popularity"] = "neighbours"
    """Order of items with equal scores: the item of the more similar session first, or the more popular item first."""

    search = {
        "k": Range(30, 1500, log=True),
        "sample_size": Range(300, 10_000, log=True),
        "max_length": Range(2, 50, log=True),
    }


class Weights(NamedTuple):
    """The weights of a model; see ``SearchParameters``."""

    position: Float64[np.ndarray, "M+1 M"]
    match: Float64[np.ndarray, "M"]
    gap: Float64[np.ndarray, "G"]
    item: Float64[np.ndarray, "N+1"]


class NeighbourModel(UpdatableModel):
    """A model that scores items by the training sessions most similar to the current session.

    Candidates are the ``sample_size`` most recent sessions that share an item with the current session, the ``k`` most
    similar of them (among equals the more recent) are its neighbours, and each adds to the score of its items

        similarity x weight(most recent match) x weight(distance from the match) x weight(item).
    """

    array_names = ("posting_offsets", "items", "offsets", "postings", "session_weights", "idf")
    fits_in_ranges = True
    memory = (*UpdatableModel.memory, "session_ends", "session_ranks", "n_sessions")
    cosine: ClassVar[bool] = False
    """Divide a similarity by the norms of both sessions, not by the number of items of the current session."""
    config: NeighbourConfig

    postings: Annotated[Int32[np.ndarray, "p"], Between(0, "s-1"), Falling("posting_offsets"), ListsItsSessions()]
    """Sessions of each item, the most recent first."""
    posting_offsets: Annotated[Int64[np.ndarray, "N+2"], Offsets("p")]
    """Where the postings of each item start."""
    items: Annotated[Int32[np.ndarray, "n"], Between(1, "N")]
    """Events of the sessions that can be neighbours."""
    offsets: Annotated[Int64[np.ndarray, "s+1"], Offsets("n")]
    """Where each of these sessions starts."""
    session_weights: Annotated[Float64[np.ndarray, "s"], Between(0, "1")]
    """Factor of the similarity to each session."""
    idf: Annotated[Float64[np.ndarray, "N+1"], Between(0, "64")]
    """Inverse document frequency ``ln(sessions / events on the item)``, not below 0."""
    session_ends: Annotated[Int64[np.ndarray, "s"], IN_YEARS, UpTo("last_time")]
    """Time of the last event of each session, in seconds since 1970; 0 in a log without times."""
    session_ranks: Annotated[Int64[np.ndarray, "s"], Between(0, MOST), UpTo("n_sessions", -1)]
    """Rank of each session among all training sessions, in order of their end."""
    n_sessions: Annotated[Int64[np.ndarray, "1"], Between(0, MOST)]
    """Number of training sessions."""

    @abstractmethod
    def age_scales(self) -> tuple[float | None, float | None]:
        """Return the scales of the decay with age, in days and as a share of all sessions; see ``age_weights``."""

    @abstractmethod
    def weights(self) -> Weights:
        """Return the weights of positions, matches, gaps and items."""

    def _learn(self, train: Sessions, before: Self | None) -> dict[str, np.ndarray]:
        days, share = self.age_scales()
        counts = self._count(train, before)
        log, ends, ranks = self._known_sessions(train, before)
        number = len(train) + (0 if before is None else int(before.n_sessions[0]))
        index, kept, distinct = build_index(log, self.config.sample_size)
        if train.times is not None:
            weights = age_weights(train.times.max() - ends[kept], days, SECONDS_PER_DAY)
        else:
            weights = age_weights(number - 1 - ranks[kept], share, number)
        if self.cosine:
            weights /= np.sqrt(distinct[kept])
        self.notes = age_notes(train, days=days, share=share)
        return {
            **index,
            **counts,
            "session_weights": weights,
            "idf": np.maximum(0.0, np.log(max(1, number) / np.maximum(counts["item_events"], 1))),
            "session_ends": ends[kept],
            "session_ranks": ranks[kept],
            "n_sessions": np.array([number]),
        }

    def _known_sessions(
        self, train: Sessions, before: Self | None
    ) -> tuple[Sessions, Int64[np.ndarray, "s"], Int64[np.ndarray, "s"]]:
        """Return the sessions that can be neighbours, the time of their last events and their ranks.

        An earlier session that was left out of an index is behind enough recent ones of each of its items, and stays
        behind them.
        """
        ends = np.zeros(len(train), dtype=np.int64) if train.times is None else train.times[train.offsets[1:] - 1]
        ranks = np.arange(len(train))
        if before is None:
            return train, ends, ranks
        items = np.concatenate([before.items, train.items])
        offsets = np.concatenate([before.offsets, len(before.items) + train.offsets[1:]])
        ranks = np.concatenate([before.session_ranks, before.n_sessions[0] + ranks])
        log = Sessions(items, offsets, None, train.vocabulary)
        return log, np.concatenate([before.session_ends, ends]), ranks

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take the arrays and make the search ready."""
        super().restore(arrays, vocabulary)
        config = self.config
        self._idle: deque[Workspace] = deque()
        self._index = Index(self.postings, self.posting_offsets, self.items, self.offsets, self.session_weights)
        left_out = {"nothing": 0, "last": 1, "session": np.iinfo(np.int64).max}[config.leave_out]
        nearest_first = config.tie_order == "neighbours"
        self._parameters = SearchParameters(
            config.k, config.sample_size, self.cosine, left_out, nearest_first, *self.weights()
        )
        return self

    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        scores = np.empty((len(prefixes), len(self.vocabulary) + 1), dtype=np.float32)

        def score(part: slice) -> None:
            memory = self._borrow()
            score_prefixes(_batch(prefixes, part), self._index, self._parameters, memory, scores[part])
            self._idle.append(memory)

        share_rows(len(prefixes), score)
        return torch.from_numpy(scores)

    def _score_items(self, prefixes: Prefixes, items: Int64[np.ndarray, "B C"]) -> Float32[Tensor, "B C"]:
        scores, items = np.empty(items.shape, dtype=np.float32), np.ascontiguousarray(items)

        def score(part: slice) -> None:
            memory = self._borrow()
            batch = _batch(prefixes, part)
            score_given(batch, self._index, self._parameters, memory, items[part], scores[part])
            self._idle.append(memory)

        share_rows(len(prefixes), score)
        return torch.from_numpy(scores)

    def _top_k(
        self, prefixes: Prefixes, k: int, allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the items of the neighbours, then the most popular others."""
        items = np.zeros((len(prefixes), k), dtype=np.int64)
        values = np.full((len(prefixes), k), -np.inf, dtype=np.float32)
        mask = np.zeros(0, dtype=bool) if allowed is None else allowed
        order = TieOrder(self.vocabulary.order.within(allowed), self.vocabulary.order.places)
        excluded = Excluded.by(exclude, len(prefixes))

        def fill(part: slice) -> None:
            batch, filters = _batch(prefixes, part), ListFilters(mask, excluded.rows(part))
            memory = self._borrow()
            list_best(batch, self._index, self._parameters, memory, order, filters, items[part], values[part])
            self._idle.append(memory)

        share_rows(len(prefixes), fill)
        return items, values

    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> list[list[Part]]:
        """Return the votes of the neighbours; see ``Model._parts``."""
        size = min(self.config.k, self.config.sample_size, len(self.session_weights))
        neighbours, similarities = np.zeros(size, dtype=np.int64), np.zeros(size)
        votes = np.zeros((size, len(items)))
        memory, session = self._borrow(), _batch(prefixes, slice(0, 1))
        count = split_votes(session, self._index, self._parameters, memory, items, neighbours, similarities, votes)
        self._idle.append(memory)
        own = prefixes.items[prefixes.starts[0] : prefixes.ends[0]]
        weights = self._parameters.position[min(len(own), self.config.max_length)]
        ages = range(min(len(own), self.config.max_length) - 1, -1, -1)
        last = {int(own[-1 - age]): len(own) - 1 - age for age in ages if weights[age] > 0}

        def part(number: int, value: float) -> Part:
            held = self.items[self.offsets[neighbours[number]] : self.offsets[neighbours[number] + 1]]
            listed = tuple(dict.fromkeys(held.tolist()))
            source = f"a similar session ({similarities[number]:.3g})"
            shared = tuple(sorted(last[item] for item in listed if item in last))
            return Part("neighbour", source, value, listed[-_LISTED:], shared)

        return [_of_votes(votes[:count, column], float(score), part, most) for column, score in enumerate(scores)]

    def _borrow(self) -> Workspace:
        """Return memory that no other thread uses; who has used it puts it back for later calls."""
        try:
            return self._idle.pop()
        except IndexError:
            candidates = min(self.config.sample_size, len(self.session_weights))
            return new_workspace(len(self.vocabulary), self.config.max_length, candidates)


def _of_votes(
    votes: Float64[np.ndarray, "k"], score: float, part: Callable[[int, float], Part], most: int
) -> list[Part]:
    """Return the largest votes for an item as parts, then the sum of the others; together they are the score."""
    voting = np.flatnonzero(votes)
    if score == 0 or not len(voting):  # An item of the session that is left out has no score.
        return []
    if (total := fsum(votes)) < UNDERFLOW:
        votes = votes * (score / total)
    order = voting[np.argsort(-votes[voting], kind="stable")]
    parts = [part(int(number), float(votes[number])) for number in order[:most]]
    if len(order) > most:
        parts.append(others(votes[order[most:]].tolist(), "similar sessions"))
    rest = score - fsum(one.value for one in parts)
    if np.float32(score - rest) != np.float32(score):
        parts.append(Part("tie", "order among items with equal scores", rest))
    return parts


def _batch(prefixes: Prefixes, part: slice) -> SessionBatch:
    return SessionBatch(prefixes.items, prefixes.starts[part], prefixes.ends[part])
