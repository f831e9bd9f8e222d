"""The log of the generated shop."""

import numpy as np
import polars as pl
from jaxtyping import Int64

from segue.data.events import ITEM, SESSION, TIME, TIME_DTYPE, Events
from segue.data.synthetic.structure import DAYS, Structure, structure
from segue.rng import generator

_OPENED = 1_740_960_000
"""Monday, 3 March 2025, in seconds since 1970."""
_LONGEST = 30
_GO_ON = 0.78
"""Probability that a visit goes on after its second product."""
_HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 12, 13, 12, 11, 11, 12, 14, 17, 20, 21, 17, 10, 5], dtype=float)
"""Visits per hour of the day, in arbitrary units: quiet at night, busiest in the evening."""
_LOOK_SECONDS = 45.0
"""Median time that a visitor looks at a product."""


def shop(sessions: int = 20_000, seed: int = 0) -> Events:
    """Generate the click log of a web shop with named products, in which the best prediction is known.

    A visit begins with a product that is in fashion. Each further product follows from the last one (the next kind
    of its category, or another colour), or from the first one (what such a visit is about, from any category), or is
    in fashion that day; ``structure`` holds the rules and the true probabilities. So popularity of the last days beats
    popularity, a Markov chain beats both, and a model that remembers how the visit began beats the chain.

    Args:
        sessions: number of visits, over 30 days.
        seed: equal seeds give equal logs.

    Returns:
        A log with times, sessions ordered by their first event, and items with name, category and price.
    """
    rules = structure(seed)
    rng = generator(seed, "visits")
    opened = np.sort(_openings(sessions, rng))
    lengths = 1 + np.minimum(rng.geometric(1 - _GO_ON, sessions), _LONGEST - 1)
    products = _walk(rules, opened // 86_400, lengths, rng)
    numbers = np.repeat(np.arange(1, sessions + 1), lengths)
    times = (_OPENED + _moments(opened, lengths, rng)) * 1_000_000
    frame = pl.DataFrame(
        {SESSION: numbers, ITEM: rules.items[ITEM].gather(products), TIME: pl.Series(times).cast(TIME_DTYPE)}
    )
    return Events(frame, items=rules.items)


def _openings(sessions: int, rng: np.random.Generator) -> Int64[np.ndarray, "s"]:
    """Draw the second of the log at which each visit begins."""
    hours = rng.choice(len(_HOURS), sessions, p=_HOURS / _HOURS.sum())
    return rng.integers(0, DAYS, sessions) * 86_400 + hours * 3_600 + rng.integers(0, 3_600, sessions)


def _walk(
    rules: Structure, day: Int64[np.ndarray, "s"], lengths: Int64[np.ndarray, "s"], rng: np.random.Generator
) -> Int64[np.ndarray, "n"]:
    """Walk all visits at once, one product at a time; return their products, visit after visit."""
    offsets = np.cumsum(lengths) - lengths
    products = np.empty(lengths.sum(), dtype=np.int64)
    first = rules.start(day, rng)
    products[offsets] = last = first
    for place in range(1, _LONGEST):
        going = lengths > place
        last = last[going[lengths > place - 1]]
        last = rules.step(first[going], last, day[going], rng)
        products[offsets[going] + place] = last
    return products


def _moments(
    opened: Int64[np.ndarray, "s"], lengths: Int64[np.ndarray, "s"], rng: np.random.Generator
) -> Int64[np.ndarray, "n"]:
    """Return the second of each event; a visitor looks at each product for a log-normal time."""
    looks = np.ceil(np.exp(rng.normal(np.log(_LOOK_SECONDS), 0.8, lengths.sum()))).astype(np.int64)
    elapsed = np.cumsum(looks) - looks
    offsets = np.cumsum(lengths) - lengths
    return np.asarray(elapsed - np.repeat(elapsed[offsets] - opened, lengths))
