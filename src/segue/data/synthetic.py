"""Synthetic logs: a shop whose best possible prediction is known, and large logs for benchmarks."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float64, Int, Int64

from segue.data.events import ITEM, SESSION, TIME, TIME_DTYPE, Events
from segue.data.synthetic_products import CATEGORIES, COLOURS
from segue.errors import ParameterError
from segue.rng import generator

DAYS = 30
"""Length of the shop's log."""

FOLLOW, THEME, TREND = 0.47, 0.38, 0.15
"""Probability that the next product follows from the last one, from the first one, or from that day's popularity."""

_FOLLOW_WEIGHTS = np.array([0.55, 0.20, 0.15, 0.10])
_THEME_WEIGHTS = np.array([0.28, 0.20, 0.15, 0.12, 0.10, 0.08, 0.07])
_KINDS = len(next(iter(CATEGORIES.values())))
_FIRST_ID = 1001
_START = 1_740_960_000
"""Monday, 3 March 2025, in seconds since 1970."""
_MAX_LENGTH = 30
_CONTINUE = 0.78
"""Probability that a visit continues after its second product."""
_HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 12, 13, 12, 11, 11, 12, 14, 17, 20, 21, 17, 10, 5], dtype=float)
"""Relative number of visits per hour of the day: quiet at night, busiest in the evening."""
_VIEW_SECONDS = 45.0
"""Median time that a visitor looks at a product."""


@dataclass(frozen=True, eq=False)
class Structure:
    """The rules of the synthetic shop: the next product depends on the last one, the first one, and the day.

    Products are numbered 0..N-1 here; ``items`` holds their ids.

    Attributes:
        items: one row per product: ``item`` (id), ``name``, ``category``, ``price``.
        follows: the products that go with each product; a visitor chooses among them with fixed weights.
        themes: the products that complete a visit that began with each product.
        trends: popularity of each product on each day.
    """

    items: pl.DataFrame
    follows: Int64[np.ndarray, "N F"]
    themes: Int64[np.ndarray, "N G"]
    trends: Float64[np.ndarray, "D N"]

    def probabilities(
        self, first: Int[np.ndarray, "B"], last: Int[np.ndarray, "B"], day: Int[np.ndarray, "B"]
    ) -> Float64[np.ndarray, "B N"]:
        """Return the true probability of each product to be the next: the best possible prediction.

        Args:
            first: the first product of each visit.
            last: its last product.
            day: the day of the visit, 0 is the first of the log.
        """
        probabilities: Float64[np.ndarray, "B N"] = TREND * self.trends[day]
        rows = np.arange(len(probabilities))[:, None]
        probabilities[rows, self.follows[last]] += FOLLOW * _FOLLOW_WEIGHTS
        probabilities[rows, self.themes[first]] += THEME * _THEME_WEIGHTS
        return probabilities

    def start(self, day: Int[np.ndarray, "B"], rng: np.random.Generator) -> Int64[np.ndarray, "B"]:
        """Draw the first product of each visit."""
        # One sorted axis for all days: the products of day d lie in d..d+1.
        edges = (np.cumsum(self.trends, axis=1) + np.arange(len(self.trends))[:, None]).ravel()
        n = self.trends.shape[1]
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


