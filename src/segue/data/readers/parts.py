"""The parts of a given split -> one log."""

from collections.abc import Mapping

import polars as pl

from segue.data.events import PART, Events
from segue.errors import LogError


def join_parts(parts: Mapping[str, Events]) -> Events:
    """Put parts below each other, with a column ``part``.

    Ids stay as they are, although the source may number the sessions of each part from 1; with the part they are
    clear.

    Args:
        parts: train, valid and test, as far as they are there, in this order.

    Raises:
        LogError: only some parts have times.
    """
    timed = [part for part, events in parts.items() if events.has_time]
    if timed and len(timed) < len(parts):
        raise LogError(f"the part {timed[0]} has a time column, others have none; give it to all parts or to none")
    frames = [events.frame.with_columns(pl.lit(part).alias(PART)) for part, events in parts.items()]
    notes = tuple(f"{part}: {note}" for part, events in parts.items() for note in events.notes)
    unit = next(iter(parts.values())).unit
    return Events(pl.concat(frames, how="diagonal_relaxed"), unit=unit, notes=notes)
