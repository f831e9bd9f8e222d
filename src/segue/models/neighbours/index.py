"""Building the VMIS index: the recent sessions of each item, and nothing that can never be a neighbour."""

import numpy as np
from jaxtyping import Int64

from segue.data.arrays import read_only
from segue.data.sessions import Prefixes, Sessions
from segue.models.neighbours.kernels import build_postings


def build_index(
    train: Sessions, sample_size: int
) -> tuple[dict[str, np.ndarray], Int64[np.ndarray, "kept"], Int64[np.ndarray, "s"]]:
    """Index the ``sample_size`` most recent sessions of each item.

    A prefix looks at the ``sample_size`` most recent sessions that share any item with it; each of them is among the
    ``sample_size`` most recent of every item it shares, so dropping older ones changes no answer. Sessions that no
    item lists any more are dropped, too.

    Args:
        train: sessions in order of their end; the last is the most recent.
        sample_size: sessions kept per item.

    Returns:
        The arrays ``postings``, ``posting_offsets``, ``items`` and ``offsets`` of ``kernels.Index``; the sessions of
        ``train`` that were kept, in order; and the number of different items of every session of ``train``.
    """
    items, offsets = read_only(train.items), read_only(train.offsets)
    postings, posting_offsets, distinct = build_postings(items, offsets, len(train.vocabulary) + 1, sample_size)
    listed = np.zeros(len(train), dtype=bool)
    listed[postings] = True
    number = np.cumsum(listed, dtype=np.int32) - np.int32(1)
    kept = np.flatnonzero(listed)
    _, events = Prefixes(items, offsets[kept], offsets[kept + 1]).events()
    arrays = {
        "postings": number[postings],
        "posting_offsets": posting_offsets,
        "items": items[events],
        "offsets": np.concatenate([[0], np.cumsum(train.lengths[kept])]),
    }
    return arrays, kept, distinct
