"""How long one visitor waits."""

import time

import numpy as np

from segue.data.sessions import Prefixes
from segue.models.base import Model

_CASES = 100
_K = 20


def median_latency_ms(model: Model, prefixes: Prefixes) -> float:
    """Return the median milliseconds from one running session to its best 20 items, one session at a time.

    Args:
        model: a fitted model.
        prefixes: running sessions, of which a hundred are taken at even distances.
    """
    chosen = np.unique(np.linspace(0, len(prefixes) - 1, _CASES).astype(np.int64))
    k = min(_K, len(model.vocabulary))
    seconds = []
    for row in chosen:
        started = time.perf_counter()
        model.top_k(prefixes[row : row + 1], k)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))
