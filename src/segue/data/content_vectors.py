"""What models learn from the vectors of items: standardised vectors, principal components, a map to embeddings."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Float64, Shaped

from segue.data.vocabulary import VECTOR, Vocabulary
from segue.errors import ParameterError
from segue.printable import short

_ROWS = 1 << 16
"""Rows that are taken to float64 at once."""
_PENALTIES = 10.0 ** np.arange(-4.0, 4.5, 0.5)
"""Penalties of the ridge regression among which it chooses, as multiples of the mean variance of a component."""

_LEAST = 1e-30
"""Least variance of a component by which a penalty is scaled: vectors may all be equal."""


@dataclass(frozen=True, eq=False)
class ContentVectors:
    """The vectors of the items of a catalogue, from a text or image model.

    Attributes:
        rows: vector by item index; zero for the padding and for items without one.
        present: which items have one.
        n_trained: number of training items, which come first; means and components are those of their vectors.
    """

    rows: Float32[np.ndarray, "M D"]
    present: Bool[np.ndarray, "M"]
    n_trained: int

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> "ContentVectors | None":
        """Return the vectors of a catalogue, None if no training item has one."""
        if VECTOR not in vocabulary.table.columns:
            return None
        column = vocabulary.table[VECTOR]
        present = np.insert(column.is_not_null().to_numpy(), 0, False)
        rows = np.zeros((len(present), column.dtype.shape[0]), dtype=np.float32)  # type: ignore[attr-defined]
        if present.any():
            rows[present] = column.drop_nulls().to_numpy()
        found = cls(rows, present, vocabulary.n_trained)
        return found if found.trained.any() else None

    @property
    def trained(self) -> Bool[np.ndarray, "M"]:
        """The training items that have a vector."""
        return self.present & (np.arange(len(self.present)) <= self.n_trained)

    def standardised(self) -> Float32[np.ndarray, "M D"]:
        """Return the vectors less their mean, divided by the root mean square of their norms.

        Vectors in any unit then count alike, and an item without one is as if it had the mean.
        """
        center, scale = self.center_and_scale()
        scaled: np.ndarray = (self.rows - center.astype(np.float32)) / np.float32(scale)
        scaled[~self.present] = 0.0
        return scaled

    def center_and_scale(self) -> tuple[Float64[np.ndarray, "D"], float]:
        """Return the mean of the vectors of the training items, and the root mean square of the norms around it."""
        trained = self.rows[self.trained]
        center = trained.mean(axis=0, dtype=np.float64)
        square = sum(float(((part - center) ** 2).sum()) for part in _parts(trained)) / len(trained)
        return center, square**0.5 if square > 0 else 1.0

    def principal_components(self, size: int) -> Float32[np.ndarray, "M K"]:
        """Return the first principal components of the vectors, at most ``size``; zero for items without a vector.

        The sign of a component is that which makes its largest weight positive, as in scikit-learn.
        """
        rows = self.standardised()
        trained = rows[self.trained]
        _, axes = np.linalg.eigh(sum(part.T @ part for part in _parts(trained)))
        axes = axes[:, ::-1][:, : min(size, *trained.shape)]
        axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
        return rows @ axes.astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """Return size, number of items and a hash of the content, ready for JSON."""
        content = hashlib.sha256(f"{self.rows.shape};".encode() + np.packbits(self.present).tobytes())
        content.update(np.ascontiguousarray(self.rows.astype("<f4", copy=False)).data)
        return {
            "size": self.rows.shape[1],
            "items": int(self.present.sum()),
            "without": int((~self.present).sum()) - 1,
            "sha256": content.hexdigest(),
        }


def describe_vectors(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return ``{"item_vectors": ...}`` with what is known of the vectors of a catalogue, ``{}`` if it has none."""
    vectors = ContentVectors.of(vocabulary)
    return {} if vectors is None else {"item_vectors": vectors.describe()}


def common_catalogue(one: Vocabulary, other: Vocabulary, name: str) -> Vocabulary:
    """Return the one of two equal catalogues whose items have vectors, the first if both have or none.

    Args:
        one: the first.
        other: the second.
        name: name of the argument with the second, for messages.

    Raises:
        ParameterError: they have different vectors.
    """
    found = [vocabulary for vocabulary in (one, other) if VECTOR in vocabulary.table.columns]
    if len(found) > 1 and describe_vectors(one) != describe_vectors(other):
        raise ParameterError(f"{name}: must use the same vectors of items as the others; fit all on the same log")
    return found[0] if found else one


