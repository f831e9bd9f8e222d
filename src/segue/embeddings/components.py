"""Principal components of item vectors, their correlation with popularity, and what random vectors would have."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from jaxtyping import Float64, Shaped

from segue.embeddings import library
from segue.embeddings.vectors import ItemVectors

POPULARITY_CORRELATION = 0.6
"""Absolute rank correlation with popularity above which a component is flagged."""
USUAL_PLANE = (0.10, 0.25)
"""Share of the variance that the first two components of learned vectors usually have."""


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """The principal components of item vectors, by decreasing variance.

    Attributes:
        shares: share of the variance that each component explains; zeros where all points are equal.
        correlations: Spearman's rank correlation of each component with the support of the items; 0 where either is
            constant. A correlation of ranks is the same whether support is counted or its logarithm taken.
        points: coordinates of each item on the first two components; 0 on the second where there is only one.
    """

    shares: Float64[np.ndarray, "K"]
    correlations: Float64[np.ndarray, "K"]
    points: Float64[np.ndarray, "N 2"]

    @cached_property
    def plane_share(self) -> float:
        """Share of the variance that the first two components have."""
        return float(self.shares[:2].sum())

    def plane_remark(self, width: int) -> str:
        """Return how much the plane shows, and what is usual and what random vectors would give.

        Args:
            width: numbers of a vector.
        """
        low, high = USUAL_PLANE
        share, random = self.plane_share, random_plane_share(len(self.points), width)
        where = "above" if share > high else "below" if share < low else "within"
        return (
            f"First two components: {share:.1%} of the variance, {where} the {low:.0%} to {high:.0%} that are usual "
            f"for learned vectors, which use many directions at once; {len(self.points):,} random vectors of the same "
            f"width would have about {random:.1%}"
        )

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
        """The exponential of the entropy of the shares: K where all components are equal, 1 where one holds all.

        Roy and Vetterli 2007 (EUSIPCO), who take it of the singular values; here it is that of their squares.
        """
        return effective_rank(self.shares)

    @property
    def flagged(self) -> list[int]:
        """Components, from 0, that correlate with popularity."""
        return np.flatnonzero(np.abs(self.correlations) > POPULARITY_CORRELATION).tolist()

    def warnings(self) -> Iterator[str]:
        """Yield a warning for each flagged component."""
        for component in self.flagged:
            yield (
                f"component {component + 1} follows popularity: rank correlation {self.correlations[component]:.2f}, "
                f"flagged above {POPULARITY_CORRELATION} in size"
            )


def effective_rank(shares: Float64[np.ndarray, "K"]) -> float:
    """Return the exponential of the entropy of shares: K where all are equal, 1 where one holds all.

    Roy and Vetterli 2007 (EUSIPCO), who take it of the singular values; here it is that of their squares.
    """
    present = shares[shares > 0]
    return float(np.exp(-(present * np.log(present)).sum()))


def variance_shares(points: ItemVectors) -> Float64[np.ndarray, "D"]:
    """Return the share of the variance in each principal component, largest first; zeros if all points are equal.

    It needs no extra; ``principal_components`` also returns the coordinates.
    """
    centred = points.vectors.astype(np.float64) - points.vectors.mean(0, dtype=np.float64)
    variances = np.maximum(np.linalg.eigvalsh(centred.T @ centred)[::-1], 0.0)
    total = variances.sum()
    shares: np.ndarray = variances / total if total > 0 else np.zeros_like(variances)
    return shares


def principal_components(points: ItemVectors, seed: int = 0) -> PrincipalComponents:
    """Find all principal components of the vectors, centred but not scaled.

    All components are wanted, so scikit-learn finds them exactly, by way of the covariance matrix where items are many.

    Args:
        points: the items.
        seed: of scikit-learn, should it draw random numbers.
    """
    vectors = points.vectors.astype(np.float64)
    if np.ptp(vectors, axis=0).max(initial=0.0) == 0:
        width = min(vectors.shape)
        return PrincipalComponents(np.zeros(width), np.zeros(width), np.zeros((len(points), 2)))
    pca = library("sklearn.decomposition").PCA(random_state=seed).fit(vectors)
    coordinates = pca.transform(vectors)
    correlations = rank_correlations(coordinates, points.items["support"].to_numpy())
    plane = np.zeros((len(points), 2))
    plane[:, : coordinates.shape[1]] = coordinates[:, :2]
    return PrincipalComponents(pca.explained_variance_ratio_, correlations, plane)


def rank_correlations(columns: Float64[np.ndarray, "N K"], with_: Shaped[np.ndarray, "N"]) -> Float64[np.ndarray, "K"]:
    """Return Spearman's correlation of each column with one other; 0 where one of the two is constant."""
    stats = library("scipy.stats")
    ranks, other = stats.rankdata(columns, axis=0), stats.rankdata(with_)
    ranks, other = ranks - ranks.mean(0), other - other.mean()
    scale = np.sqrt((ranks**2).sum(0) * (other**2).sum())
    correlations: np.ndarray = np.divide(other @ ranks, scale, out=np.zeros(ranks.shape[1]), where=scale > 0)
    return correlations


def random_plane_share(items: int, width: int) -> float:
    """Return the share of the variance in the first two components of random vectors, in the limit of many items.

    The largest eigenvalues of the covariance of independent Gaussian vectors of D numbers with variance 1 come to lie
    at ``(1 + sqrt(D / (N - 1)))^2`` (Marchenko and Pastur 1967), and all of them add up to D. Few items have a little
    less.
    """
    return min(1.0, 2 * (1 + sqrt(width / max(1, items - 1))) ** 2 / width)
