"""Item-to-item neighbours by damped cosine of co-occurrence."""

from typing import Annotated, Self

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from segue.data.array_schema import MOST, Between
from segue.data.sessions import Sessions
from segue.models.item_to_item.model import ItemToItemConfig, ItemToItemModel
from segue.spaces import Range


class ItemKNNConfig(ItemToItemConfig):
    """Parameters of ``ItemKNN``."""

    damping: float = Field(20.0, ge=0)
    """Damping lambda: added to the support of both items, so that rare items are not similar by chance."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Exponent of the last item's support in the norm; 0.5 is the cosine, 1 the confidence of an association rule."""

    search = {**ItemToItemConfig.search, "damping": Range(1.0, 300.0, log=True), "alpha": Range(0.0, 1.0)}


class ItemKNN(ItemToItemModel):
    """Recommends the items that co-occur most with the last item, normalised by popularity.

    ``sim(i, j) = n_ij / ((s_i + lambda)^alpha (s_j + lambda)^(1 - alpha))``: ``n_ij`` events on i in a session that
    also contains j, ``s`` events per item, both weighted by the recency of their sessions. An item is not a neighbour
    of itself.

    Source: the Item-KNN baseline of Hidasi et al. 2016 (arXiv 1511.06939) with its default lambda 20 and alpha 0.5.
    """

    name = "item-knn"
    paper = "Hidasi et al. 2016, arXiv 1511.06939 (baseline Item-KNN)"
    Config = ItemKNNConfig
    config: ItemKNNConfig
    memory = (*ItemToItemModel.memory, "support")

    support: Annotated[Float64[np.ndarray, "N+1"], Between(0, MOST)]
    """Summed weights of the events on each item, see ``SessionWeights``."""

    def _learn(self, train: Sessions, before: Self | None) -> dict[str, np.ndarray]:
        config = self.config
        session = self.weigh_sessions(train, before)
        earlier = None if before is None else before.support * session.aged
        support = self._add_up(earlier, train.items, np.repeat(session.weights, train.lengths), train)
        norm = np.where(support > 0, support / session.last, 1.0) + config.damping
        arrays, _ = self.count(train, before, session, column=norm ** (config.alpha - 1))
        source = np.repeat(np.arange(len(norm)), np.diff(arrays["offsets"]))
        similarities = (arrays["weights"] / norm[source] ** config.alpha).astype(np.float32)
        return {**arrays, "weights": similarities, "support": support}
