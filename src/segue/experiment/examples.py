"""A few test sessions with what the models made of them, in names."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from segue.data.sessions import Cases
from segue.data.vocabulary import PADDING, Vocabulary
from segue.evaluation.scorer import Scorer, best_items
from segue.experiment.results import Example

_EXAMPLES = 5
_SHOWN = 10
"""Events of a session that are told, the most recent ones."""
_LISTED = 5
"""Items of a list."""

_NAMES = ("name", "title", "label")
"""Columns that hold names, by what their own name ends in."""


def examples(scorers: Mapping[str, Scorer], cases: Cases, vocabulary: Vocabulary) -> list[Example]:
    """Ask models about test cases that lie at even distances from each other.

    Args:
        scorers: the models by label.
        cases: the test cases.
        vocabulary: of the cases and of all models.
    """
    names = item_names(vocabulary)
    chosen = cases[np.unique(np.linspace(0, len(cases) - 1, _EXAMPLES).astype(np.int64))]
    exclude = chosen.prefixes if chosen.exclude_seen else None
    k = min(_LISTED, len(vocabulary))
    lists = {label: best_items(scorer, chosen.prefixes, k, exclude=exclude)[0] for label, scorer in scorers.items()}
    spans = zip(chosen.prefixes.starts, chosen.prefixes.ends, strict=True)
    before = [chosen.prefixes.items[max(start, end - _SHOWN) : end] for start, end in spans]
    return [
        Example(
            session=[names[item] for item in before[row]],
            target=[names[item] for item in wanted[wanted != PADDING]],
            lists={label: [names[item] for item in items[row] if item != PADDING] for label, items in lists.items()},
        )
        for row, wanted in enumerate(chosen.wanted())
    ]


def item_names(vocabulary: Vocabulary) -> Sequence[str]:
    """Return what to call each item index: its name, where the metadata hold one, else its id.

    The column of names is the text column whose own name ends in name, title or label; without one, any text column
    that tells nearly all items apart. Of several, it is the one that tells most apart. A name that several items
    share is followed by the id.
    """
    table = vocabulary.table
    texts = [column for column in vocabulary.metadata if table.schema[column] == pl.String]
    called = [column for column in texts if column.lower().endswith(_NAMES)]
    called = called or [column for column in texts if table[column].n_unique() > 0.9 * len(vocabulary)]
    ids = table["item"].cast(pl.String)
    if not called:
        return ["", *ids.to_list()]
    name = pl.col(max(called, key=lambda column: table[column].n_unique())).str.strip_chars()
    named = table.select(
        pl.when(name.is_null() | (name == "")).then(ids)
        .when(name.is_duplicated()).then(pl.format("{} ({})", name, ids))
        .otherwise(name)
    ).to_series()  # fmt: skip
    return ["", *named.to_list()]
