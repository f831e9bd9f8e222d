"""Distributions of a prepared log: session lengths, popularity of the items, and events over time."""

from typing import Any

import numpy as np
from jaxtyping import Int

from segue.data.cases import Cases
from segue.data.sessions import Sessions

_BOUNDS = (*range(1, 11), 15, 20, 30, 50, 100, 200, 500, 1000)
"""Largest session length of each bar; a last bar holds longer sessions."""

_RANKS = 80
"""Ranks at which the popularity of items is stated."""

_STEPS = (60, 300, 900, 3600, 3 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400, 28 * 86_400)
"""Seconds that a bar of the timeline may cover."""

_BARS = 120
"""Most bars of the timeline."""

_MIXED = 0.01
"""A split by time has at most this share of the training events after its line."""


def distributions(train: Sessions, valid: Cases | None, test: Cases) -> dict[str, Any]:
    """Return the distributions of a prepared log, ready for JSON.

    Returns:
        ``lengths``: rows ``[least, most, sessions]`` of the training sessions, ``most`` None in an open last row.
        ``popularity``: rows ``[rank, events, share]``: training events of the item at a rank, and the share of all
        events on the items up to it. ``timeline``: ``start`` and ``step`` in seconds, the events per step of each
        ``part`` (events to predict, but for training), and the ``lines`` at which parts that a time divides begin;
        None without times.
    """
    return {
        "lengths": _lengths(train.lengths),
        "popularity": _popularity(train.vocabulary.support[1:]),
        "timeline": _timeline(train, {"valid": valid, "test": test}),
    }


def _lengths(lengths: Int[np.ndarray, "s"]) -> list[list[int | None]]:
    counts = np.bincount(np.searchsorted(_BOUNDS, lengths), minlength=len(_BOUNDS) + 1).tolist()
    least = [1, *(bound + 1 for bound in _BOUNDS)]
    rows = [list(row) for row in zip(least, (*_BOUNDS, None), counts, strict=True)]
    while rows and not rows[-1][2]:
        rows.pop()
    return rows


def _popularity(support: Int[np.ndarray, "N"]) -> list[list[float]]:
    events = np.sort(support)[::-1]
    total = int(events.sum())
    if not total:
        return []
    ranks = np.unique(np.geomspace(1, len(events), _RANKS).round().astype(np.int64))
    shares = events.cumsum()[ranks - 1] / total
    return [
        [rank, count, round(share, 6)]
        for rank, count, share in zip(ranks.tolist(), events[ranks - 1].tolist(), shares.tolist(), strict=True)
    ]


def _timeline(train: Sessions, cases: dict[str, Cases | None]) -> dict[str, Any] | None:
    parts = {"train": train.times}
    for name, part in cases.items():
        upcoming = None if part is None else part.prefixes.upcoming
        if upcoming is not None and upcoming.times is not None and len(upcoming.events):
            parts[name] = upcoming.times[upcoming.events]
    times = {name: moments for name, moments in parts.items() if moments is not None and len(moments)}
    if "train" not in times:
        return None
    first, last = min(int(one.min()) for one in times.values()), max(int(one.max()) for one in times.values())
    step = next(
        (one for one in _STEPS if (last - first) // one < _BARS),
        _STEPS[-1] * -(-(last - first) // (_STEPS[-1] * _BARS)),
    )
    start = first // step * step
    bars = (last - start) // step + 1
    lines = {
        name: int(one.min())
        for name, one in times.items()
        if name != "train" and (times["train"] > one.min()).mean() <= _MIXED
    }
    return {
        "start": start,
        "step": step,
        "parts": {name: np.bincount((one - start) // step, minlength=bars).tolist() for name, one in times.items()},
        "lines": lines,
    }
