"""Principal components: how the variance of a cloud is spread over directions, and which of them are popularity."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Shaped

from segue.embeddings.cloud import Cloud
from segue.embeddings.extra import library

POPULARITY = 0.6
"""Absolute rank correlation with popularity above which a component is flagged."""


@dataclass(frozen=True, eq=False)
class Variance:
    """The principal components of a cloud, the widest first.

    Attributes:
        shares: share of the variance that each component explains; zeros where all points are equal.
        correlations: Spearman's rank correlation of each component with the support of the items; 0 where either is
            constant. A correlation of ranks is the same whether support is counted or its logarithm taken.
        points: of each item, its coordinates on the first two components; 0 on a second one that there is not.
    """

    shares: Float64[np.ndarray, "K"]
    correlations: Float64[np.ndarray, "K"]
    points: Float64[np.ndarray, "N 2"]

    @cached_property
    def cumulative(self) -> Float64[np.ndarray, "K"]:
        """Share of the variance that each component and those before it explain together."""
        return np.cumsum(self.shares)

    def components_for(self, share: float) -> int:
        """Return how many components explain at least a share of the variance."""
        reached = np.flatnonzero(self.cumulative >= share - 1e-9)
        return int(reached[0]) + 1 if len(reached) else len(self.shares)

    @cached_property
    def effective_rank(self) -> float:
        """The exponential of the entropy of the shares: K where all components are equally wide, 1 where one is all.

        Roy and Vetterli 2007 (EUSIPCO), who take it of the singular values; here it is that of their squares.
        """
        present = self.shares[self.shares > 0]
        return float(np.exp(-(present * np.log(present)).sum()))

    @property
    def flagged(self) -> list[int]:
        """Components, from 0, that go with popularity."""
        return np.flatnonzero(np.abs(self.correlations) > POPULARITY).tolist()


def variance_of(cloud: Cloud, seed: int = 0) -> Variance:
    """Find all principal components of the vectors as they are; only their mean is taken away.

    All components are wanted, so scikit-learn finds them exactly, by way of the covariance matrix where items are many.

    Args:
        cloud: the items.
        seed: of scikit-learn, should it draw random numbers.
    """
    vectors = cloud.vectors.astype(np.float64)
    if np.ptp(vectors, axis=0).max(initial=0.0) == 0:
        width = min(vectors.shape)
        return Variance(np.zeros(width), np.zeros(width), np.zeros((len(cloud), 2)))
    found = library("sklearn.decomposition").PCA(random_state=seed).fit(vectors)
    coordinates = found.transform(vectors)
    correlations = rank_correlations(coordinates, cloud.items["support"].to_numpy())
    points = np.zeros((len(cloud), 2))
    points[:, : coordinates.shape[1]] = coordinates[:, :2]
    return Variance(found.explained_variance_ratio_, correlations, points)


def rank_correlations(columns: Float64[np.ndarray, "N K"], with_: Shaped[np.ndarray, "N"]) -> Float64[np.ndarray, "K"]:
    """Return Spearman's correlation of each column with one other; 0 where one of the two is constant."""
    stats = library("scipy.stats")
    ranks, other = stats.rankdata(columns, axis=0), stats.rankdata(with_)
    ranks, other = ranks - ranks.mean(0), other - other.mean()
    scale = np.sqrt((ranks**2).sum(0) * (other**2).sum())
    correlations: np.ndarray = np.divide(other @ ranks, scale, out=np.zeros(ranks.shape[1]), where=scale > 0)
    return correlations
