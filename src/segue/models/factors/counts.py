"""Sessions as sparse rows over the catalogue: which items, and how often; the order is lost."""

import numpy as np
from jaxtyping import Float32
from scipy.sparse import csr_matrix

from segue.data.sessions import Prefixes, Sessions


def training_matrix(train: Sessions, weights: Float32[np.ndarray, "n"]) -> csr_matrix:
    """Sum the weights of the events on each item of each session.

    Returns:
        A matrix [s, N]. Column ``j - 1`` is item index ``j``: padding has no column, for implicit would learn it.
    """
    sessions = np.repeat(np.arange(len(train)), train.lengths)
    return csr_matrix((weights, (sessions, train.items - 1)), shape=(len(train), len(train.vocabulary)))


def running_matrix(prefixes: Prefixes, n_items: int) -> csr_matrix:
    """Count the events on each item of each prefix.

    Returns:
        A matrix [B, N+1]. Column ``j`` is item index ``j``; that of padding is empty.
    """
    rows, events = prefixes.events()
    ones = np.ones(len(events), dtype=np.float32)
    return csr_matrix((ones, (rows, prefixes.items[events])), shape=(len(prefixes), n_items + 1))
