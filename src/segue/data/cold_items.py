"""Cold items: scores for items that were added after the training, from their vectors or from similar items."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from jaxtyping import Int64, Shaped

from segue.data.array_schema import MOST
from segue.data.content_vectors import ContentVectors, LinearMap, require_same_vectors
from segue.data.vocabulary import COLD, SIMILAR, UNKNOWN, VECTOR, Vocabulary
from segue.errors import ParameterError


@dataclass(frozen=True, eq=False)
class ColdItems:
    """New items, and the training items that each is similar to.

    An item is similar to the training items that share its values in all compared columns; if there are none, to those
    that share all but the last, and so on. A missing value equals no other. An item with a vector needs none of them: a
    linear map from the vectors of the training items to their embeddings gives its own.

    Attributes:
        vocabulary: the catalogue with the new items at its end.
        levels: for the first column, the first two, and so on: the group of each previous item, -1 if it is not a
            training item, and the group of each new item, -1 if no training item is in it.
        vectors: vectors of all items, if they have some.
    """

    vocabulary: Vocabulary
    levels: list[tuple[Int64[np.ndarray, "N"], Int64[np.ndarray, "A"]]]
    vectors: ContentVectors | None = None

    @classmethod
    def match(
        cls, vocabulary: Vocabulary, items: pl.DataFrame, by: Sequence[str], vectors: pl.DataFrame | None = None
    ) -> "ColdItems":
        """Match new items with similar training items; known items are left unchanged.

        Args:
            vocabulary: the catalogue of a model.
            items: one row per item: ``item``, the columns to compare, and any others. The optional ``support`` counts
                an item's events since the training.
            by: column names, the most general one first.
            vectors: vectors of new items, and of training items if the catalogue has none of its own.

        Raises:
            ParameterError: a column is missing, the ids have another type than those of the training, a count is
                negative, or the vectors do not fit.
        """
        if vectors is None or by:
            _require_columns(vocabulary, items, by)
        known = None if vectors is None else _with_vectors(vocabulary, vectors)
        old = vocabulary.table if known is None else known
        items = items if vectors is None else items.drop(VECTOR, strict=False)
        shared = [name for name in items.columns if name in old.columns and name != COLD]
        new = items.select(pl.col(name).cast(old.schema[name], strict=False) for name in shared)
        if new["item"].null_count() > items["item"].null_count():
            raise ParameterError(f"items: must have ids of type {old.schema['item']} as the training items, got text")
        counts = new["support"] if "support" in new.columns else pl.Series(dtype=pl.Int64)
        if len(odd := counts.filter(~counts.is_between(0, int(MOST)))):
            raise ParameterError(f"items, column 'support': must be from 0 to {MOST}, got {odd[0]}")
        new = (
            new.drop_nulls("item")
            .unique("item", keep="first", maintain_order=True)
            .join(old.select("item"), on="item", how="anti", maintain_order="left")
        )
        levels = [_groups(old, new, by[: width + 1]) for width in range(len(by))]
        matched = np.any([np.zeros(new.height, dtype=bool), *(of_new >= 0 for _, of_new in levels)], axis=0)
        if known is not None and vectors is not None:
            ids = pl.col("item").cast(old.schema["item"], strict=False)
            new = new.join(vectors.with_columns(ids), on="item", how="left", maintain_order="left")
            matched |= new[VECTOR].is_not_null().to_numpy()
        support = pl.col("support").fill_null(0) if "support" in new.columns else pl.lit(0, dtype=pl.Int64)
        origins = pl.Series(np.where(matched, SIMILAR, UNKNOWN), dtype=pl.String)
        extended = pl.concat([old, new.with_columns(support.alias("support"), origins.alias(COLD))], how="diagonal")
        grown = Vocabulary(extended)
        if known is None:
            return cls(grown, levels)
        kept = grown if VECTOR in vocabulary.table.columns else grown.without_vectors()
        return cls(kept, levels, ContentVectors.of(grown))

    def extend(self, rows: Shaped[np.ndarray, "M *D"]) -> Shaped[np.ndarray, "K *D"]:
        """Append one row per new item to rows by item index: by its vector, or the mean of similar items, or 0."""
        means = np.zeros((len(self.vocabulary) + 1 - len(rows), *rows.shape[1:]))
        for of_old, of_new in self.levels:
            trained, matched = of_old >= 0, of_new >= 0
            counts = np.bincount(of_old[trained])
            sums = np.zeros((len(counts), *rows.shape[1:]))
            np.add.at(sums, of_old[trained], rows[1:][trained])
            groups = of_new[matched]
            means[matched] = (sums[groups].T / counts[groups]).T
        if self._map is not None and self.vectors is not None:
            of_new, trained = self.vectors.present[len(rows) :], self.vectors.trained
            means[of_new] = self._map.predict(rows[trained[: len(rows)]], self.vectors.rows[len(rows) :][of_new])
        return np.concatenate([rows, means.astype(rows.dtype)])

    @cached_property
    def _map(self) -> LinearMap | None:
        if self.vectors is None:
            return None
        trained = self.vectors.trained
        return LinearMap(self.vectors.rows[trained], np.maximum(self.vocabulary.support[trained], 1))


def _with_vectors(vocabulary: Vocabulary, vectors: pl.DataFrame) -> pl.DataFrame:
    """Return the items of a catalogue with vectors, its own ones if it has some.

    Raises:
        ParameterError: no training item has a vector, or the given vectors are not those of the training.
    """
    old = vocabulary.table
    given = vectors.with_columns(pl.col("item").cast(old.schema["item"], strict=False)).drop_nulls("item")
    if VECTOR not in old.columns:
        joined = old.join(given, on="item", how="left", maintain_order="left")
        if ContentVectors.of(Vocabulary(joined)) is None:
            raise ParameterError(
                f"vectors: must have vectors of the training items, too, from which those of new items are read, got "
                f"none of the {vocabulary.n_trained:,}; give one file of all items"
            )
        return joined
    require_same_vectors(old, given, "vectors")
    return old


def _groups(
    old: pl.DataFrame, new: pl.DataFrame, by: Sequence[str]
) -> tuple[Int64[np.ndarray, "N"], Int64[np.ndarray, "A"]]:
    """Number the combinations of values that occur among the training items."""
    keys = pl.concat([old.select(by), new.select(by)])
    missing = keys.select(pl.any_horizontal(pl.all().is_null())).to_series().to_numpy()
    numbers = keys.select(pl.struct(by).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
    trained = np.ones(old.height, dtype=bool) if COLD not in old.columns else old[COLD].is_null().to_numpy()
    trained &= ~missing[: old.height]
    of_old = np.where(trained, numbers[: old.height], -1)
    found = np.isin(numbers[old.height :], of_old[trained]) & ~missing[old.height :]
    return of_old, np.where(found, numbers[old.height :], -1)


def _require_columns(vocabulary: Vocabulary, items: pl.DataFrame, by: Sequence[str]) -> None:
    if not by:
        raise ParameterError(
            "by: must name at least one metadata column of the items, got none; or give vectors of the items: vectors="
        )
    for name in by:
        if name not in vocabulary.metadata:
            known = ", ".join(vocabulary.metadata) or "none"
            raise ParameterError(
                f"by: must name metadata of the training items, got '{name}'; there are: {known} (segue.read takes "
                "metadata with items=)"
            )
        if name not in items.columns:
            raise ParameterError(f"items: must have the column '{name}' to compare, got {', '.join(items.columns)}")
