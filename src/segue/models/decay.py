"""Weights that decay: of training sessions with their age, of events with their distance from the end of a session."""

from typing import Literal

import numpy as np
from jaxtyping import Float64

from segue.data.sessions import SECONDS_PER_DAY, Sessions

Decay = Literal["linear", "div", "quadratic", "log", "same"]
"""With p the place of an event from the start of a current session of length l, and d = l - p the events after it,
``position_weights`` gives

    linear 1 - d/10 (0 from d = 10 on)   div p/l   quadratic (p/l)^2   log 1/log10(d + 1.7)   same 1

and ``match_weights``, which knows no length and counts n = d + 1 places back,

    linear 1 - n/10 (0 from n = 10 on)   div 1/n   quadratic 1/n^2     log 1/log10(n + 1.7)   same 1

The names are those of session-rec. Its linear decays go wrong on current sessions of more than ten events, where they
become negative or, for the most recent events, zero; ours stop at zero.
"""


def position_weights(decay: Decay, longest: int) -> Float64[np.ndarray, "M+1 M"]:
    """Weight the events of current sessions: row = length of the session, column = events after the event."""
    length = np.arange(longest + 1)[:, None]
    after = np.arange(longest)[None, :]
    inside = after < length
    share = np.where(inside, (length - after) / np.maximum(length, 1), 0.0)
    weights = {
        "linear": np.maximum(0.0, 1 - 0.1 * after),
        "div": share,
        "quadratic": share**2,
        "log": 1 / np.log10(after + 1.7),
        "same": np.ones((1, longest)),
    }[decay]
    return np.where(inside, weights, 0.0)


def match_weights(decay: Decay, longest: int) -> Float64[np.ndarray, "M"]:
    """Weight a neighbour by the events of the current session after its most recent match."""
    place = np.arange(1, longest + 1)
    weights: dict[Decay, np.ndarray] = {
        "linear": np.maximum(0.0, 1 - 0.1 * place),
        "div": 1 / place,
        "quadratic": 1 / place**2,
        "log": 1 / np.log10(place + 1.7),
        "same": np.ones(longest),
    }
    return weights[decay]


def exponential(scale: float, size: int) -> Float64[np.ndarray, "size"]:
    """Return ``exp(-d / scale)`` for d = 0, 1, ..., size - 1."""
    weights: np.ndarray = np.exp(-np.arange(size) / scale)
    return weights


def exponential_positions(scale: float, longest: int) -> Float64[np.ndarray, "M+1 M"]:
    """Weight the events of current sessions by ``exp(-d / scale)`` with d events after; see ``position_weights``."""
    inside = np.arange(longest)[None, :] < np.arange(longest + 1)[:, None]
    return np.where(inside, exponential(scale, longest), 0.0)


def session_weights(train: Sessions, *, days: float | None, share: float | None) -> Float64[np.ndarray, "s"]:
    """Weight every session by ``exp(-age / scale)``.

    Ages count back from the end of training, not from the moment of a request: that would multiply all scores of a
    request by one factor and change no list.

    Args:
        train: sessions in order of their end.
        days: scale in days, used where the log has times; None weights all sessions alike.
        share: scale as a share of all sessions, used where the log has no times: the rank of a session, counted from
            the most recent one, replaces its age. None weights all sessions alike.

    Returns:
        Weights above 0 and up to 1, the weight of a session that ends with the training.
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


def age_notes(train: Sessions, *, days: float | None, share: float | None) -> tuple[str, ...]:
    """Return remarks on ``session_weights`` for a log without times."""
    if train.times is not None or (days is None and share is None):
        return ()
    if share is None:
        return ("the log has no times, so all its sessions weigh alike",)
    return ("the log has no times, so the rank of a session takes the place of its age",)
