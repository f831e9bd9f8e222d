"""What one model of a blend gives to each item: its share of the best scores, or something for its rank."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64
from torch import Tensor

from segue.data.vocabulary import PADDING
from segue.models.base import Model

_FIRST = 60
"""Reciprocal rank fusion gives 1 / (60 + rank)."""


def shares_of(part: Model, scores: Float32[Tensor, "B C"], best: Float32[Tensor, "B c"]) -> Float32[Tensor, "B C"]:
    """Return the scores of a model as shares of the sum over its best items."""
    if part.scores_are_logits:
        top = best.amax(1, keepdim=True)
        return (scores - top).exp_().div_((best - top).exp_().sum(1, keepdim=True))
    total = best.clamp(min=0.0).sum(1, keepdim=True)
    return scores.clamp(min=0.0).div_(total.masked_fill_(total == 0.0, 1.0))


def shares_of_ranks(
    part: Model, items: Int64[np.ndarray, "B c"], values: Float32[np.ndarray, "B c"]
) -> Float32[np.ndarray, "B c"]:
    """Return what each place of a list gives; nothing for items without a score, which only fill it."""
    given = (1.0 / (_FIRST + 1 + np.arange(items.shape[1]))).astype(np.float32)
    scored = (items != PADDING) & np.isfinite(values) & (part.scores_are_logits | (values > 0))
    return np.where(scored, given, np.float32(0))


def looked_up(
    listed: Int64[np.ndarray, "B c"], values: Float32[np.ndarray, "B c"], items: Int64[np.ndarray, "B C"]
) -> Float32[np.ndarray, "B C"]:
    """Return the value of each item in the list of its row, 0 if it is not there."""
    size = 1 + max(listed.max(initial=0), items.max(initial=0))
    rows = np.arange(len(listed))[:, None] * size
    keys, wanted = (rows + listed).ravel(), (rows + items).ravel()
    order = np.argsort(keys, kind="stable")
    place = order[np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)]
    found = np.where((keys[place] == wanted) & (items.ravel() != PADDING), values.ravel()[place], np.float32(0))
    return found.reshape(items.shape)


def union_of(lists: Sequence[Int64[np.ndarray, "B c"]]) -> Int64[np.ndarray, "B C"]:
    """Return the items of several lists, each once, and 0."""
    union = np.sort(np.hstack(lists), axis=1)
    union[:, 1:][union[:, 1:] == union[:, :-1]] = PADDING
    return union


def sum_of(arrays: Sequence[Float32[np.ndarray, "*shape"]]) -> Float32[np.ndarray, "*shape"]:
    """Return the sum of arrays of one shape."""
    total: np.ndarray = np.sum(np.stack(arrays), axis=0)
    return total
