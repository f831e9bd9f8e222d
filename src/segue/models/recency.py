"""How much a training session still counts: exponential decay with its age at the end of training."""

import numpy as np
from jaxtyping import Float64

from segue.data.sessions import SECONDS_PER_DAY, Sessions


def recency(train: Sessions, *, days: float | None, share: float | None) -> Float64[np.ndarray, "s"]:
    """Weight every session by ``exp(-age / scale)``.

    The age counts back from the end of training. A prefix that is scored later is older than that by the same span
    for every session, which multiplies all its scores by one number and changes no list; so "now" is always the end
    of training here, and a live prefix needs no time.

    Args:
        train: sessions in order of their end.
        days: scale in days, used where the log has times; None weights all sessions alike.
        share: scale as a share of all sessions, used where it has none: the rank of a session, counted from the most
            recent one, takes the place of its age. None weights all sessions alike.

    Returns:
        Weights above 0 and up to 1, which is a session that ends with the training.
    """
    scale = days if train.times is not None else share
    if scale is None:
        return np.ones(len(train))
    if train.times is not None:
        ages = (train.times.max() - train.times[train.offsets[1:] - 1]) / SECONDS_PER_DAY
    else:
        ages = np.arange(len(train))[::-1] / len(train)
    weights: np.ndarray = np.maximum(np.exp(-ages / scale), np.finfo(np.float64).tiny)
    return weights


def notes_on_age(train: Sessions, *, days: float | None, share: float | None) -> tuple[str, ...]:
    """Say what ``recency`` made of the same arguments where a log has no times."""
    if train.times is not None or (days is None and share is None):
        return ()
    if share is None:
        return ("the log has no times, so all its sessions weigh alike",)
    return ("the log has no times, so the rank of a session takes the place of its age",)
