"""Scores, relevant items and labels that follow from a rule, exact in single precision and the same everywhere.

``metrics_recbole.py`` gives them to RecBole and records its figures; ``tests/nn/test_metrics_recbole.py`` to segue.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np

CASES, ITEMS = 60, 80


def numbers(seed: int) -> Iterator[int]:
    """Yield the 20 high bits of the states of a linear congruential generator, the same everywhere."""
    state = seed
    while True:
        state = (1103515245 * state + 12345) % 2**31
        yield state >> 11


def ranking(*, levels: int | None = None, candidates: int | None = None) -> dict[str, np.ndarray]:
    """Make scores of items 1..80 for 60 cases, relevant items and training counts; column 0 is the padding.

    Args:
        levels: scores are one of so many, and the first case has a constant one; None for distinct scores.
        candidates: items per case that are not masked; None masks one in eight.

    Returns:
        ``scores`` [60, 81] with -infinity for the padding and masked items, ``relevant`` [60, 81] with 1 to 6 ones per
        case, none of them masked, and ``counts`` [81], the training events of each item, 0 for the padding.
    """
    draw = numbers(1)
    counts = np.array([0, *(1 + number % 50 for number in islice(draw, ITEMS))])
    heights = np.array([[number // 128 for number in islice(draw, ITEMS + 1)] for _ in range(CASES)])
    scores = np.float32(128 * (heights + 128 * counts) + np.arange(ITEMS + 1))  # No two of a case are equal.
    order = np.array([[number % 2**16 for number in islice(draw, ITEMS)] for _ in range(CASES)])
    order = 1 + np.argsort(order, axis=1, kind="stable")
    if levels is not None:
        scores = np.floor(scores * levels / 2**21)
        scores[0] = 0
    masked = ITEMS // 8 if candidates is None else ITEMS - candidates
    np.put_along_axis(scores, order[:, ITEMS - masked :], -np.inf, axis=1)
    scores[:, 0] = -np.inf
    relevant = np.zeros(scores.shape, dtype=np.int64)
    for case in range(CASES):
        relevant[case, order[case, : 1 + case % 6]] = 1
    return {"scores": scores, "relevant": relevant, "counts": counts}


def labelled() -> dict[str, np.ndarray]:
    """Make 500 probabilities in steps of 1/64, 0 and 1 among them, and labels of 0 and 1 that lean on them."""
    draw = numbers(2)
    predictions = np.array([number % 65 / 64 for number in islice(draw, 500)], dtype=np.float32)
    labels = np.array([number % 100 for number in islice(draw, 500)]) < 20 + 60 * predictions
    return {"predictions": predictions, "labels": labels.astype(np.float32)}


TASKS: dict[str, dict[str, int]] = {"distinct": {}, "ties": {"levels": 4}, "short": {"candidates": 6}}
"""Arguments of ``ranking``: all lists are full, scores are equal, lists have fewer places to fill than the cut-off."""
