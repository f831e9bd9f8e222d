"""Sequential rules: later items of a session, weighted by their distance."""

from typing import Self

import numpy as np
from pydantic import Field

from segue.data.sessions import Sessions
from segue.models.item_to_item.baskets import BasketConfig, BasketModel
from segue.spaces import Range


class SequentialRulesConfig(BasketConfig):
    """Parameters of ``SequentialRules``."""

    max_distance: int = Field(10, ge=1, le=1_000_000)
    """Maximum distance, in events or baskets, between the two items of a rule."""

    search = {**BasketConfig.search, "max_distance": Range(1, 30, log=True)}


class SequentialRules(BasketModel):
    """Recommends the items that followed the last item, directly or within some steps; nearer events have more weight.

    ``score(j | i) = sum of 1 / (y - x)`` over all pairs of events x < y of a session with item i at x and item j at y,
    at most ``max_distance`` apart, each weighted by the recency of its session.

    With ``baskets`` x and y count baskets, the events of equal time, so that items of one basket make no rule; the
    score is the mean over the items i of the last basket.

    Source: SR of Ludewig and Jannach 2018 (arXiv 1803.09587), as in session-rec with ``weighting="div"``, which also
    divides a list by its largest score; this does not change the order.
    """

    name = "sequential-rules"
    paper = "Ludewig and Jannach 2018, arXiv 1803.09587"
    Config = SequentialRulesConfig
    config: SequentialRulesConfig

    def _learn(self, train: Sessions, before: Self | None) -> dict[str, np.ndarray]:
        distance = np.concatenate([[0.0], 1 / np.arange(1, self.config.max_distance + 1)])
        session = self.weigh_sessions(train, before)
        arrays, _ = self.count(train, before, session, distance=distance, baskets=self.steps(train))
        return {**arrays, "weights": arrays["weights"].astype(np.float32)}
