"""What is wrong with a cloud of vectors, told from its shape: collapsed, shapeless or grid-like."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float32

from segue.embeddings.cloud import Cloud
from segue.embeddings.neighbours import K, neighbours_of
from segue.embeddings.variance import Variance
from segue.rng import generator

COLLAPSED_COSINE = 0.95
"""Mean cosine of two items above which all of them point the same way."""
COLLAPSED_SHARE = 0.9
"""Share of the variance in one component above which the cloud is a line."""
SHAPELESS = 0.97
"""Distance to the nearest neighbours, in units of that in a structureless cloud, above which there is no structure."""
GRID = 0.5
"""Share of the coordinates that some other item has too, above which the cloud is a grid."""

_LOOKED_AT = 2_000
"""Items whose neighbourhoods are looked at."""
_ENOUGH = 50
"""Items below which neighbourhoods tell nothing."""


@dataclass(frozen=True)
class Shape:
    """Measures of a cloud's shape.

    Attributes:
        mean_cosine: of two different items; near 1 if all point the same way.
        first_share: share of the variance in the first component.
        neighbour_distance: mean distance of a direction to its ten nearest neighbours, divided by the same of a
            Gaussian cloud with the same covariance, which has no neighbourhoods: near 1 if this one has none either.
            None for fewer than 50 items, for single numbers, and for vectors that are all equal.
        repeated: share of the coordinates that some other item has too, exactly: near 0 for learnt numbers, near 1 for
            points of a grid.
    """

    mean_cosine: float
    first_share: float
    neighbour_distance: float | None
    repeated: float

    def warnings(self) -> Iterator[str]:
        """Say what a reader should know before reading a picture of the cloud."""
        if self.mean_cosine > COLLAPSED_COSINE:
            yield (
                f"collapsed cloud: two items have a cosine of {self.mean_cosine:.2f} in the mean, so all vectors point "
                "the same way and differ by little; train longer, or with another loss or more negatives"
            )
        if self.first_share > COLLAPSED_SHARE:
            yield (
                f"collapsed cloud: one component holds {self.first_share:.0%} of the variance, so the items lie on a "
                "line; train longer, or with another loss or more negatives"
            )
        if self.neighbour_distance is not None and self.neighbour_distance > SHAPELESS:
            yield (
                f"shapeless cloud: neighbours are {self.neighbour_distance:.2f} times as far away as among random "
                "vectors of the same spread, so groups in the picture are chance; train longer, or on more sessions"
            )
        if self.repeated > GRID:
            yield (
                f"grid-like cloud: {self.repeated:.0%} of the coordinates belong to several items exactly, as if they "
                "had been rounded or copied; look for vectors that were stored in too few bits or not trained"
            )

    def numbers(self) -> dict[str, float | None]:
        """Return the measures by name."""
        return asdict(self)


def shape_of(cloud: Cloud, variance: Variance, seed: int = 0) -> Shape:
    """Measure the shape of a cloud.

    Args:
        cloud: the items.
        variance: their principal components.
        seed: of the items that are looked at, and of the cloud that they are compared with.
    """
    several = cloud.vectors.shape[1] > 1
    varied = len(cloud) >= _ENOUGH and several and bool(variance.shares.any())
    return Shape(
        mean_cosine=mean_cosine(cloud),
        first_share=float(variance.shares[0]) if several else 0.0,
        neighbour_distance=neighbour_distance(cloud, seed) if varied else None,
        repeated=repeated_share(cloud.vectors),
    )


def mean_cosine(cloud: Cloud) -> float:
    """Return the mean cosine over all pairs of different items."""
    directions, n = cloud.directions.astype(np.float64), len(cloud)
    of_pairs = (directions.sum(0) ** 2).sum() - (directions**2).sum()
    return float(of_pairs / (n * (n - 1)))


def neighbour_distance(cloud: Cloud, seed: int = 0) -> float:
    """Return the mean distance of a direction to its nearest neighbours, in units of that in a structureless cloud.

    Directions are seen from the mean of the cloud, so that neither a common part of all vectors nor their lengths,
    which follow popularity, count as structure. The structureless cloud is Gaussian and has the covariance of this one.

    Args:
        cloud: the items, of which a random part is looked at if they are many.
        seed: of that part, and of the structureless cloud.
    """
    some = cloud.part(cloud.sample(_LOOKED_AT, seed))
    centred = cloud.vectors.astype(np.float64) - cloud.vectors.mean(0, dtype=np.float64)
    widths, axes = np.linalg.eigh(centred.T @ centred / len(cloud))
    spread = generator(seed, "structureless cloud").standard_normal((len(some), len(widths)))
    structureless = (spread * np.sqrt(np.maximum(widths, 0))) @ axes.T
    own = _nearby(Cloud((some.vectors - cloud.vectors.mean(0)).astype(np.float32), some.items))
    other = _nearby(Cloud(structureless.astype(np.float32), some.items))
    return own / other if other > 0 else 0.0


def _nearby(cloud: Cloud) -> float:
    """Return the mean distance between a direction and its nearest neighbours."""
    cosines = neighbours_of(cloud, K).similarities.astype(np.float64)
    return float(np.sqrt(np.maximum(2 - 2 * cosines, 0)).mean())


def repeated_share(vectors: Float32[np.ndarray, "N D"]) -> float:
    """Return the share of the coordinates that some other item has too, in the median column."""
    return float(np.median([_repeated(column) for column in vectors.T]))


def _repeated(column: Float32[np.ndarray, "N"]) -> float:
    counts = np.unique(column, return_counts=True)[1]
    return float(counts[counts > 1].sum() / len(column))
