"""Whether item vectors can be trusted: how they are distributed, whether neighbours are right, and warnings."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from segue.embeddings.colours import CategoricalColours, colours_of
from segue.embeddings.components import PrincipalComponents
from segue.embeddings.vectors import ItemVectors, K, Purity, category_purity, nearest_neighbours
from segue.rng import generator

COLLAPSED_COSINE = 0.95
"""Mean cosine of two items above which all of them point in one direction."""
COLLAPSED_SHARE = 0.9
"""Share of the variance in one component above which the items lie on a line."""
UNSTRUCTURED_RATIO = 0.97
"""Distance to the nearest neighbours, divided by that in a Gaussian cloud, above which there are no groups."""
RIGHT_SHARE, RIGHT_SIGMAS = 0.05, 5.0
"""Neighbours are right if their purity is this share of the way from chance to 1, and this many standard errors above
chance."""
REPEATED_SHARE = 0.5
"""Share of the coordinates that some other item has too, above which the vectors are quantised."""

_SAMPLE = 2_000
"""Items whose neighbourhoods are measured."""
_MIN_ITEMS = 50
"""Items below which neighbourhoods are not informative."""


@dataclass(frozen=True)
class NeighbourCheck:
    """Whether the nearest neighbours of the items share the categories of their metadata.

    Attributes:
        column: the column of the metadata that tells most.
        purity: how often neighbours share its category.
    """

    column: str
    purity: Purity

    @property
    def strength(self) -> float:
        """How far the purity is on the way from chance (0) to 1."""
        return (self.purity.value - self.purity.chance) / max(1 - self.purity.chance, 1e-9)

    @property
    def is_right(self) -> bool:
        """Whether neighbours share the category clearly more often than by chance."""
        chance = self.purity.chance
        error = np.sqrt(chance * (1 - chance) / self.purity.items)  # As if the neighbours of an item were one.
        return self.strength > RIGHT_SHARE and self.purity.value - chance > RIGHT_SIGMAS * error


def check_neighbours(points: ItemVectors, seed: int = 0) -> NeighbourCheck | None:
    """Compare the categories of neighbours with chance, by the column that tells most.

    Args:
        points: the items, of which a random sample is compared if they are many.
        seed: of that sample.

    Returns:
        None if the items have no categories, or each has its own, as names have.
    """
    sample, found = points.select(points.sample(_SAMPLE, seed)), []
    for column in sample.metadata:
        if sample.items[column].dtype.is_float() or column == sample.name_column:
            continue
        colours = colours_of(sample, column)
        assert isinstance(colours, CategoricalColours)
        known = colours.values.drop_nulls()
        if len(known) >= _MIN_ITEMS and 1 < known.n_unique() <= len(known) // 2:
            purity = category_purity(sample, colours.values)
            assert purity is not None
            found.append(NeighbourCheck(column, purity))
    return max(found, key=lambda check: check.strength, default=None)


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
        neighbours: whether neighbours are right, where the ratio says that there are no groups and the items have
            categories; else None.
    """

    mean_cosine: float
    first_component_share: float
    neighbour_distance_ratio: float | None
    repeated_share: float
    neighbours: NeighbourCheck | None = None

    @property
    def has_groups(self) -> bool:
        """Whether neighbours are closer than in a cloud without groups, or are too few to tell."""
        return self.neighbour_distance_ratio is None or self.neighbour_distance_ratio <= UNSTRUCTURED_RATIO

    def notes(self) -> Iterator[str]:
        """Yield what is no fault: a cloud without groups, as that of ALS often is, whose neighbours are right."""
        check = self.neighbours
        if not self.has_groups and check is not None and check.is_right:
            yield (
                f"smooth cloud: neighbours are {self.neighbour_distance_ratio:.2f} times as far away as among random "
                f"vectors of the same covariance, so there are no separate groups, but neighbours are right: "
                f"{check.purity.value:.2f} of the {check.purity.k} nearest share their {check.column} (by chance "
                f"{check.purity.chance:.2f})"
            )

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
        check = self.neighbours
        if not self.has_groups and not (check is not None and check.is_right):
            checked = (
                "the items have no categories to check neighbours by (--items)"
                if check is None
                else f"{check.purity.value:.2f} of the {check.purity.k} nearest share their {check.column}, by chance "
                f"{check.purity.chance:.2f}"
            )
            yield (
                f"no structure: neighbours are {self.neighbour_distance_ratio:.2f} times as far away as among random "
                f"vectors of the same covariance, and {checked}, so groups in the picture are chance; train longer, or "
                "on more sessions"
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
    found = Diagnostics(
        mean_cosine=mean_cosine(points),
        first_component_share=float(components.shares[0]) if several else 0.0,
        neighbour_distance_ratio=neighbour_distance_ratio(points, seed) if varied else None,
        repeated_share=repeated_share(points.vectors),
    )
    return found if found.has_groups else replace(found, neighbours=check_neighbours(points, seed))


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
