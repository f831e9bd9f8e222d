"""Logs of a few events, small enough to count by hand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segue.data.sessions import Sessions


def toy_sessions(*sessions: str, days_ago: Sequence[float] = ()) -> "Sessions":
    """Return sessions in which each letter is an event on the item of that name.

    Args:
        *sessions: such as ``"ABC"``, the oldest session first. Items are numbered in alphabetical order from 1.
        days_ago: how many days before the end of the log each session takes place; none gives a log without times.
    """
    import numpy as np
    import polars as pl

    from segue.data.sessions import SECONDS_PER_DAY, Sessions
    from segue.data.vocabulary import Vocabulary

    events = pl.Series("item", list("".join(sessions)))
    vocabulary = Vocabulary.from_items(events)
    lengths = np.array([len(session) for session in sessions])
    seconds = np.repeat(np.array(days_ago), lengths) * -SECONDS_PER_DAY if days_ago else None
    return Sessions(
        items=vocabulary.encode(events),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        times=None if seconds is None else np.round(seconds).astype(np.int64),
        vocabulary=vocabulary,
    )
