"""Large logs without meaning, for benchmarks."""

import numpy as np
import polars as pl

from segue.data.events import ITEM, SESSION, TIME, TIME_DTYPE, Events
from segue.errors import ParameterError
from segue.rng import generator

_OPENED_US = 1_740_960_000_000_000
"""2025-03-03 in microseconds."""
_DAY_US = 86_400_000_000


def synthetic_log(events: int, sessions: int, items: int, seed: int = 0, *, days: int = 30) -> Events:
    """Generate a click log of the given size: popularity by Zipf's law, nothing else to learn.

    Args:
        events: number of rows, at least two per session.
        sessions: number of sessions; their lengths follow a geometric law, roughly.
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
    # The power of a uniform number is log-uniform, which is Zipf's law with exponent 1 once it is rounded down.
    ranks = np.power(float(items), rng.random(events)).astype(np.int64) - 1
    opened = np.sort(rng.integers(0, days * _DAY_US, sessions))
    elapsed = np.cumsum(rng.integers(1_000_000, 120_000_000, events))
    firsts = np.cumsum(lengths) - lengths
    elapsed += np.repeat(_OPENED_US + opened - elapsed[firsts], lengths)
    frame = pl.DataFrame(
        {
            SESSION: np.repeat(np.arange(1, sessions + 1), lengths),
            ITEM: rng.permutation(items)[np.minimum(ranks, items - 1)] + 1,
            TIME: pl.Series(elapsed).cast(TIME_DTYPE),
        }
    )
    return Events(frame)
