"""The rules by which visitors of the generated shop move, and with them the best possible prediction."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float64, Int, Int64

from segue.data.synthetic.products import CATEGORIES, COLOURS
from segue.rng import generator

DAYS = 30
"""Length of the log."""

FOLLOW, THEME, TREND = 0.47, 0.38, 0.15
"""Probability that the next product follows from the last one, from the first one, or from fashion alone."""

_FOLLOW_WEIGHTS = np.array([0.55, 0.20, 0.15, 0.10])
_THEME_WEIGHTS = np.array([0.28, 0.20, 0.15, 0.12, 0.10, 0.08, 0.07])
_KINDS = len(next(iter(CATEGORIES.values())))
_FIRST_ID = 1001


@dataclass(frozen=True, eq=False)
class Structure:
    """How the next product depends on the visit so far: on its last product, on its first one, and on the day.

    Products are numbered 0..N-1 here; ``items`` holds their ids.

    Attributes:
        items: one row per product: ``item`` (id), ``name``, ``category``, ``price``.
        follows: the products that go with each product; a visitor chooses among them by fixed weights.
        themes: the products that complete what a visit that began with each product is about.
        fashion: how popular each product is on each day; it comes and goes.
    """

    items: pl.DataFrame
    follows: Int64[np.ndarray, "N F"]
    themes: Int64[np.ndarray, "N G"]
    fashion: Float64[np.ndarray, "D N"]

    def probabilities(
        self, first: Int[np.ndarray, "B"], last: Int[np.ndarray, "B"], day: Int[np.ndarray, "B"]
    ) -> Float64[np.ndarray, "B N"]:
        """Return the true probability of each product to be the next: no model can predict better.

        Args:
            first: the product that each visit began with.
            last: the product it is at.
            day: the day of the visit, 0 is the first of the log.
        """
        chances: Float64[np.ndarray, "B N"] = TREND * self.fashion[day]
        rows = np.arange(len(chances))[:, None]
        chances[rows, self.follows[last]] += FOLLOW * _FOLLOW_WEIGHTS
        chances[rows, self.themes[first]] += THEME * _THEME_WEIGHTS
        return chances

    def start(self, day: Int[np.ndarray, "B"], rng: np.random.Generator) -> Int64[np.ndarray, "B"]:
        """Draw the product that each visit begins with."""
        # One sorted axis for all days: the products of day d lie in d..d+1.
        edges = (np.cumsum(self.fashion, axis=1) + np.arange(len(self.fashion))[:, None]).ravel()
        n = self.fashion.shape[1]
        drawn = np.searchsorted(edges, day + rng.random(len(day))) - day * n
        return np.asarray(np.clip(drawn, 0, n - 1))

    def step(
        self,
        first: Int64[np.ndarray, "B"],
        last: Int64[np.ndarray, "B"],
        day: Int64[np.ndarray, "B"],
        rng: np.random.Generator,
    ) -> Int64[np.ndarray, "B"]:
        """Draw the next product of each visit."""
        size = len(first)
        follow = self.follows[last, rng.choice(len(_FOLLOW_WEIGHTS), size, p=_FOLLOW_WEIGHTS)]
        theme = self.themes[first, rng.choice(len(_THEME_WEIGHTS), size, p=_THEME_WEIGHTS)]
        chance = rng.random(size)
        return np.where(chance < FOLLOW, follow, np.where(chance < FOLLOW + THEME, theme, self.start(day, rng)))


def structure(seed: int = 0) -> Structure:
    """Return the shop that ``shop(seed=seed)`` is a log of."""
    rng = generator(seed, "shop")
    products = np.arange(len(CATEGORIES) * _KINDS * len(COLOURS))
    return Structure(_items(rng), _follows(products), _themes(products, rng), _fashion(len(products), rng))


def _items(rng: np.random.Generator) -> pl.DataFrame:
    kinds = [(category, kind) for category, kinds in CATEGORIES.items() for kind in kinds]
    prices = np.round(np.exp(rng.normal(3.2, 0.7, len(kinds)))) + 0.9
    rows = [
        (f"{kind}, {colour}", category, float(price))
        for (category, kind), price in zip(kinds, prices, strict=True)
        for colour in COLOURS
    ]
    table = pl.DataFrame(rows, schema=["name", "category", "price"], orient="row")
    return table.select(item=_FIRST_ID + pl.int_range(pl.len(), dtype=pl.Int64)).hstack(table)


def _product(category: np.ndarray, kind: np.ndarray, colour: np.ndarray) -> Int64[np.ndarray, "..."]:
    return np.asarray((category * _KINDS + kind % _KINDS) * len(COLOURS) + colour % len(COLOURS))


def _follows(products: Int64[np.ndarray, "N"]) -> Int64[np.ndarray, "N _"]:
    """Next kind, the one after it, the same in the next colour, the next kind in the next colour."""
    kinds, colour = np.divmod(products, len(COLOURS))
    category, kind = np.divmod(kinds, _KINDS)
    steps = [(1, 0), (2, 0), (0, 1), (1, 1)]
    return np.column_stack([_product(category, kind + ahead, colour + shift) for ahead, shift in steps])


def _themes(products: Int64[np.ndarray, "N"], rng: np.random.Generator) -> Int64[np.ndarray, "N _"]:
    """Four kinds of the same category and three of a partner category, all in the colour of the first product."""
    kinds, colour = np.divmod(products, len(COLOURS))
    circle = rng.permutation(len(CATEGORIES))
    partner = dict(zip(circle.tolist(), np.roll(circle, 1).tolist(), strict=True))
    wanted = np.array(
        [
            [*_kinds(category, 4, rng), *_kinds(partner[category], 3, rng)]
            for category in range(len(CATEGORIES))
            for _ in range(_KINDS)
        ]
    )
    return rng.permuted(wanted, axis=1)[kinds] * len(COLOURS) + colour[:, None]


def _kinds(category: int, count: int, rng: np.random.Generator) -> Int64[np.ndarray, "_"]:
    return category * _KINDS + rng.choice(_KINDS, count, replace=False)


def _fashion(n: int, rng: np.random.Generator) -> Float64[np.ndarray, "30 N"]:
    """Zipf's law, on top of which every product has its days of fame."""
    lasting = 1.0 / rng.permutation(np.arange(1, n + 1)) ** 0.8
    peak = rng.uniform(-3, DAYS + 3, n)
    away = (np.arange(DAYS)[:, None] - peak) / 2.5
    weights = lasting * (1 + 40 * np.exp(-(away**2)))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
