"""Catalogues, scorers and test cases whose ranks are known."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segue.data.cases import Cases
    from segue.data.sessions import Prefixes
    from segue.data.vocabulary import Vocabulary
    from segue.evaluation.scorer import Scorer


def catalogue(size: int) -> "Vocabulary":
    """Return a vocabulary of items that have one event each."""
    import polars as pl

    from segue.data.vocabulary import Vocabulary

    return Vocabulary.from_items(pl.Series("item", range(1, size + 1)))


def fixed_scorer(vocabulary: "Vocabulary", scores: "Sequence[float]") -> "Scorer":
    """Return a scorer that gives every session the same scores of the items 1, 2, ..."""
    import torch

    class Fixed:
        def __init__(self) -> None:
            self.vocabulary = vocabulary

        def score(self, prefixes: "Prefixes") -> torch.Tensor:
            return torch.tensor([0.0, *scores]).expand(len(prefixes), -1)

    return Fixed()


def cases_of(vocabulary: "Vocabulary", *targets: "Sequence[int]") -> "Cases":
    """Return cases of empty sessions with these targets."""
    import numpy as np

    from segue.data.cases import Cases
    from segue.data.sessions import Prefixes

    prefixes = Prefixes.from_lists([[] for _ in targets], vocabulary)
    return Cases(
        prefixes=prefixes,
        targets=np.concatenate(targets).astype(np.int32),
        groups=np.arange(len(targets)),
        offsets=np.concatenate([[0], np.cumsum([len(one) for one in targets])]),
    )
