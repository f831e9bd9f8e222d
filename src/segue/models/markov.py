"""First-order Markov chain over items."""

from dataclasses import replace
from typing import Annotated, Any, Self

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from pydantic import Field, field_validator
from torch import Tensor

from segue.data.array_schema import MOST, Between
from segue.data.baskets import Baskets
from segue.data.sessions import Prefixes, Sessions
from segue.models.base import Model
from segue.models.item_to_item.baskets import BasketConfig, BasketModel
from segue.models.item_to_item.model import last_items
from segue.models.why.answer import Part
from segue.spaces import Range
from segue.validation import without_effect


class MarkovConfig(BasketConfig):
    """Parameters of ``Markov``."""

    smoothing: float = Field(1.0, ge=0)
    """Number of pseudo-transitions added per item, distributed in proportion to popularity."""
    history_weight: float = Field(0.0, ge=0, lt=1)
    """Weight of the transitions within the current session; used if its last item occurred earlier in the session."""

    @field_validator("history_weight")
    @classmethod
    def _history_of_events(cls, history_weight: float, info: Any) -> float:
        if history_weight and info.data.get("baskets"):
            raise without_effect(
                "with baskets=true, as it counts transitions from event to event", "remove one of them"
            )
        return history_weight

    search = {**BasketConfig.search, "smoothing": Range(0.01, 30.0, log=True), "history_weight": Range(0.0, 0.9)}


class Markov(BasketModel):
    """Recommends the items that most often directly followed the last item.

    ``P(j | i) = (n_ij + a p_j) / (n_i + a)``: ``n_ij`` transitions from i to j inside sessions, each weighted by the
    recency of its session, ``n_i`` their sum over j, ``a`` the smoothing and ``p_j`` the popularity of j. Only the
    best neighbours of an item keep their ``n_ij``.

    The personalised, unfactorised chain counts per user: with weight ``history_weight`` the score is the transition
    probability inside the running history, ``score = (1 - w) P(j | i) + w P_history(j | i)``, and backs off to
    ``P(j | i)`` where the history has not left i before. In a session log the history is the session itself.

    With ``baskets`` the events of equal time form a basket B, and the chain goes from basket to basket:
    ``P(j in B | i in the basket before) = (n_ij + a p_j) / (n_i + a)``, where ``n_ij`` counts the baskets with j that
    follow one with i, and ``n_i`` the baskets with i that are followed by one. The score of j is the mean over the
    items i of the last basket.

    Source: the unpersonalised and the personalised chain of Rendle et al. 2010 (FPMC, WWW), estimated by counting.
    """

    name = "markov"
    paper = "Rendle et al. 2010, WWW (the chain under FPMC)"
    Config = MarkovConfig
    config: MarkovConfig
    array_names = (*BasketModel.array_names, "popularity", "departures")

    weights: Annotated[Float32[np.ndarray, "m"], Between(0, "1")]
    """Shares of the transitions away from the last item."""
    popularity: Annotated[Float32[np.ndarray, "N+1"], Between(0, "1")]
    """Share of the training events per item index."""
    departures: Annotated[Float64[np.ndarray, "N+1"], Between(0, MOST)]
    """Weighted transitions away from each item."""
    departure_sums: Annotated[Float64[np.ndarray, "N+1"], Between(0, MOST)]
    """The same before ages are set, see ``SessionWeights``."""

    def stored_names(self) -> tuple[str, ...]:
        """Return the names of the arrays; what baskets add up is more than the pairs tell."""
        more = ("departure_sums",) if self.config.updatable and self.config.baskets else ()
        return (*super().stored_names(), *more)

    def _learn(self, train: Sessions, before: Self | None) -> dict[str, np.ndarray]:
        config = self.config
        session = self.weigh_sessions(train, before)
        baskets = self.steps(train)
        arrays, departures = self.count(train, before, session, distance=np.array([0.0, 1.0]), baskets=baskets)
        events, sums = arrays["item_events"], np.zeros(0)
        if config.baskets:
            left, weights = _departures(baskets, session.weights)
            sums = self._add_up(None if before is None else before.departure_sums * session.aged, left, weights, train)
            departures = sums / session.last
        source = np.repeat(np.arange(len(departures)), np.diff(arrays["offsets"]))
        return {
            **arrays,
            "weights": (arrays["weights"] / (departures[source] + config.smoothing)).astype(np.float32),
            "popularity": (events / max(1, events.sum())).astype(np.float32),
            "departures": departures,
            "departure_sums": sums,
        }

    def background(self) -> Float32[np.ndarray, "N+1"]:
        """Return the popularity, which smoothing adds to each row."""
        return self.popularity if self.config.smoothing else super().background()

    def background_factors(self, last: Int32[np.ndarray, "B"]) -> Float32[np.ndarray, "B"]:
        """Return the share of the smoothing in each row."""
        if not self.config.smoothing:
            return super().background_factors(last)
        shares: np.ndarray = self.config.smoothing / (self.departures[last] + self.config.smoothing)
        return shares.astype(np.float32)

    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        scores = super()._score(prefixes)
        if self.config.history_weight > 0:
            self._add_history(scores.numpy(), prefixes)
        return scores

    def _top_k(
        self, prefixes: Prefixes, k: int, allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items; with a ``history_weight``, it scores all items."""
        own_history = self.config.history_weight > 0
        return (Model._top_k if own_history else BasketModel._top_k)(self, prefixes, k, allowed, exclude)

    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> list[list[Part]]:
        """Return the rule, the smoothing, and the transitions inside the session; see ``Model._parts``."""
        parts, weight = super()._parts(prefixes, items, scores, most), self.config.history_weight
        session = prefixes.items[prefixes.starts[0] : prefixes.ends[0]].tolist()
        left = [place for place, item in enumerate(session[:-1]) if item == session[-1]]
        if not weight or not left:
            return parts
        source, share = "a transition in this session", weight / len(left)
        return [
            [
                *(replace(part, value=(1 - weight) * part.value) for part in own),
                *(
                    Part("history", source, share, (session[-1],), (place, place + 1))
                    for place in left
                    if session[place + 1] == item
                ),
            ]
            for own, item in zip(parts, items.tolist(), strict=True)
        ]

    def _add_history(self, scores: Float32[np.ndarray, "B N+1"], prefixes: Prefixes) -> None:
        """Mix the transitions inside each prefix into its row of ``scores``."""
        last = last_items(prefixes)
        earlier = Prefixes(prefixes.items, prefixes.starts, np.maximum(prefixes.ends - 1, prefixes.starts))
        rows, events = earlier.events()
        left = prefixes.items[events] == last[rows]
        rows, events = rows[left], events[left]
        count = np.bincount(rows, minlength=len(prefixes))
        scores[count > 0] *= 1 - self.config.history_weight
        share = (self.config.history_weight / count[rows]).astype(np.float32)
        np.add.at(scores, (rows, prefixes.items[events + 1]), share)


def _departures(
    baskets: Baskets, weights: Float64[np.ndarray, "s"]
) -> tuple[Int32[np.ndarray, "m"], Float64[np.ndarray, "m"]]:
    """Return each item of each basket, and the weight of its session if another basket follows, else 0."""
    lengths = np.diff(baskets.offsets)
    last = baskets.numbers[np.maximum(baskets.offsets[1:] - 1, 0)]
    followed = baskets.numbers < np.repeat(last, lengths)
    return baskets.items, followed * np.repeat(weights, lengths)
