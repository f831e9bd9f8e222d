"""What Markov, SequentialRules and ItemKNN share: a sparse table of the best partners of each item."""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from pydantic import Field
from torch import Tensor

from segue.data.arrays import read_only
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import ItemOrder, Vocabulary
from segue.evaluation.ranking.cpu import Excluded
from segue.models.base import Model, ModelConfig
from segue.models.item_to_item.kernels import Counting, Log, Table, count_pairs, list_rows, score_rows
from segue.models.recency import notes_on_age, recency
from segue.spaces import Around, Choice, Range, Space
from segue.threads import share_rows

_LEAST_ROWS = 16
"""Rows below which they are done before another thread has started."""


class SuccessorConfig(ModelConfig):
    """Parameters of every model that looks up successors."""

    n_successors: int = Field(100, ge=1)
    """Best items kept per item."""
    decay_days: float | None = Field(None, gt=0)
    """Scale in days of the exponential decay of a session's weight with its age; none weights all alike."""
    decay_share: float | None = Field(None, gt=0)
    """The same for a log without times, as a share of all sessions."""

    search: ClassVar[Mapping[str, Space | Around]] = {
        "n_successors": Range(20, 500, log=True),
        "decay_days": Choice((None, 1.0, 3.0, 7.0, 30.0)),
    }


class SuccessorModel(Model):
    """A model whose scores are a row of a sparse item x item table, chosen by the last item of the session."""

    learnt: ClassVar[tuple[str, ...]] = ("offsets", "successors", "weights")
    config: SuccessorConfig

    offsets: Int64[np.ndarray, "N+2"]
    """The successors of item j are ``successors[offsets[j]:offsets[j + 1]]``."""
    successors: Int32[np.ndarray, "m"]
    """Item indices, best first in each row."""
    weights: Float32[np.ndarray, "m"]
    """Their scores."""

    def weigh_sessions(self, train: Sessions) -> Float64[np.ndarray, "s"]:
        """Return the weight of each session by its age, and note what became of the age where a log has no times."""
        scales = {"days": self.config.decay_days, "share": self.config.decay_share}
        self.notes = notes_on_age(train, **scales)
        return recency(train, **scales)

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take the arrays and make the look-up ready."""
        super().restore(arrays, vocabulary)
        background, places = self.background(), vocabulary.order.places
        vocabulary.require_rows(self.name, offsets=len(self.offsets) - 1, background=len(background))
        order = (1 + np.lexsort((places[1:], -background[1:]))).astype(np.int32)
        self._walk = ItemOrder.of(order)
        self._table = Table(self.offsets, self.successors, self.weights, background, order, places)
        return self

    def background(self) -> Float32[np.ndarray, "N+1"]:
        """Return the score that each item has whatever came last, up to a factor."""
        return np.zeros(len(self.vocabulary) + 1, dtype=np.float32)

    def background_factors(self, last: Int32[np.ndarray, "B"]) -> Float32[np.ndarray, "B"]:
        """Return the factor of the background after each last item."""
        return np.zeros(len(last), dtype=np.float32)

    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Look up the last item of each prefix. An empty prefix scores 0 everywhere, but for the background."""
        scores = np.empty((len(prefixes), len(self.vocabulary) + 1), dtype=np.float32)
        last = last_items(prefixes)
        factors = self.background_factors(last)
        share_rows(
            len(last), lambda part: score_rows(last[part], factors[part], self._table, scores[part]), least=_LEAST_ROWS
        )
        return torch.from_numpy(scores)

    def _top_k(
        self, prefixes: Prefixes, k: int, allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the successors, and items of the background where these have a better score or are too few."""
        items = np.zeros((len(prefixes), k), dtype=np.int64)
        values = np.full((len(prefixes), k), -np.inf, dtype=np.float32)
        last = last_items(prefixes)
        factors = self.background_factors(last)
        mask = np.zeros(0, dtype=bool) if allowed is None else allowed
        table = self._table._replace(order=self._walk.within(allowed))
        excluded = Excluded.by(exclude, len(prefixes))

        def fill(part: slice) -> None:
            list_rows(last[part], factors[part], table, mask, excluded.rows(part), items[part], values[part])

        share_rows(len(last), fill, least=_LEAST_ROWS)
        return items, values


def last_items(prefixes: Prefixes) -> Int32[np.ndarray, "B"]:
    """Return the last item of each prefix, padding for an empty one."""
    last = np.zeros(len(prefixes), dtype=np.int32)
    filled = prefixes.lengths > 0
    last[filled] = prefixes.items[prefixes.ends[filled] - 1]
    return last


def pairs(
    train: Sessions,
    keep: int,
    *,
    distance: Float64[np.ndarray, "_"] | None = None,
    session: Float64[np.ndarray, "s"] | None = None,
    column: Float64[np.ndarray, "N+1"] | None = None,
) -> tuple[dict[str, np.ndarray], Float64[np.ndarray, "N+1"]]:
    """Sum the weights of the pairs of events of each session, and keep the best second items of each item.

    Args:
        train: the sessions.
        keep: second items kept per item; equal ones are kept by popularity, then by index.
        distance: weight of a pair by its distance in events, from 0 on; pairs further apart do not count. None pairs
            an event with each other item of its whole session, once, whatever the order and the distance.
        session: weight of each session; None weights all alike.
        column: factor by the second item, applied before the best are chosen; None is 1.

    Returns:
        The arrays ``offsets``, ``successors`` and ``weights`` (float64) of ``SuccessorModel``; and the sum of each
        row before anything was dropped and without ``column``.
    """
    size = len(train.vocabulary) + 1
    support = np.bincount(train.items, minlength=size)
    log = Log(
        items=read_only(train.items),
        owners=np.repeat(np.arange(len(train), dtype=np.int32), train.lengths),
        sessions=read_only(train.offsets),
        positions=np.argsort(train.items, kind="stable"),
        offsets=np.concatenate([[0], np.cumsum(support)]),
    )
    counting = Counting(
        around=distance is None,
        distance=np.ones(1) if distance is None else distance,
        session=np.ones(len(train)) if session is None else session,
        column=np.ones(size) if column is None else column,
        priority=np.argsort(np.argsort(-support, kind="stable"), kind="stable"),
        keep=keep,
    )
    offsets, successors, weights, totals = count_pairs(log, counting)
    return {"offsets": offsets, "successors": successors, "weights": weights}, totals