def require_same_vectors(old: pl.DataFrame, given: pl.DataFrame, name: str) -> None:
    """Refuse vectors of another model than that which gave a catalogue its own.

    Args:
        old: the table of the catalogue.
        given: the vectors, with ids of the same type.
        name: name of the argument, for messages.

    Raises:
        ParameterError: they have another length, or training items have other vectors.
    """
    size, new_size = (table.schema[VECTOR].shape[0] for table in (old, given))  # type: ignore[attr-defined]
    if size != new_size:
        raise ParameterError(
            f"{name}: must have {size:,} numbers as those of the training, got {new_size:,}; compute them with the "
            "same model"
        )
    both = old.select("item", VECTOR).drop_nulls().join(given, on="item", maintain_order="left")
    own, other = (both[name].to_numpy() for name in (VECTOR, f"{VECTOR}_right"))
    changed = ~np.isclose(own, other, rtol=1e-3, atol=1e-5 * float(np.abs(own).max(initial=0.0))).all(axis=1)
    if changed.any():
        raise ParameterError(
            f"{name}: must be of the same model as those of the training, got others of {int(changed.sum()):,} of "
            f"{len(both):,} training items, such as {short(both['item'][int(changed.argmax())])}; compute them with "
            "that model, or leave the training items out"
        )


class LinearMap:
    """A linear map from the vectors of items to what was learnt of them, by weighted ridge regression.

    The penalty is the one with the least generalised cross-validation (Golub, Heath and Wahba 1979). To map the
    attributes of new items to factors is due to Gantner et al. 2010 (Learning attribute-to-feature mappings for
    cold-start recommendations, ICDM). We weight items by their training events: what was learnt of rare ones is mostly
    noise.

    Args:
        vectors: vectors of the training items.
        weights: their weights, above 0.
    """

    def __init__(self, vectors: Float32[np.ndarray, "n D"], weights: Shaped[np.ndarray, "n"]) -> None:
        self._vectors = vectors
        self._weights = (weights / weights.mean())[:, None]
        self._center = self._mean(vectors)
        values, self._axes = np.linalg.eigh(self._covariance(vectors, self._center))
        self._values = np.maximum(values, 0.0)

    def predict(
        self, learnt: Shaped[np.ndarray, "n *W"], vectors: Float32[np.ndarray, "k D"]
    ) -> Float64[np.ndarray, "k *W"]:
        """Return what would have been learnt of items with other vectors.

        Args:
            learnt: what was learnt of the training items.
            vectors: vectors of new items.
        """
        flat = learnt.reshape(len(learnt), -1)
        mean = self._mean(flat)
        shared = self._axes.T @ self._covariance(flat, mean)
        pairs = zip(_parts(flat), _parts(self._weights), strict=True)
        total = sum(float((weight * (part - mean) ** 2).sum()) for part, weight in pairs)
        slopes = shared / (self._values + self._penalty(shared, total))[:, None]
        predicted: np.ndarray = mean + (vectors - self._center) @ (self._axes @ slopes)
        return predicted.reshape(len(vectors), *learnt.shape[1:])

    def _mean(self, rows: Shaped[np.ndarray, "n W"]) -> Float64[np.ndarray, "W"]:
        pairs = zip(_parts(rows), _parts(self._weights), strict=True)
        mean: np.ndarray = sum((weight * part).sum(axis=0) for part, weight in pairs) / len(rows)
        return mean

    def _covariance(
        self, rows: Shaped[np.ndarray, "n W"], mean: Float64[np.ndarray, "W"]
    ) -> Float64[np.ndarray, "D W"]:
        """Return the weighted products of the vectors and other rows, both less their means."""
        triples = zip(_parts(self._vectors), _parts(rows), _parts(self._weights), strict=True)
        products: np.ndarray = np.zeros((self._vectors.shape[1], rows.shape[1]))
        for one, other, weight in triples:
            products += (weight * (one - self._center)).T @ (other - mean)
        return products

    def _penalty(self, shared: Float64[np.ndarray, "D W"], total: float) -> float:
        """Return the best penalty, given the products with the principal axes and the sum of squares to explain."""
        n, power = len(self._vectors), (shared**2).sum(axis=1)
        penalties = max(self._values.mean(), _LEAST) * _PENALTIES[:, None]
        shrunk = self._values + penalties
        residual = total - (power * (self._values + 2 * penalties) / shrunk**2).sum(axis=1)
        freedom = np.maximum(n - 1 - (self._values / shrunk).sum(axis=1), 0.5)
        return float(penalties[(np.maximum(residual, 0.0) / freedom**2).argmin(), 0])


def _parts(rows: Shaped[np.ndarray, "n W"]) -> Iterator[Float64[np.ndarray, "_ W"]]:
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS].astype(np.float64)
