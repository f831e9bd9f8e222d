"""Where the targets of test cases stand, and which sessions they belong to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64

from segue.data.cases import Cases


def first_targets(cases: Cases) -> Int32[np.ndarray, "C"]:
    """Return the target of each case, the first one where it has several."""
    return cases.targets if cases.offsets is None else cases.targets[cases.offsets[:-1]]


def in_place(cases: Cases) -> Bool[np.ndarray, "C"]:
    """Return which targets stand right behind the prefix of their case, where a prepared log has them."""
    items, ends = cases.prefixes.items, cases.prefixes.ends
    if not len(items):
        return np.zeros(len(cases), dtype=bool)
    return np.asarray((ends < len(items)) & (items[np.minimum(ends, len(items) - 1)] == first_targets(cases)))


@dataclass(frozen=True, eq=False)
class HeldSessions:
    """The G sessions (or users' histories) that cases come from, as far as the last target of each.

    Attributes:
        starts: first event of each session in the arrays of the prefixes.
        ends: one past its last target.
        moments: seconds since 1970 of its last target, None without times.
    """

    starts: Int64[np.ndarray, "G"]
    ends: Int64[np.ndarray, "G"]
    moments: Int64[np.ndarray, "G"] | None


def held_sessions(cases: Cases) -> HeldSessions:
    """Put the cases of each session together.

    A target that does not stand behind its prefix has no place of its own; the prefix is all there is to go by then.
    """
    prefixes = cases.prefixes
    order = np.lexsort((prefixes.ends, cases.groups))
    last = order[np.append(np.diff(cases.groups[order]) != 0, True)] if len(order) else order
    ends = (prefixes.ends + np.where(in_place(cases), cases.counts, 0))[last]
    moments = None if prefixes.times is None else prefixes.times[np.maximum(ends, 1) - 1]
    return HeldSessions(prefixes.starts[last], ends, moments)


def sample(size: int, most: int) -> Int64[np.ndarray, "_"]:
    """Return at most ``most`` of ``size`` positions, evenly spaced."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).astype(np.int64)) if size else np.zeros(0, np.int64)
