"""Ranking metrics: from the ranks of the relevant items, or from the lists shown, to one value per case.

Every rank metric has the signature ``metric(ranks, relevant, k)``:

    ranks: [C, R], the 1-based ranks of the relevant items of each case, ascending, infinity where there is no further
        one or where it is no candidate. A median tie rule may give halves; such an item is in the list if its rank is
        at most k.
    relevant: [C], how many relevant items each case has.
    k: the cut-off, infinity for none.

A case without a relevant item has the value 0 in each of them. Fewer than k candidates change nothing: the empty
places of the list count as wrong.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from segue.data.vocabulary import PADDING
from segue.errors import ParameterError, UnknownNameError

Ranks = Float[np.ndarray, "C R"]
Counts = Int[np.ndarray, "C"]
Values = Float64[np.ndarray, "C"]
Cutoff = int | float

Ties = Literal["conservative", "standard", "median"]
"""Rank of a relevant item among the items with its score: the last, the first, the middle."""


class RankMetric(Protocol):
    """What all rank metrics look like."""

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


def average_popularity(items: Int[np.ndarray, "C k"], support: Int[np.ndarray, "M"]) -> Values:
    """Mean number of training events of the items listed; 0 for an empty list.

    Args:
        items: item indices of each list, ``PADDING`` in the empty places.
        support: training events per item index, 0 for the padding.
    """
    listed = np.count_nonzero(items != PADDING, axis=1)
    return np.asarray(support[items].sum(axis=1) / np.maximum(listed, 1))


def item_coverage(listed: Bool[np.ndarray, "M"]) -> float:
    """Share of the catalogue that stands in at least one list.

    Args:
        listed: whether each item index is in a list; the padding is not counted.
    """
    return float(listed[1:].mean())


RANK_METRICS: Mapping[str, RankMetric] = {
    "recall": recall,
    "hit": hit,
    "precision": precision,
    "mrr": mrr,
    "ndcg": ndcg,
    "map": average_precision,
}
"""Metrics of the ranks of the relevant items, by name."""

LIST_METRICS = ("coverage", "popularity")
"""Names of the metrics of the lists themselves: ``item_coverage`` and ``average_popularity``."""

WITHOUT_CUTOFF = ("mrr", "ndcg", "map")
"""Metrics that mean something over the whole ranking."""


@dataclass(frozen=True)
class MetricName:
    """A metric and its cut-off, as in ``recall@20``.

    Attributes:
        name: a key of ``RANK_METRICS`` or one of ``LIST_METRICS``.
        k: the cut-off, infinity for none.
    """

    name: str
    k: Cutoff

    @classmethod
    def parse(cls, text: str) -> "MetricName":
        """Read ``name@k``, or ``name`` alone for one of ``WITHOUT_CUTOFF``.

        Raises:
            UnknownNameError: there is no such metric.
            ParameterError: the cut-off is missing or no whole number of at least 1.
        """
        name, at, cutoff = text.partition("@")
        if name not in RANK_METRICS and name not in LIST_METRICS:
            raise UnknownNameError("metric", name, [*RANK_METRICS, *LIST_METRICS])
        if not at and name in WITHOUT_CUTOFF:
            return cls(name, math.inf)
        if not (cutoff.isascii() and cutoff.isdigit() and int(cutoff) >= 1):
            raise ParameterError(
                f"metric '{text}': the cut-off must be a whole number of at least 1, got '{cutoff}'; "
                f"write for example {name}@20"
            )
        return cls(name, int(cutoff))


def _hits(ranks: Ranks, k: Cutoff) -> Bool[np.ndarray, "C R"]:
    # An infinite rank is no hit, not even without a cut-off.
    return np.asarray((ranks <= k) & np.isfinite(ranks))


DEFAULT_METRICS = (
    *(f"{name}@{k}" for name in ("recall", "mrr", "ndcg") for k in (5, 10, 20)),
    *("hit@10", "precision@20", "map@20", "coverage@20", "popularity@20"),
)
"""What is measured unless told otherwise."""
