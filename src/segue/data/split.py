"""Splits: pure functions that hold out a part of an ordered log.

Each takes what is left for training and returns what it keeps and what it holds out, so that one function makes
the test part first and the validation part from the rest: validation lies before the test in time.
"""

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from jaxtyping import Bool

from segue.data.events import DAY
from segue.data.order import Runs, by_end, end_times


@dataclass(frozen=True, eq=False)
class HeldOut:
    """An ordered log in two parts.

    Attributes:
        kept: what is left for training.
        held: what is held out.
    """

    kept: pl.DataFrame
    held: pl.DataFrame


def last_days(log: pl.DataFrame, days: float) -> HeldOut:
    """Hold out the sessions that end in the last ``days`` of the log.

    The last day is the 24 hours before the last event, as in the preparation of Hidasi et al. 2016
    (arXiv:1511.06939), not the last date. 0 days hold out nothing.
    """
    runs = Runs.of(log)
    ends = end_times(log, runs)
    late = (ends >= ends.max(initial=0) - days * DAY) & (days > 0)
    return _apart(log, runs.spread(late))


def last_share(log: pl.DataFrame, share: float) -> HeldOut:
    """Hold out the ``share`` of the sessions that end last; without times, that stand last in the file."""
    runs = Runs.of(log)
    count = math.ceil(share * len(runs.starts) - 1e-9)  # 0.07 x 100 is 7.000000000000001
    late = np.zeros(len(runs.starts), dtype=bool)
    late[by_end(log, runs)[len(late) - count :]] = True
    return _apart(log, runs.spread(late))


def last_event(log: pl.DataFrame, least: int, among: pl.Series | None = None) -> HeldOut:
    """Hold out the last event of each session of at least ``least`` events.

    Args:
        log: an ordered log.
        least: sessions that are shorter are left whole.
        among: if given, only sessions with these ids are touched.
    """
    runs = Runs.of(log)
    touched = runs.lengths >= least
    if among is not None:
        touched &= log["session"].gather(runs.starts).is_in(among.implode()).to_numpy()
    last = np.zeros(log.height, dtype=bool)
    last[runs.ends[touched] - 1] = True
    return _apart(log, last)


def from_moment(log: pl.DataFrame, moment: datetime | None) -> HeldOut:
    """Hold out the events at or after one moment in time, the same for everyone; None holds out nothing."""
    if moment is None:
        return HeldOut(log, log.clear())
    return HeldOut(log.filter(pl.col("time") < moment), log.filter(pl.col("time") >= moment))


def continues(log: pl.DataFrame, held: pl.DataFrame) -> bool:
    """Tell whether sessions of ``log`` go on in ``held``, as users' histories do."""
    return not held.select("session").join(log.select("session"), on="session", how="semi").is_empty()


def given(log: pl.DataFrame, part: str) -> HeldOut:
    """Hold out the events that the log itself assigns to ``part``."""
    return HeldOut(log.filter(pl.col("part") != part), log.filter(pl.col("part") == part))


def _apart(log: pl.DataFrame, rows: Bool[np.ndarray, "n"]) -> HeldOut:
    mask = pl.Series(rows, dtype=pl.Boolean)
    return HeldOut(log.filter(~mask), log.filter(mask))