def shop(sessions: int = 20_000, seed: int = 0) -> Events:
    """Generate the click log of a web shop with named products, in which the best prediction is known.

    A visit begins with a popular product of the day. Each further product follows from the last one (the next kind of
    its category, or another colour), from the first one (the theme of the visit, from any category), or is popular that
    day; ``structure`` returns these rules and the true probabilities. So recent popularity beats popularity, a Markov
    chain beats both, and a model that remembers the first product beats the Markov chain.

    Args:
        sessions: number of visits, over 30 days.
        seed: equal seeds give equal logs.

    Returns:
        A log with times, sessions ordered by their first event, and items with name, category and price.
    """
    rules = structure(seed)
    rng = generator(seed, "visits")
    hours = rng.choice(len(_HOURS), sessions, p=_HOURS / _HOURS.sum())
    opened = rng.integers(0, DAYS, sessions) * 86_400 + hours * 3_600 + rng.integers(0, 3_600, sessions)
    opened = np.sort(opened)
    lengths = 1 + np.minimum(rng.geometric(1 - _CONTINUE, sessions), _MAX_LENGTH - 1)
    products = _draw_visits(rules, opened // 86_400, lengths, rng)
    views = np.ceil(np.exp(rng.normal(np.log(_VIEW_SECONDS), 0.8, lengths.sum()))).astype(np.int64)
    elapsed = np.cumsum(views) - views
    seconds = elapsed - np.repeat(elapsed[np.cumsum(lengths) - lengths] - opened, lengths)
    frame = pl.DataFrame(
        {
            SESSION: np.repeat(np.arange(1, sessions + 1), lengths),
            ITEM: rules.items[ITEM].gather(products),
            TIME: pl.Series((_START + seconds) * 1_000_000).cast(TIME_DTYPE),
        }
    )
    return Events(frame, items=rules.items)


def structure(seed: int = 0) -> Structure:
    """Return the rules by which ``shop(seed=seed)`` generates its log."""
    rng = generator(seed, "shop")
    products = np.arange(len(CATEGORIES) * _KINDS * len(COLOURS))
    return Structure(_items(rng), _follows(products), _themes(products, rng), _trends(len(products), rng))


def synthetic_log(events: int, sessions: int, items: int, seed: int = 0, *, days: int = 30) -> Events:
    """Generate a click log of a given size: popularity by Zipf's law, nothing else to learn.

    Args:
        events: number of rows, at least two per session.
        sessions: number of sessions; their lengths roughly follow a geometric distribution.
        items: number of item ids to draw from; the rarest may not occur.
        seed: equal seeds give equal logs.
        days: length of the log.

    Returns:
        A log with times, session after session in the order of their first event.

    Raises:
        ParameterError: there are fewer than two events per session, or no item.
    """
    if events < 2 * sessions or min(sessions, items) < 1:
        raise ParameterError(
            f"synthetic log: needs an item, a session and two events per session, got {events} events, "
            f"{sessions} sessions, {items} items"
        )
    rng = generator(seed, "log")
    shares = rng.standard_exponential(sessions)
    lengths = 2 + rng.multinomial(events - 2 * sessions, shares / shares.sum())
    # The power of a uniform number is log-uniform; rounded down, it follows Zipf's law with exponent 1.
    ranks = np.power(float(items), rng.random(events)).astype(np.int64) - 1
    opened = np.sort(rng.integers(0, days * 86_400_000_000, sessions))
    elapsed = np.cumsum(rng.integers(1_000_000, 120_000_000, events))
    firsts = np.cumsum(lengths) - lengths
    elapsed += np.repeat(_START * 1_000_000 + opened - elapsed[firsts], lengths)
    frame = pl.DataFrame(
        {
            SESSION: np.repeat(np.arange(1, sessions + 1), lengths),
            ITEM: rng.permutation(items)[np.minimum(ranks, items - 1)] + 1,
            TIME: pl.Series(elapsed).cast(TIME_DTYPE),
        }
    )
    return Events(frame)


def _draw_visits(
    rules: Structure, day: Int64[np.ndarray, "s"], lengths: Int64[np.ndarray, "s"], rng: np.random.Generator
) -> Int64[np.ndarray, "n"]:
    """Draw the products of all visits, one position at a time."""
    offsets = np.cumsum(lengths) - lengths
    products = np.empty(lengths.sum(), dtype=np.int64)
    first = rules.start(day, rng)
    products[offsets] = last = first
    for position in range(1, _MAX_LENGTH):
        active = lengths > position
        last = last[active[lengths > position - 1]]
        last = rules.step(first[active], last, day[active], rng)
        products[offsets[active] + position] = last
    return products


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


def _follows(products: Int64[np.ndarray, "N"]) -> Int64[np.ndarray, "N _"]:
    """Return the next kind, the one after it, the same kind in the next colour, the next kind in the next colour."""
    kinds, colour = np.divmod(products, len(COLOURS))
    category, kind = np.divmod(kinds, _KINDS)
    shifts = [(1, 0), (2, 0), (0, 1), (1, 1)]
    columns = [
        (category * _KINDS + (kind + ahead) % _KINDS) * len(COLOURS) + (colour + shift) % len(COLOURS)
        for ahead, shift in shifts
    ]
    return np.column_stack(columns)


def _themes(products: Int64[np.ndarray, "N"], rng: np.random.Generator) -> Int64[np.ndarray, "N _"]:
    """Return four kinds of the same category and three of a partner category, all in the colour of the product."""
    kinds, colour = np.divmod(products, len(COLOURS))
    cycle = rng.permutation(len(CATEGORIES))
    partner = dict(zip(cycle.tolist(), np.roll(cycle, 1).tolist(), strict=True))

    def draw(category: int, count: int) -> Int64[np.ndarray, "_"]:
        return category * _KINDS + rng.choice(_KINDS, count, replace=False)

    wanted = np.array(
        [
            [*draw(category, 4), *draw(partner[category], 3)]
            for category in range(len(CATEGORIES))
            for _ in range(_KINDS)
        ]
    )
    return rng.permuted(wanted, axis=1)[kinds] * len(COLOURS) + colour[:, None]


def _trends(n: int, rng: np.random.Generator) -> Float64[np.ndarray, "30 N"]:
    """Zipf's law, with a few days of peak popularity for every product."""
    lasting = 1.0 / rng.permutation(np.arange(1, n + 1)) ** 0.8
    peak = rng.uniform(-3, DAYS + 3, n)
    distance = (np.arange(DAYS)[:, None] - peak) / 2.5
    weights = lasting * (1 + 40 * np.exp(-(distance**2)))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
