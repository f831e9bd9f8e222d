"""Whether item vectors can be trusted: principal components, their correlation with popularity, and warnings."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64, Shaped

from segue.embeddings import library
from segue.embeddings.vectors import ItemVectors, K, nearest_neighbours
from segue.rng import generator

POPULARITY_CORRELATION = 0.6
"""Absolute rank correlation with popularity above which a component is flagged."""
COLLAPSED_COSINE = 0.95
"""Mean cosine of two items above which all of them point in one direction."""
COLLAPSED_SHARE = 0.9
"""Share of the variance in one component above which the items lie on a line."""
UNSTRUCTURED_RATIO = 0.97
"""Distance to the nearest neighbours, divided by that in a Gaussian cloud, above which there are no groups."""
REPEATED_SHARE = 0.5
"""Share of the coordinates that some other item has too, above which the vectors are quantised."""

_SAMPLE = 2_000
"""Items whose neighbourhoods are measured."""
_MIN_ITEMS = 50
"""Items below which neighbourhoods tell nothing."""


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
        present = self.shares[self.shares > 0]
        return float(np.exp(-(present * np.log(present)).sum()))

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


@dataclass(frozen=True)
class Diagnostics:
    """Measures of how item vectors are distributed.

    Attributes:
        mean_cosine: of two different items; near 1 if all point in one direction.
        first_component_share: share of the variance in the first component.
        neighbour_distance_ratio: mean distance of a unit vector to its ten nearest neighbours, divided by the same of a
            Gaussian cloud with the same covariance, which has no groups: near 1 if there are none here either. None
            for fewer than 50 items, for vectors of one number, and for vectors that are all equal.
        repeated_share: share of the coordinates that some other item has too, exactly: near 0 for learnt numbers, near
            1 for quantised ones.
    """

    mean_cosine: float
    first_component_share: float
    neighbour_distance_ratio: float | None
    repeated_share: float

    def warnings(self) -> Iterator[str]:
        """Yield what a reader should know before reading a plot of the vectors."""
        if self.mean_cosine > COLLAPSED_COSINE:
            yield (
                f"collapsed vectors: two items have a mean cosine of {self.mean_cosine:.2f}, so all vectors point in "
                "one direction and differ by little; train longer, or with another loss or more negatives"
            )
        if self.first_component_share > COLLAPSED_SHARE:
            yield (
                f"collapsed vectors: one component has {self.first_component_share:.0%} of the variance, so the "
                "items lie on a line; train longer, or with another loss or more negatives"
            )
        if self.neighbour_distance_ratio is not None and self.neighbour_distance_ratio > UNSTRUCTURED_RATIO:
            yield (
                f"no structure: neighbours are {self.neighbour_distance_ratio:.2f} times as far away as among random "
                "vectors of the same covariance, so groups in the picture are chance; train longer, or on more sessions"
            )
        if self.repeated_share > REPEATED_SHARE:
            yield (
                f"quantised vectors: {self.repeated_share:.0%} of the coordinates belong to several items exactly, as "
                "if they were rounded or copied; look for vectors stored in too few bits or not trained"
            )


def diagnose(points: ItemVectors, components: PrincipalComponents, seed: int = 0) -> Diagnostics:
    """Measure how item vectors are distributed.

    Args:
        points: the items.
        components: their principal components.
        seed: of the sample of items, and of the Gaussian cloud that they are compared with.
    """
    several = points.vectors.shape[1] > 1
    varied = len(points) >= _MIN_ITEMS and several and bool(components.shares.any())
    return Diagnostics(
        mean_cosine=mean_cosine(points),
        first_component_share=float(components.shares[0]) if several else 0.0,
        neighbour_distance_ratio=neighbour_distance_ratio(points, seed) if varied else None,
        repeated_share=repeated_share(points.vectors),
    )


def mean_cosine(points: ItemVectors) -> float:
    """Return the mean cosine over all pairs of different items."""
    units, n = points.unit_vectors.astype(np.float64), len(points)
    of_pairs = (units.sum(0) ** 2).sum() - (units**2).sum()
    return float(of_pairs / (n * (n - 1)))


def neighbour_distance_ratio(points: ItemVectors, seed: int = 0) -> float:
    """Return the mean distance of a unit vector to its nearest neighbours, divided by that in a Gaussian cloud.

    Vectors are centred first, so that neither a common part of all nor their lengths, which follow popularity, count
    as structure. The Gaussian cloud has the covariance of the vectors.

    Args:
        points: the items, of which a random sample is measured if they are many.
        seed: of that sample, and of the Gaussian cloud.
    """
    sample = points.select(points.sample(_SAMPLE, seed))
    centred = points.vectors.astype(np.float64) - points.vectors.mean(0, dtype=np.float64)
    widths, axes = np.linalg.eigh(centred.T @ centred / len(points))
    normal = generator(seed, "structureless cloud").standard_normal((len(sample), len(widths)))
    gaussian = (normal * np.sqrt(np.maximum(widths, 0))) @ axes.T
    own = _mean_distance(ItemVectors((sample.vectors - points.vectors.mean(0)).astype(np.float32), sample.items))
    other = _mean_distance(ItemVectors(gaussian.astype(np.float32), sample.items))
    return own / other if other > 0 else 0.0


def _mean_distance(points: ItemVectors) -> float:
    """Return the mean distance between a unit vector and its nearest neighbours."""
    cosines = nearest_neighbours(points, K).similarities.astype(np.float64)
    return float(np.sqrt(np.maximum(2 - 2 * cosines, 0)).mean())


def repeated_share(vectors: Float32[np.ndarray, "N D"]) -> float:
    """Return the share of the coordinates that some other item has too, in the median column."""
    counts = [np.unique(column, return_counts=True)[1] for column in vectors.T]
    return float(np.median([count[count > 1].sum() / len(vectors) for count in counts]))
