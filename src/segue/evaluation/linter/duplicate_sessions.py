"""Checks for sessions that stand on both sides of the split."""

from dataclasses import replace

import numpy as np
from jaxtyping import UInt64

from segue.data.kernels import concatenate_ranges
from segue.data.sessions import Prefixes
from segue.evaluation.linter.finding import Found
from segue.evaluation.linter.holdout import held_sessions
from segue.protocols.dataset import Dataset

LEAST_TIMED, LEAST_UNTIMED = 3, 4
"""Events from which on two equal sessions tell something: with the seconds between their events, and by items alone."""

TOLERATED = 0.01
"""Share of the test sessions that may stand in training as well."""

LEAST_COPIES = 3
"""Test sessions that must stand in training as well: one or two may by chance."""

_ODD = np.uint64(0x9E3779B97F4A7C15)


def duplicated_sessions(data: Dataset) -> Found | None:
    """Find test sessions that training holds as well: the same items, the same seconds apart where there are times.

    Short sessions are alike by chance; so they are left out, and what is left must be there more than twice as often as
    training repeats itself. Sessions at the very same times are copies, however often training repeats itself.
    """
    held = held_sessions(data.test)
    timed = data.train.times is not None and data.test.prefixes.times is not None
    least = LEAST_TIMED if timed else LEAST_UNTIMED
    test = replace(data.test.prefixes, starts=held.starts, ends=held.ends)
    own, other = (_signatures(one, least=least, timed=timed) for one in (data.train.as_prefixes(), test))
    if not len(own[0]) or not len(other[0]):
        return None
    known, back, counts = np.unique(own[0], return_inverse=True, return_counts=True)
    usual = float((counts[back] > 1).mean())
    copies = np.isin(other[0], known)
    if copies.sum() < LEAST_COPIES:
        return None
    exact = timed and bool(np.isin(other[0] + other[1], own[0] + own[1]).mean() > TOLERATED)
    if not exact and copies.mean() <= TOLERATED + 2 * usual:
        return None
    alike = "the same items, the same seconds apart" if timed else "the same items in the same order"
    return Found(
        f"{int(copies.sum()):,} of {len(copies):,} test sessions of at least {least} events ({copies.mean():.1%}) "
        f"stand in training as well ({alike}), where {usual:.1%} of the training sessions have such a twin: a model "
        "need only remember them; drop the copies before the split, or check whether one visit has several ids"
    )


def divided_sessions(data: Dataset) -> Found | None:
    """Find visits of a given split that have events in training and in the test at the same time."""
    if data.protocol.split.kind != "given" or not data.overlapping_sessions:
        return None
    return Found(
        f"{data.overlapping_sessions:,} sessions have events in the training part and in the test part of the given "
        "split whose times overlap: visits were cut in two, and training holds the other half of what is tested; split "
        "whole sessions: protocol.split=last-days"
    )


def _signatures(
    sessions: Prefixes, *, least: int, timed: bool
) -> tuple[UInt64[np.ndarray, "l"], UInt64[np.ndarray, "l"]]:
    """Hash the sessions of at least ``least`` events: items, their places, and seconds since the first event.

    Returns:
        The hashes, and, hashed too, when each session began.
    """
    sessions = sessions[np.flatnonzero(sessions.lengths >= least)]
    starts, lengths, times = sessions.starts, sessions.lengths, sessions.times
    if not len(starts):
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint64)
    events, firsts = concatenate_ranges(starts, lengths), np.repeat(starts, lengths)
    hashes = _mixed(sessions.items[events].astype(np.uint64) * _ODD + (events - firsts).astype(np.uint64))
    if not timed or times is None:
        return np.add.reduceat(hashes, np.cumsum(lengths) - lengths), np.zeros(len(starts), dtype=np.uint64)
    hashes = _mixed(hashes + (times[events] - times[firsts]).astype(np.uint64))
    return np.add.reduceat(hashes, np.cumsum(lengths) - lengths), _mixed(times[starts].astype(np.uint64) * _ODD)


def _mixed(numbers: UInt64[np.ndarray, "n"]) -> UInt64[np.ndarray, "n"]:
    """Spread each number over all 64 bits (the finalizer of splitmix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = numbers ^ (numbers >> np.uint64(31))
    return mixed
