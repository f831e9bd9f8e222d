"""Ranking metrics: from the ranks of the relevant items to one value per case.

Every rank metric has the signature ``metric(ranks, relevant, k)``:

    ranks: [C, R], the 1-based ranks of the relevant items of each case, ascending, infinity where there is no further
        one or where it is not a candidate. An average tie rule may give halves; such an item is in the list if its rank
        is at most k.
    relevant: [C], how many relevant items each case has.
    k: the cut-off, infinity for none.

A case without a relevant item has the value 0 in each of them. Fewer than k candidates change nothing: the empty
places of the list count as wrong.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

Ranks = Float[np.ndarray, "C R"]
Counts = Int[np.ndarray, "C"]
Values = Float64[np.ndarray, "C"]
Cutoff = int | float

Ties = Literal["served", "pessimistic", "optimistic", "average"]
"""Rank of a relevant item among the items with its score: as served, the last, the first or the middle one."""


class RankMetric(Protocol):
    """Signature of a rank metric."""

    def __call__(self, ranks: Ranks, relevant: Counts, k: Cutoff) -> Values:
        """Return one value per case."""


def recall(ranks: Ranks, relevant: Counts, k: Cutoff) -> Values:
    """Relevant items in the list / relevant items."""
    return np.asarray(_hits(ranks, k).sum(axis=1) / np.maximum(relevant, 1))


def hit(ranks: Ranks, relevant: Counts, k: Cutoff) -> Values:
    """1 if a relevant item is in the list, else 0."""
    return np.asarray(_hits(ranks, k).any(axis=1), dtype=np.float64)


def precision(ranks: Ranks, relevant: Counts, k: Cutoff) -> Values:
    """Relevant items in the list / k, however short the list is."""
    return np.asarray(_hits(ranks, k).sum(axis=1) / k)


def mrr(ranks: Ranks, relevant: Counts, k: Cutoff) -> Values:
    """1 / rank of the first relevant item, 0 if it is not in the list."""
    return np.asarray(np.where(_hits(ranks, k), 1.0 / ranks, 0.0).max(axis=1, initial=0.0))


def ndcg(ranks: Ranks, relevant: Counts, k: Cutoff) -> Values:
    """DCG / the DCG of the ideal list, where DCG is the sum of 1 / log2(1 + rank) over the relevant items listed.

    The ideal list begins with all min(k, relevant) relevant items, so a perfect list has the value 1 at each k.
    """
    gains = np.where(_hits(ranks, k), 1.0 / np.log2(1.0 + ranks), 0.0).sum(axis=1)
    longest = int(relevant.max(initial=0))
    ideal = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(2.0 + np.arange(longest)))])
    best = ideal[np.minimum(relevant, k).astype(np.int64)]
    return np.asarray(gains / np.where(best > 0, best, 1.0))


def average_precision(ranks: Ranks, relevant: Counts, k: Cutoff) -> Values:
    """Sum over the relevant items listed of the precision down to each / relevant items.

    Its mean over the cases is MAP. It divides by all relevant items, as trec_eval does, not by min(k, relevant).
    """
    places = np.arange(1, ranks.shape[1] + 1)
    return np.asarray(np.where(_hits(ranks, k), places / ranks, 0.0).sum(axis=1) / np.maximum(relevant, 1))


def wrong_before(ranks: Ranks, relevant: Counts, others: Counts) -> Float64[np.ndarray, "C R"]:
    """Count the other candidates before each relevant item; 0 behind the last one.

    Args:
        ranks: as in every rank metric.
        relevant: [C].
        others: [C], candidates that are not relevant.
    """
    places = np.arange(ranks.shape[1])
    before = np.where(np.isfinite(ranks), ranks - 1 - places, others[:, None])
    return np.asarray(np.where(places < relevant[:, None], before, 0.0))


def case_auc(ranks: Ranks, relevant: Counts, candidates: Counts) -> Values:
    """Share of the pairs of a relevant and another candidate in which the relevant one is ranked before the other.

    It follows from the ranks. A tie counts as the ranks resolve it, a half with the average rule. A relevant item
    without a rank is behind all others.

    Args:
        ranks: as in every rank metric.
        relevant: [C].
        candidates: [C], all items that are ranked, the relevant ones among them.

    Returns:
        [C]; NaN for a case without a relevant item or without another candidate, which has no such pair.
    """
    others = candidates - relevant
    wrong = wrong_before(ranks, relevant, others).sum(axis=1)
    pairs = relevant * others
    return np.asarray(np.where(pairs > 0, 1.0 - wrong / np.where(pairs > 0, pairs, 1.0), np.nan))


def _hits(ranks: Ranks, k: Cutoff) -> Bool[np.ndarray, "C R"]:
    # An infinite rank is not a hit, not even without a cut-off.
    return np.asarray((ranks <= k) & np.isfinite(ranks))


RANK_METRICS: Mapping[str, RankMetric] = {
    "recall": recall,
    "hit": hit,
    "precision": precision,
    "mrr": mrr,
    "ndcg": ndcg,
    "map": average_precision,
}
"""Metrics of the ranks of the relevant items, by name."""

AUC_METRICS = ("gauc", "user_auc")
"""Means of ``case_auc``: weighted by the relevant items of each case, and unweighted."""
