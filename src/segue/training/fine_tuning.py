"""Which sessions a training goes on with, once it has seen them all."""

import numpy as np
from jaxtyping import Int64

from segue.data.sessions import SECONDS_PER_DAY, Sessions
from segue.errors import EmptyDataError, ParameterError
from segue.training.config import FineTuning


def selected(train: Sessions, tuning: FineTuning, place: str = "training.fine_tuning") -> Int64[np.ndarray, "s"]:
    """Return the sessions that are selected, in their order.

    Args:
        train: all sessions, in order of their end.
        tuning: which of them.
        place: what stands before the parameters in a message.

    Raises:
        ParameterError: days are asked for, and the log has no times.
        EmptyDataError: no session of two events or more is left.
    """
    chosen = np.arange(len(train)) >= len(train) - round(tuning.recent_share * len(train))
    if tuning.last_days is not None:
        if train.times is None:
            raise ParameterError(
                f"{place}.last_days: needs a log with times, got {tuning.last_days:g} for one without; "
                f"use {place}.recent_share, which goes by the order of the sessions"
            )
        ended = train.times[train.offsets[1:] - 1]
        chosen &= ended > ended.max() - tuning.last_days * SECONDS_PER_DAY
    if tuning.longest is not None:
        chosen &= train.lengths <= tuning.longest
    if not (train.lengths[chosen] >= 2).any():
        raise EmptyDataError(
            f"{place}: selects {int(chosen.sum())} of {len(train)} sessions, none of two events or more; "
            "raise recent_share, last_days or longest"
        )
    return np.flatnonzero(chosen)
