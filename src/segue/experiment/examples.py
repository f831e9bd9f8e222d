"""A few test sessions with what the models made of them, in names."""

from collections.abc import Mapping

import numpy as np

from segue.data.cases import Cases
from segue.data.vocabulary import PADDING, Vocabulary
from segue.evaluation.scorer import Scorer, best_items
from segue.experiment.results import Example

_EXAMPLES = 5
_SHOWN = 10
"""Events of a session that are told, the most recent ones."""
_LISTED = 5
"""Items of a list."""


def examples(scorers: Mapping[str, Scorer], cases: Cases, vocabulary: Vocabulary) -> list[Example]:
    """Ask models about test cases that lie at even distances from each other.

    Args:
        scorers: the models by label.
        cases: the test cases.
        vocabulary: of the cases and of all models.
    """
    names = vocabulary.names.names
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
        for row, wanted in enumerate(chosen.padded_targets())
    ]
