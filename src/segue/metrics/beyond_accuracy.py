"""Beyond-accuracy metrics of recommendation lists: coverage, concentration and popularity of what they show.

Some are means over the cases of the weights of the items listed; others need only how often each item is listed, so
that no list has to be kept.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from segue.data.vocabulary import PADDING

TAIL = 0.1
"""Share of the items that make up the tail."""


def average_weight(
    items: Int[np.ndarray, "C k"], weights: Int[np.ndarray, "M"] | Bool[np.ndarray, "M"]
) -> Float64[np.ndarray, "C"]:
    """Mean weight of the items listed; 0 for an empty list.

    Args:
        items: item indices of each list, ``PADDING`` in the empty places.
        weights: weight per item index, 0 for the padding.
    """
    listed = np.count_nonzero(items != PADDING, axis=1)
    return np.asarray(weights[items].sum(axis=1) / np.maximum(listed, 1))


def in_tail(support: Int[np.ndarray, "M"]) -> Bool[np.ndarray, "M"]:
    """Return the mask of the tail: the least popular tenth of the catalogue, rounded down, but at least one item.

    Of items with equally many training events, those with the lower index come first.
    """
    tail = np.zeros(len(support), dtype=bool)
    order = PADDING + 1 + np.argsort(support[PADDING + 1 :], kind="stable")
    tail[order[: max(int(TAIL * len(order) + 1e-9), 1)]] = True
    return tail


def item_coverage(counts: Int[np.ndarray, "M"]) -> float:
    """Share of the catalogue that is in at least one list.

    Args:
        counts: how often each item index is listed; the padding is not counted.
    """
    return float((counts[PADDING + 1 :] > 0).mean())


def gini_index(counts: Int[np.ndarray, "M"]) -> float:
    """Inequality of how often items are listed: 0 if all are equally often, towards 1 if few take all places.

    Args:
        counts: how often each item index is listed, 0 for one that never is; the padding is not counted.
    """
    ascending = np.sort(counts[PADDING + 1 :])
    n, total = len(ascending), int(ascending.sum())
    return float(((2 * np.arange(1, n + 1) - n - 1) * ascending).sum() / (n * total)) if total else 0.0


def shannon_entropy(counts: Int[np.ndarray, "M"]) -> float:
    """Entropy of the distribution of the listed items, in nats: 0 for a single item, log N if all are equally often.

    Args:
        counts: how often each item index is listed; the padding is not counted.
    """
    listed = counts[PADDING + 1 :]
    shares = listed[listed > 0] / max(int(listed.sum()), 1)
    return float(-(shares * np.log(shares)).sum()) + 0.0


def cluster_purity(clusters: Int64[np.ndarray, "N"], categories: Int64[np.ndarray, "N"]) -> float:
    """Return the share of the items whose category is the most common category of their cluster.

    It is 1 where no cluster mixes categories, and grows with the number of clusters, so compare it with the
    purity of clusters of the same sizes that are filled at random.

    Args:
        clusters: number of each item's cluster, from 0.
        categories: number of each item's category, from 0.
    """
    counts = np.zeros((clusters.max() + 1, categories.max() + 1), dtype=np.int64)
    np.add.at(counts, (clusters, categories), 1)
    return float(counts.max(axis=1).sum() / len(clusters))


LIST_WEIGHTS: Mapping[str, Callable[[Int[np.ndarray, "M"]], np.ndarray]] = {
    "popularity": lambda support: support,
    "tail_percentage": in_tail,
}
"""Means of ``average_weight``, by name: from the training events per item index to the weights."""

COUNT_METRICS: Mapping[str, Callable[[Int[np.ndarray, "M"]], float]] = {
    "coverage": item_coverage,
    "gini": gini_index,
    "shannon_entropy": shannon_entropy,
}
"""Metrics of how often each item is listed, by name."""
