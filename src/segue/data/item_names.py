"""Names of items, and the search for an item by name."""

from difflib import SequenceMatcher
from functools import cached_property

import polars as pl

_NAMES = ("name", "title", "label")
"""Endings of column names that indicate a column of item names."""

_BIGRAM_LENGTH = 10
"""A candidate must share a trigram with the text; for a text shorter than this, a bigram."""

_MAX_CANDIDATES = 100
"""Candidates with the most shared n-grams, which are compared letter by letter."""

_MAX_LETTERS = 200
"""Letters of a text that are compared."""

_MIN_SIMILARITY = 0.6
"""Minimum similarity (``difflib``) of a suggestion, unless the name contains the text."""


class ItemNames:
    """The item names of a vocabulary.

    Names come from the text column called ``...name``, ``...title`` or ``...label`` with the most distinct values (more
    than half of the items); without one, from the text column with the most distinct values (more than 90%). Names are
    stripped.

    Args:
        ids: raw ids in index order, N of them.
        metadata: N rows in the same order.

    Attributes:
        column: the column with the names; None if there is none.
    """

    def __init__(self, ids: pl.Series, metadata: pl.DataFrame) -> None:
        self.column = column = _find_name_column(metadata)
        own = pl.Series([None] * len(ids), dtype=pl.String) if column is None else metadata[column].str.strip_chars()
        self._suggests_ids = ids.dtype == pl.String
        self._table = pl.DataFrame({"id": ids.cast(pl.String), "name": own.replace("", None)}).with_row_index(
            "index", offset=1
        )

    @cached_property
    def names(self) -> list[str]:
        """Display name by item index: the name, or the id of an item without one; ``""`` for padding (index 0).

        A name that several items share is followed by the id.
        """
        return ["", *self._table.select(pl.coalesce(_distinct_name(), "id")).to_series().to_list()]

    def find(self, text: str) -> int | None:
        """Return the index of the item with a name; None if there is no such item, or several.

        An exact match is preferred to one that ignores case and surrounding space. Ids are not searched, and take
        precedence: a name that equals the id of an item is not found.
        """
        if self.column is None:
            return None
        index = self._exact.get(text)
        return index if index is not None else self._normalized.get(_normalize(text))

    def suggest(self, text: str, n: int = 3) -> list[int]:
        """Return the indices of at most n items whose names are most similar to a text, most similar first.

        A name is similar if it contains the text, or if most letters of both match in order. Text ids are searched
        as well.
        """
        wanted = _normalize(text)[:_MAX_LETTERS]
        size = 2 if len(wanted) < _BIGRAM_LENGTH else 3
        ngrams = list({wanted[at : at + size] for at in range(max(1, len(wanted) - size + 1))})
        if not wanted:
            return []
        shared = pl.col("text").str.extract_many(ngrams, overlapping=True).list.n_unique()
        distance = (pl.col("text").str.len_chars().cast(pl.Int64) - len(wanted)).abs()
        candidates = (
            self._searched.with_columns(shared=shared, distance=distance)
            .filter(pl.col("shared") > 0)
            .sort("shared", "distance", "index", descending=[True, False, False])
            .head(_MAX_CANDIDATES)
        )
        matcher = SequenceMatcher(autojunk=False)
        matcher.set_seq2(wanted)
        found: dict[int, float] = {}
        for index, name in candidates.select("index", "text").iter_rows():
            matcher.set_seq1(name)
            similarity = matcher.ratio() + (wanted in name)
            if similarity >= _MIN_SIMILARITY:
                found[index] = max(similarity, found.get(index, 0.0))
        return sorted(found, key=lambda index: (-found[index], index))[:n]

    def with_name(self, name: str) -> list[int]:
        """Return the indices of all items with exactly this name."""
        return self._table.filter(pl.col("name") == name)["index"].to_list()

    def did_you_mean(self, text: str) -> str:
        """Return the end of a message with the most similar items, ``"; did you mean 'Pump' (1018)?"``, or ``""``."""
        near = [self.describe(index) for index in self.suggest(text)]
        choices = " or ".join([", ".join(near[:-1]), near[-1]] if len(near) > 1 else near)
        return f"; did you mean {choices}?" if near else ""

    def describe(self, index: int) -> str:
        """Return the name and id of an item, ``'Floor pump' (1018)``, or only its id."""
        _, raw, name = self._table.row(index - 1)
        return f"'{raw}'" if name is None else f"'{name}' ({raw})"

    @cached_property
    def _exact(self) -> dict[str, int]:
        """Index by name, for names of one item that are not ids."""
        return _by_text(self._findable)

    @cached_property
    def _normalized(self) -> dict[str, int]:
        return _by_text(self._findable.with_columns(_normalize_all(pl.col("text"))))

    @cached_property
    def _findable(self) -> pl.DataFrame:
        """Columns ``index`` and ``text``: the names that are not ids."""
        table = self._table.select("index", "id", text=_distinct_name()).drop_nulls("text")
        return table.join(self._table.select(text="id"), on="text", how="anti").select("index", "text")

    @cached_property
    def _searched(self) -> pl.DataFrame:
        """Columns ``index`` and ``text``: the normalised names, and ids if they are text."""
        columns = ["name", "id"] if self._suggests_ids else ["name"]
        tables = [self._table.select("index", text=_normalize_all(pl.col(column))) for column in columns]
        return pl.concat(tables).drop_nulls()


def _distinct_name() -> pl.Expr:
    """Return the name of each item, followed by the id if several items share it; null without a name."""
    name = pl.col("name")
    return pl.when(name.is_duplicated()).then(pl.format("{} ({})", "name", "id")).otherwise(name)


def _by_text(table: pl.DataFrame) -> dict[str, int]:
    """Return the index by text, for texts of one item only."""
    unique = table.filter(pl.col("text").is_unique())
    return dict(zip(unique["text"].to_list(), unique["index"].to_list(), strict=True))


def _find_name_column(metadata: pl.DataFrame) -> str | None:
    texts = [column for column, kind in metadata.schema.items() if kind == pl.String]
    # A column such as category_name has few distinct values.
    named = [column for column in texts if column.lower().endswith(_NAMES) and _is_distinct(metadata[column], 0.5)]
    named = named or [column for column in texts if _is_distinct(metadata[column], 0.9)]
    return max(named, key=lambda column: metadata[column].n_unique(), default=None)


def _is_distinct(values: pl.Series, share: float) -> bool:
    """Whether the distinct values are more than a share of the present ones."""
    present = values.drop_nulls()
    return len(present) > 0 and present.n_unique() > share * len(present)


def _normalize_all(texts: pl.Expr) -> pl.Expr:
    return texts.str.strip_chars().str.to_lowercase()


def _normalize(text: str) -> str:
    """Return a text as ``_normalize_all`` returns it; Python and polars differ in what is space."""
    return str(pl.select(_normalize_all(pl.lit(text, pl.String))).item())
