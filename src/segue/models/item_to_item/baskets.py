"""Item-to-item models that can go from basket to basket, instead of from event to event."""

import numpy as np
from jaxtyping import Float32, Int32

from segue.data.arrays import concatenate_ranges, read_only
from segue.data.baskets import Baskets, last_baskets
from segue.data.sessions import Prefixes, Sessions
from segue.errors import ParameterError
from segue.models.item_to_item.model import ItemToItemConfig, ItemToItemModel, ScoreTable


class BasketConfig(ItemToItemConfig):
    """Parameters of an item-to-item model that knows baskets."""

    baskets: bool = False
    """Events of a session with equal times form a basket: steps lead from basket to basket, and a score is the mean
    over the items of the last basket."""


class BasketModel(ItemToItemModel):
    """An item-to-item model whose row may be the mean of the rows of all items of the last basket."""

    config: BasketConfig

    def check(self, train: Sessions) -> None:
        """Check that baskets have times; see ``Model.check``."""
        super().check(train)
        if self.config.baskets and train.times is None:
            raise ParameterError(
                f"{self.name}.baskets: needs a log with times and this one has none, got true; leave it out"
            )

    def steps(self, train: Sessions) -> Baskets:
        """Return the baskets of a log, or each of its events as one."""
        return Baskets.of(train) if self.config.baskets else Baskets.of_one(train)

    def _sources(self, prefixes: Prefixes) -> list[tuple[int, float]]:
        if not self.config.baskets:
            return super()._sources(prefixes)
        _, events = last_baskets(prefixes[:1]).events()
        last = {int(prefixes.items[event]): int(event - prefixes.starts[0]) for event in events}
        return [(place, 1 / len(last)) for place in sorted(last.values())]

    def _look_up(self, prefixes: Prefixes) -> tuple[Int32[np.ndarray, "B"], Float32[np.ndarray, "B"], ScoreTable]:
        if not self.config.baskets:
            return super()._look_up(prefixes)
        size, width = len(prefixes), len(self.vocabulary) + 1
        rows, events = last_baskets(prefixes).events()
        rows, items = np.divmod(np.unique(rows * width + prefixes.items[events]), width)
        shares = 1 / np.bincount(rows, minlength=size).clip(min=1)
        lengths = np.diff(self.offsets)[items]
        entries = concatenate_ranges(self.offsets[items], lengths)
        found, places = np.unique(np.repeat(rows, lengths) * width + self.neighbours[entries], return_inverse=True)
        weights = np.bincount(places, self.weights[entries] * np.repeat(shares[rows], lengths), len(found))
        owners, neighbours = np.divmod(found, width)
        factors = np.bincount(rows, self.background_factors(items) * shares[rows], size)
        empty = prefixes.lengths == 0
        factors[empty] = self.background_factors(np.zeros(empty.sum(), dtype=np.int32))
        table = self._table._replace(
            offsets=read_only(np.searchsorted(owners, np.arange(size + 1))),
            items=read_only(neighbours.astype(np.int32)),
            weights=read_only(weights.astype(np.float32)),
        )
        return np.arange(size, dtype=np.int32), factors.astype(np.float32), table
