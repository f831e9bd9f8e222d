"""Compare models whose catalogues grow on the same later sessions, as an update is verified."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from segue.data.growth import require_grown
from segue.data.sessions import Sessions
from segue.evaluation.confidence import intervals
from segue.models.base import Model

K = 20
"""Length of the lists."""
METRICS = (f"hit@{K}", f"mrr@{K}")
_CHUNK = 2048


@dataclass(frozen=True)
class Change:
    """How a metric differs between two models on the same cases.

    Attributes:
        before: mean of the first model.
        after: mean of the second model.
        low: lower end of the 95% interval of the difference, by resampling of sessions.
        high: its upper end.
    """

    before: float
    after: float
    low: float
    high: float

    @property
    def worse(self) -> bool:
        """Whether the second model is worse by more than the interval."""
        return self.high < 0

    @property
    def better(self) -> bool:
        """Whether the second model is better by more than the interval."""
        return self.low > 0


def next_item_values(model: Model, later: Sessions) -> Float64[np.ndarray, "C 2"]:
    """Return ``METRICS`` of each event but the first of each session, to be predicted from those before.

    Events on items that the model does not know are misses as targets and left out of prefixes, so that the cases are
    the same for every model.

    Args:
        model: the model.
        later: sessions; their catalogue begins with that of the model.
    """
    require_grown(model.vocabulary, later.vocabulary, "later")
    targets, starts = later.targets()
    known = later.items <= len(model.vocabulary)
    before = np.concatenate([[0], np.cumsum(known)])
    some = _known_events(later, known, model)
    values = np.zeros((len(targets), len(METRICS)))
    for first in range(0, len(targets), _CHUNK):
        rows = slice(first, first + _CHUNK)
        prefixes = some.prefixes(before[starts[rows]], before[targets[rows]])
        listed, _ = model.top_k(prefixes, K)
        found = listed == later.items[targets[rows], None]
        values[rows] = np.column_stack([found.any(axis=1), (found / np.arange(1, K + 1)).sum(axis=1)])
    return values


def _known_events(later: Sessions, known: Bool[np.ndarray, "n"], model: Model) -> Sessions:
    events = np.flatnonzero(known)
    return Sessions(
        items=later.items[events],
        offsets=np.concatenate([[0], np.cumsum(known)])[later.offsets],
        times=None if later.times is None else later.times[events],
        vocabulary=model.vocabulary,
        columns=None if later.columns is None else later.columns[events],
    )


def sessions_of_targets(later: Sessions) -> Int64[np.ndarray, "C"]:
    """Return the session of each case of ``next_item_values``."""
    return np.repeat(np.arange(len(later)), np.maximum(later.lengths - 1, 0))


def changes(
    before: Float64[np.ndarray, "C 2"], after: Float64[np.ndarray, "C 2"], groups: Int64[np.ndarray, "C"], seed: int = 0
) -> dict[str, Change]:
    """Compare two models by their values per case.

    Args:
        before: values of the first model.
        after: values of the second model on the same cases.
        groups: the session of each case.
        seed: seed of the resampling.
    """
    bounds = intervals(after - before, groups, seed=seed)
    means: Sequence[tuple[float, float]] = list(zip(before.mean(axis=0), after.mean(axis=0), strict=True))
    return {
        metric: Change(float(one), float(other), float(low), float(high))
        for metric, (one, other), (low, high) in zip(METRICS, means, bounds, strict=True)
    }
