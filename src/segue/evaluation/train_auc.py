"""How well a factorisation ranks the items of its own training sessions: train_auc, and how to read it."""

import numpy as np
from jaxtyping import Float32
from scipy.sparse import csr_matrix

from segue.rng import generator

BANDS = ((0.95, "excellent"), (0.90, "good"), (0.80, "weak"), (0.0, "poor"))
"""Bands of train_auc, by the least value of each."""

_TRIPLES = 20_000
"""Sampled triples: train_auc is off by less than a point."""


def band(train_auc: float) -> str:
    """Return the band of a train_auc: excellent, good, weak or poor."""
    return next((name for least, name in BANDS if train_auc >= least), BANDS[-1][1])


class SampledAUC:
    """The share of sampled triples that factors rank right: for a session, an item in it above an item not in it.

    As BPR samples them (Rendle et al. 2009), with negatives as implicit samples them: pairs of a session and one of its
    items are sampled uniformly, and the item of another such pair is the negative, so that popular items are negatives
    more often. A negative that is in the session is skipped. The triples are the same in every pass and for every seed
    of the model.

    Args:
        pairs: the sessions of training and their items [s, N]; column ``j`` is row ``j`` of the item factors.
    """

    def __init__(self, pairs: csr_matrix) -> None:
        rng, n_items = generator(0, "train_auc"), pairs.shape[1]
        lengths = np.diff(pairs.indptr)
        events = rng.integers(len(pairs.indices), size=(2, _TRIPLES))
        sessions = np.searchsorted(pairs.indptr, events[0], side="right") - 1
        wanted, others = (pairs.indices[one].astype(np.int64) for one in events)
        # Only the sampled sessions are searched for the negatives.
        drawn = np.unique(sessions)
        starts, sizes = pairs.indptr[drawn].astype(np.int64), lengths[drawn].astype(np.int64)
        places = np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        held = np.repeat(drawn, sizes) * n_items + pairs.indices[places]
        kept = ~np.isin(sessions * n_items + others, held)
        self._sessions, self._wanted, self._others = sessions[kept], wanted[kept], others[kept]

    def __call__(self, sessions: Float32[np.ndarray, "s D"], items: Float32[np.ndarray, "N D"]) -> float | None:
        """Return train_auc of these factors; None if every session contains every item."""
        if not len(self._sessions):
            return None
        differences = items[self._wanted] - items[self._others]
        return float((np.einsum("td,td->t", sessions[self._sessions], differences) > 0).mean())
