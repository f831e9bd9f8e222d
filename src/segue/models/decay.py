"""Weights that decay: of training sessions with their age, of events with their distance from the end of a session."""

import math
from typing import Literal, NamedTuple, Self

import numpy as np
from jaxtyping import Float64, Int64

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

_LOWEST = -1100
"""Power of two below which a float64 is 0."""


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
    if train.times is not None:
        return age_weights(train.times.max() - train.times[train.offsets[1:] - 1], scale, SECONDS_PER_DAY)
    return age_weights(np.arange(len(train))[::-1], scale, len(train))


def age_weights(ages: Int64[np.ndarray, "s"], scale: float | None, unit: int) -> Float64[np.ndarray, "s"]:
    """Return ``exp(-age / scale)``, or ones without a scale.

    Args:
        ages: ages, 0 for the most recent session.
        scale: time constant in units.
        unit: what one unit is in terms of ``ages``.
    """
    if scale is None:
        return np.ones(len(ages))
    weights: np.ndarray = np.maximum(np.exp(-(ages / unit) / scale), np.finfo(np.float64).tiny)
    return weights


class SessionWeights(NamedTuple):
    """Weights of sessions whose sums can be continued by later sessions.

    A weight is ``exp(-age / scale)`` times a factor that all have in common: ages count back from the end of a whole
    number of half-lives since 1970. When time goes on, older sums are multiplied by a power of two, which is exact, so
    that continued sums equal those of all sessions at once; except for weights below 1e-307, after 700 time constants.

    Attributes:
        weights: weight of each session, above 0.
        last: weight of a session that ends with the training; a sum of weights is divided by it.
        aged: factor of the sums up to an earlier end of training.
    """

    weights: Float64[np.ndarray, "s"]
    last: float = 1.0
    aged: float = 1.0

    @classmethod
    def by_age(cls, train: Sessions, days: float, before: Int64[np.ndarray, "_"] | None = None) -> Self:
        """Weight sessions with times by their age.

        Args:
            train: the sessions.
            days: time constant in days.
            before: the earlier end of training, if the sums of sessions before are continued.
        """
        assert train.times is not None
        half_life = days * SECONDS_PER_DAY * math.log(2)
        ends = np.append(train.times[train.offsets[1:] - 1], train.times.max()) / half_life
        whole = np.floor(ends)
        base = math.ceil(ends[-1])
        earlier = base if before is None else math.ceil(before[0] / half_life)
        powers = (whole - base).astype(np.int64).clip(min=_LOWEST)
        weights = np.maximum(np.ldexp(np.exp2(ends - whole), powers), np.finfo(np.float64).tiny)
        return cls(weights[:-1], float(weights[-1]), math.ldexp(1.0, max(earlier - base, _LOWEST)))


def age_notes(train: Sessions, *, days: float | None, share: float | None) -> tuple[str, ...]:
    """Return remarks on ``session_weights`` for a log without times."""
    if train.times is not None or (days is None and share is None):
        return ()
    if share is None:
        return ("the log has no times, so all its sessions weigh alike",)
    return ("the log has no times, so the rank of a session takes the place of its age",)
