"""Memory of the search on a VMIS index, which is used again for every session."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64


class Workspace(NamedTuple):
    """Memory of one thread, zeros at first; it serves any number of prefixes.

    Attributes:
        tags: numbers of the current prefix and of the current neighbour, counted from 1.
        running: tag of the last prefix with the item.
        seen: tag of the last neighbour with the item.
        listed: tag of the last prefix for which the item had a score.
        scores: zero between prefixes.
        found: items with a score, those of the most similar session first.
        values: their scores.
        nearest: rank of the most similar session with each of them.
        heads: next posting of each item of the prefix, the most recent item first.
        tails: end of its postings.
        steps: events of the prefix after it.
        shares: its weight.
        candidates: sessions to compare, the most recent first.
        similarities: how similar they are.
        matches: events of the prefix after the most recent match.
    """

    tags: Int64[np.ndarray, "2"]
    running: Int64[np.ndarray, "N+1"]
    seen: Int64[np.ndarray, "N+1"]
    listed: Int64[np.ndarray, "N+1"]
    scores: Float64[np.ndarray, "N+1"]
    found: Int32[np.ndarray, "N+1"]
    values: Float32[np.ndarray, "N+1"]
    nearest: Int32[np.ndarray, "N+1"]
    heads: Int64[np.ndarray, "M"]
    tails: Int64[np.ndarray, "M"]
    steps: Int64[np.ndarray, "M"]
    shares: Float64[np.ndarray, "M"]
    candidates: Int64[np.ndarray, "m"]
    similarities: Float64[np.ndarray, "m"]
    matches: Int64[np.ndarray, "m"]


def new_workspace(n_items: int, longest: int, sample_size: int) -> Workspace:
    """Return memory for prefixes of up to ``longest`` events."""
    size = n_items + 1
    return Workspace(
        tags=np.zeros(2, np.int64),
        running=np.zeros(size, np.int64),
        seen=np.zeros(size, np.int64),
        listed=np.zeros(size, np.int64),
        scores=np.zeros(size),
        found=np.zeros(size, np.int32),
        values=np.zeros(size, np.float32),
        nearest=np.zeros(size, np.int32),
        heads=np.zeros(longest, np.int64),
        tails=np.zeros(longest, np.int64),
        steps=np.zeros(longest, np.int64),
        shares=np.zeros(longest),
        candidates=np.zeros(sample_size, np.int64),
        similarities=np.zeros(sample_size),
        matches=np.zeros(sample_size, np.int64),
    )
