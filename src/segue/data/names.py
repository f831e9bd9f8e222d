"""What items are called, and which item a name stands for."""

from difflib import SequenceMatcher
from functools import cached_property

import polars as pl

_NAMES = ("name", "title", "label")
"""Columns that hold names, by what their own name ends in."""

_SHORT = 10
"""A text must share three letters in a row with a name to be compared with it; one of fewer letters than this, two."""

_COMPARED = 100
"""Names with the most such pieces in common, which are compared letter by letter."""

_LONGEST = 200
"""Letters of a text that are compared."""

_LEAST = 0.6
"""Similarity (``difflib``) below which a name is not suggested, unless it contains the text."""


class ItemNames:
    """The names of a catalogue.

    The names are in the text column whose own name ends in name, title or label and that tells most items apart;
    without one, in any text column that tells nearly all apart. Of several columns, it is the one that tells most
    apart. Space around a name is no part of it.

    Args:
        ids: raw ids in index order, N of them.
        metadata: N rows in the same order.

    Attributes:
        column: name of the column that holds the names; None where there is none.
    """

    def __init__(self, ids: pl.Series, metadata: pl.DataFrame) -> None:
        self.column = column = _column_of_names(metadata)
        own = pl.Series([None] * len(ids), dtype=pl.String) if column is None else metadata[column].str.strip_chars()
        self._suggests_ids = ids.dtype == pl.String
        self._table = pl.DataFrame({"id": ids.cast(pl.String), "name": own.replace("", None)}).with_row_index(
            "index", offset=1
        )

    @cached_property
    def names(self) -> list[str]:
        """What to call each item index: its name, or its id where it has none; ``""`` for the padding (index 0).

        A name that several items share is followed by the id.
        """
        return ["", *self._table.select(pl.coalesce(_distinct_name(), "id")).to_series().to_list()]

    def find(self, text: str) -> int | None:
        """Return the index of the item that a name stands for beyond doubt; None if there is none.

        A name is taken as it is; else without regard to case and to space around it, if one item alone has such a
        name. Ids are not looked up here, and they win: a name that is the id of an item is not found.
        """
        if self.column is None:
            return None
        index = self._exact.get(text)
        return index if index is not None else self._folded.get(_folded(text))

    def suggest(self, text: str, n: int = 3) -> list[int]:
        """Return the indices of the items whose names or ids are nearest to a text, nearest first, at most n.

        A name is near if it contains the text, or if most of the letters of both stand in the same order. Ids are
        suggested where they are text.
        """
        wanted = _folded(text)[:_LONGEST]
        size = 2 if len(wanted) < _SHORT else 3
        pieces = list({wanted[at : at + size] for at in range(max(1, len(wanted) - size + 1))})
        if not wanted:
            return []
        shared = pl.col("text").str.extract_many(pieces, overlapping=True).list.n_unique()
        distance = (pl.col("text").str.len_chars().cast(pl.Int64) - len(wanted)).abs()
        compared = (
            self._searched.with_columns(shared=shared, distance=distance)
            .filter(pl.col("shared") > 0)
            .sort("shared", "distance", "index", descending=[True, False, False])
            .head(_COMPARED)
        )
        matcher = SequenceMatcher(autojunk=False)
        matcher.set_seq2(wanted)
        found: dict[int, float] = {}
        for index, name in compared.select("index", "text").iter_rows():
            matcher.set_seq1(name)
            similarity = matcher.ratio() + (wanted in name)
            if similarity >= _LEAST:
                found[index] = max(similarity, found.get(index, 0.0))
        return sorted(found, key=lambda index: (-found[index], index))[:n]

    def sharing(self, name: str) -> list[int]:
        """Return the indices of all items that have exactly this name."""
        return self._table.filter(pl.col("name") == name)["index"].to_list()

    def guess(self, text: str) -> str:
        """Return the nearest items as the end of a message, ``"; did you mean 'Floor pump' (1018)?"``, or ``""``."""
        near = [self.told(index) for index in self.suggest(text)]
        choices = " or ".join([", ".join(near[:-1]), near[-1]] if len(near) > 1 else near)
        return f"; did you mean {choices}?" if near else ""

    def told(self, index: int) -> str:
        """Return an item by name and id, ``'Floor pump' (1018)``, or by its id alone."""
        _, raw, name = self._table.row(index - 1)
        return f"'{raw}'" if name is None else f"'{name}' ({raw})"

    @cached_property
    def _exact(self) -> dict[str, int]:
        """Index by name, where one item alone has it and it is the id of none."""
        return _by_text(self._findable)

    @cached_property
    def _folded(self) -> dict[str, int]:
        return _by_text(self._findable.with_columns(_fold(pl.col("text"))))

    @cached_property
    def _findable(self) -> pl.DataFrame:
        """The names, each of one item: columns ``index`` and ``text``."""
        table = self._table.select("index", "id", text=_distinct_name()).drop_nulls("text")
        return table.join(self._table.select(text="id"), on="text", how="anti").select("index", "text")

    @cached_property
    def _searched(self) -> pl.DataFrame:
        """What a text that was not found is compared with: columns ``index`` and ``text``."""
        columns = ["name", "id"] if self._suggests_ids else ["name"]
        tables = [self._table.select("index", text=_fold(pl.col(column))) for column in columns]
        return pl.concat(tables).drop_nulls()


def _distinct_name() -> pl.Expr:
    """Return the name of each item, with the id behind one that several share; null where there is none."""
    name = pl.col("name")
    return pl.when(name.is_duplicated()).then(pl.format("{} ({})", "name", "id")).otherwise(name)


def _by_text(table: pl.DataFrame) -> dict[str, int]:
    """Return the index by text, without the texts of several items."""
    unique = table.filter(pl.col("text").is_unique())
    return dict(zip(unique["text"].to_list(), unique["index"].to_list(), strict=True))


def _column_of_names(metadata: pl.DataFrame) -> str | None:
    texts = [column for column, kind in metadata.schema.items() if kind == pl.String]
    # A column such as category_name does not say what an item is called.
    named = [column for column in texts if column.lower().endswith(_NAMES) and _tells_apart(metadata[column], 0.5)]
    named = named or [column for column in texts if _tells_apart(metadata[column], 0.9)]
    return max(named, key=lambda column: metadata[column].n_unique(), default=None)


def _tells_apart(values: pl.Series, share: float) -> bool:
    """Whether a column has different values for more than a share of the items that have one."""
    present = values.drop_nulls()
    return len(present) > 0 and present.n_unique() > share * len(present)


def _fold(texts: pl.Expr) -> pl.Expr:
    """Return texts without regard to case and to space around them."""
    return texts.str.strip_chars().str.to_lowercase()


def _folded(text: str) -> str:
    """Do to one text what ``_fold`` does to a column."""
    return text.strip().lower()
