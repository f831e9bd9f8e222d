"""Measure the headline metrics on validation: enough cases to compare them with the test, and no more."""

import numpy as np

from segue.evaluation.linter.holdout import sample
from segue.evaluation.measure import measure
from segue.evaluation.outcome import Evaluation
from segue.evaluation.scorer import Scorer
from segue.protocols.dataset import Dataset

MOST_CASES = 5_000
"""Cases of a part that are measured."""


def on_validation(scorer: Scorer, data: Dataset, *, seed: int = 0) -> Evaluation | None:
    """Measure the headline metrics of the protocol on at most ``MOST_CASES`` validation cases, evenly spaced.

    Args:
        scorer: what is measured.
        data: the prepared log.
        seed: seed of the confidence intervals.

    Returns:
        The figures; None where nothing is held out for validation, or all labels of it are equal, which tells nothing.
    """
    ranking, cases = data.protocol.ranking, data.valid
    if cases is None:
        return None
    cases = cases[sample(len(cases), MOST_CASES)]
    if cases.labels is not None and len(np.unique(cases.labels)) < 2:
        return None
    return measure(scorer, cases, ranking.model_copy(update={"metrics": ranking.headline}), seed=seed)
