"""Popularity: the same list for everyone."""

from typing import Self

import numpy as np
import torch
from jaxtyping import Float32
from pydantic import Field
from torch import Tensor

from segue.data.sessions import Cases, Prefixes, Sessions
from segue.errors import ParameterError
from segue.models.base import Model, ModelConfig
from segue.models.recency import SECONDS_PER_DAY
from segue.training.runtime import Runtime


class PopularityConfig(ModelConfig):
    """Parameters of ``Popularity``."""

    window_days: float | None = Field(None, gt=0)
    """Count only the events of the most recent days of the training log (the trend baseline); none counts all."""


class Popularity(Model):
    """Recommends what most events of the training log are about, in all of it or in its most recent days.

    ``score(j) = number of training events on item j``. An item without an event in the window scores 0.

    Source: the POP baseline of Hidasi et al. 2016 (arXiv 1511.06939); the window is the trend baseline of
    Ludewig and Jannach 2018 (arXiv 1803.09587).
    """

    name = "popularity"
    paper = "Hidasi et al. 2016, arXiv 1511.06939 (baseline POP)"
    Config = PopularityConfig
    config: PopularityConfig
    learnt = ("counts",)

    counts: Float32[np.ndarray, "N+1"]
    """Training events per item index inside the window."""

    def check(self, train: Sessions) -> None:
        """Refuse a window where the log has no times; see ``Model.check``."""
        if self.config.window_days is not None and train.times is None:
            raise ParameterError(
                f"{self.name}.window_days: needs a log with times and this one has none, got "
                f"{self.config.window_days}; leave window_days out"
            )

    def fit(
        self, train: Sessions, *, valid: Cases | None = None, seed: int = 0, runtime: Runtime | None = None
    ) -> Self:
        """Count; see ``Model.fit``."""
        self.check(train)
        items = train.items
        if self.config.window_days is not None and train.times is not None:
            start = train.times.max() - self.config.window_days * SECONDS_PER_DAY
            items = items[train.times > start]
        self.vocabulary = train.vocabulary
        self.counts = np.bincount(items, minlength=len(train.vocabulary) + 1).astype(np.float32)
        return self

    def score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Give every prefix the same scores; see ``Model.score``."""
        return torch.from_numpy(np.tile(self.counts, (len(prefixes), 1)))
