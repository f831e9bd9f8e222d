"""Popularity inside the current session."""

from typing import Annotated, Self

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from segue.data.array_schema import Between
from segue.data.sessions import Prefixes, Sessions
from segue.models.updating import UpdatableConfig, UpdatableModel
from segue.models.why.answer import Part


class SessionPopularityConfig(UpdatableConfig):
    """Parameters of ``SessionPopularity``."""


class SessionPopularity(UpdatableModel):
    """Recommends the items with the most events in the current session; overall popularity breaks ties.

    ``score(j) = n_j + c_j / (1 + max c)`` with ``n_j`` the events on item j in the current session and ``c_j`` those
    in the training log. The second term is below 1, so it only orders items with equal ``n_j``.

    Source: the S-POP baseline of Hidasi et al. 2016 (arXiv 1511.06939). Their code breaks ties by ``c_j / (1 + c_j)``;
    the order is the same, and ours keeps popular items apart in single precision.
    """

    name = "session-popularity"
    paper = "Hidasi et al. 2016, arXiv 1511.06939 (baseline S-POP)"
    Config = SessionPopularityConfig
    config: SessionPopularityConfig
    ranks_by_popularity = True
    array_names = ("tie_breaker",)

    tie_breaker: Annotated[Float32[np.ndarray, "N+1"], Between(0, "1")]
    """Popularity of each item, scaled to [0, 1)."""

    def _learn(self, train: Sessions, before: Self | None) -> dict[str, np.ndarray]:
        counts = self._count(train, before)
        events = counts["item_events"]
        return {**counts, "tie_breaker": (events / (1 + events.max())).astype(np.float32)}

    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        scores = np.tile(self.tie_breaker, (len(prefixes), 1))
        rows, events = prefixes.events()
        np.add.at(scores, (rows, prefixes.items[events]), np.float32(1))
        return torch.from_numpy(scores)

    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> list[list[Part]]:
        """Return the events on each item, and its popularity; see ``Model._parts``."""
        session = prefixes.items[prefixes.starts[0] : prefixes.ends[0]].tolist()
        return [
            [
                *(
                    Part("event", "an event on it", 1.0, (), (place,))
                    for place, own in enumerate(session)
                    if own == item
                ),
                Part("popularity", "popularity, which breaks ties", float(self.tie_breaker[item])),
            ]
            for item in items.tolist()
        ]
