"""Popularity: the same list for everyone."""

import numpy as np
import torch
from jaxtyping import Float32, Int64
from pydantic import Field
from torch import Tensor

from segue.data.cases import Cases
from segue.data.sessions import SECONDS_PER_DAY, Prefixes, Sessions
from segue.errors import ParameterError
from segue.models.base import Model
from segue.models.persistence import ModelConfig
from segue.spaces import Choice
from segue.training.runtime import Runtime


class PopularityConfig(ModelConfig):
    """Parameters of ``Popularity``."""

    window_days: float | None = Field(None, gt=0)
    """Count only the events of this number of most recent days of the training log; none counts all events."""
    growth: bool = False
    """Score items by the increase of their count over the previous window of equal length; needs window_days."""

    search = {"window_days": Choice((None, 1.0, 3.0, 7.0, 14.0, 30.0))}


class Popularity(Model):
    """Recommends the items with the most training events in the whole log or its most recent days.

    ``score(j) = n_j``, the number of training events on item j. An item without an event in the window scores 0. With
    ``growth`` and ``m_j`` events in the window before, ``score(j) = (n_j - m_j) / sqrt(n_j + m_j)``: how many standard
    deviations the count has grown, if events come at random. An item without an event in either window comes last.

    Source: the POP baseline of Hidasi et al. 2016 (arXiv 1511.06939); the window is the trend baseline of
    Ludewig and Jannach 2018 (arXiv 1803.09587).
    """

    name = "popularity"
    paper = "Hidasi et al. 2016, arXiv 1511.06939 (baseline POP)"
    Config = PopularityConfig
    config: PopularityConfig
    ranks_by_popularity = True
    array_names = ("counts",)

    counts: Float32[np.ndarray, "N+1"]
    """Score per item index."""

    def check(self, train: Sessions) -> None:
        """Check that a window has times, and growth a window; see ``Model.check``."""
        if self.config.growth and self.config.window_days is None:
            raise ParameterError(
                f"{self.name}.growth: needs window_days, the length of the windows to compare, got window_days none"
            )
        if self.config.window_days is not None and train.times is None:
            raise ParameterError(
                f"{self.name}.window_days: needs a log with times and this one has none, got "
                f"{self.config.window_days}; leave window_days out"
            )

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        counts = self._count(train, 0)
        if self.config.growth:
            before = self._count(train, 1)
            growth = (counts - before) / np.sqrt(np.maximum(counts + before, 1))
            counts = np.where(counts + before > 0, growth, growth.min(initial=0.0) - 1.0)
        self.restore({"counts": counts.astype(np.float32)}, train.vocabulary)

    def _count(self, train: Sessions, window: int) -> Int64[np.ndarray, "N+1"]:
        """Count the events of a window: 0 is the most recent one, 1 the one before."""
        items, size = train.items, len(train.vocabulary) + 1
        if self.config.window_days is None or train.times is None:
            return np.bincount(items, minlength=size)
        length = self.config.window_days * SECONDS_PER_DAY
        end = train.times.max() - window * length
        inside = (train.times <= end) & (train.times > end - length)
        return np.bincount(items[inside], minlength=size)

    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        return torch.from_numpy(np.tile(self.counts, (len(prefixes), 1)))
