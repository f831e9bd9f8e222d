"""How well groups of items match known categories."""

import numpy as np
from jaxtyping import Int64


def purity(clusters: Int64[np.ndarray, "N"], categories: Int64[np.ndarray, "N"]) -> float:
    """Return the share of the items that are of the most common category of their cluster.

    It is 1 where no cluster mixes categories, and grows with the number of clusters: beside it belongs the purity of
    clusters of the same sizes that are filled at random.

    Args:
        clusters: number of each item's cluster, from 0.
        categories: number of each item's category, from 0.
    """
    counts = np.zeros((clusters.max() + 1, categories.max() + 1), dtype=np.int64)
    np.add.at(counts, (clusters, categories), 1)
    return float(counts.max(axis=1).sum() / len(clusters))
