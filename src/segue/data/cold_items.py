"""Cold items: scores for items that were added after the training, from similar training items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int64, Shaped

from segue.data.array_schema import MOST
from segue.data.vocabulary import COLD, SIMILAR, UNKNOWN, Vocabulary
from segue.errors import ParameterError


@dataclass(frozen=True, eq=False)
class ColdItems:
    """New items, and the training items that each is similar to.

    An item is similar to the training items that share its values in all compared columns; if there are none, to those
    that share all but the last, and so on. A missing value equals no other.

    Attributes:
        vocabulary: the catalogue with the new items at its end.
        levels: for the first column, the first two, and so on: the group of each previous item, -1 if it is not a
            training item, and the group of each new item, -1 if no training item is in it.
    """

    vocabulary: Vocabulary
    levels: list[tuple[Int64[np.ndarray, "N"], Int64[np.ndarray, "A"]]]

    @classmethod
    def match(cls, vocabulary: Vocabulary, items: pl.DataFrame, by: Sequence[str]) -> "ColdItems":
        """Match new items with similar training items; known items are left unchanged.

        Args:
            vocabulary: the catalogue of a model.
            items: one row per item: ``item``, the columns to compare, and any others. The optional ``support`` counts
                an item's events since the training.
            by: column names, the most general one first.

        Raises:
            ParameterError: a column is missing, the ids have another type than those of the training, or a count is
                negative.
        """
        _require_columns(vocabulary, items, by)
        old = vocabulary.table
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
        matched = np.any([of_new >= 0 for _, of_new in levels], axis=0)
        support = pl.col("support").fill_null(0) if "support" in new.columns else pl.lit(0, dtype=pl.Int64)
        origins = pl.Series(np.where(matched, SIMILAR, UNKNOWN), dtype=pl.String)
        extended = pl.concat([old, new.with_columns(support.alias("support"), origins.alias(COLD))], how="diagonal")
        return cls(Vocabulary(extended), levels)

    def extend(self, rows: Shaped[np.ndarray, "M *D"]) -> Shaped[np.ndarray, "K *D"]:
        """Append one row per new item to rows by item index: the mean of its similar training items, or 0."""
        means = np.zeros((len(self.vocabulary) + 1 - len(rows), *rows.shape[1:]))
        for of_old, of_new in self.levels:
            trained, matched = of_old >= 0, of_new >= 0
            counts = np.bincount(of_old[trained])
            sums = np.zeros((len(counts), *rows.shape[1:]))
            np.add.at(sums, of_old[trained], rows[1:][trained])
            groups = of_new[matched]
            means[matched] = (sums[groups].T / counts[groups]).T
        return np.concatenate([rows, means.astype(rows.dtype)])


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
        raise ParameterError("by: must name at least one metadata column of the items, got none")
    for name in by:
        if name not in vocabulary.metadata:
            known = ", ".join(vocabulary.metadata) or "none"
            raise ParameterError(
                f"by: must name metadata of the training items, got '{name}'; there are: {known} (segue.read takes "
                "metadata with items=)"
            )
        if name not in items.columns:
            raise ParameterError(f"items: must have the column '{name}' to compare, got {', '.join(items.columns)}")
