"""From scores to ranks and to top-k lists: exact, deterministic, equal on every device.

Four rules hold everywhere. Column 0 (padding) is never ranked. Items with equal scores are listed in one fixed order,
by training popularity where a model is served. An item whose score is NaN or -inf, and an item that is excluded or not
allowed, is not a candidate: it is never listed, and as a target it has rank infinity. An item whose score is NaN ranks
ahead of the targets, so that a broken model never looks good.
"""

from typing import NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int64
from torch import Tensor

from segue.data.sessions import Prefixes
from segue.data.vocabulary import PADDING, ItemOrder
from segue.errors import ParameterError, UnknownNameError
from segue.evaluation.ranking import cpu, gpu
from segue.metrics.rank_metrics import Ties
from segue.threads import share_rows

TIES: tuple[Ties, ...] = get_args(Ties)


_LONG_LIST = 1024
"""Length of a list above which a row is sorted: insertion takes time that grows with its square."""


class TargetCounts(NamedTuple):
    """Other candidates around the targets of each row; targets are not counted against each other.

    Attributes:
        ahead: candidates with a better score; -1 where the target itself is not a candidate.
        tied: candidates with the same score.
        before: those of them that are listed before the target.
    """

    ahead: Int64[np.ndarray, "B R"]
    tied: Int64[np.ndarray, "B R"]
    before: Int64[np.ndarray, "B R"]

    def ranks(self, ties: Ties) -> Float64[np.ndarray, "B R"]:
        """Return the ranks of the targets of each row, ascending; infinity for one that is not a candidate."""
        among = {"served": self.before, "pessimistic": self.tied, "optimistic": 0, "average": 0.5 * self.tied}[ties]
        # A better target has no more other items before it, so that each one's place among the targets is its place.
        others = np.sort(np.where(self.ahead < 0, np.inf, self.ahead + among), axis=1)
        ranks: Float64[np.ndarray, "B R"] = 1.0 + others + np.arange(others.shape[1])
        return ranks


def top_k(
    scores: Float[Tensor, "B M"],
    k: int,
    *,
    order: ItemOrder | None = None,
    allowed: Bool[np.ndarray, "M"] | None = None,
    exclude: Prefixes | None = None,
) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
    """List the k best items of each row.

    Args:
        scores: [B, N+1], column ``j`` is the score of item index ``j``; column 0 is ignored.
        k: length of the lists.
        order: decides between equal scores; None lists them by index.
        allowed: the candidates of all rows; None for all items.
        exclude: one prefix per row, whose items are not candidates.

    Returns:
        Item indices, best first, and their scores. A row with fewer than k candidates ends in item 0 with -inf.

    Raises:
        ParameterError: ``k`` is below 1, or ``exclude`` does not fit the scores.
    """
    if k < 1:
        raise ParameterError(f"k: must be at least 1, got {k}")
    scores = scores.detach().float()
    order = _order(order, scores.shape[1])
    if allowed is not None and len(allowed) != scores.shape[1]:
        raise ParameterError(f"allowed: must have {scores.shape[1]} columns as the scores, got {len(allowed)}")
    excluded = _excluded(exclude, scores)
    if scores.device.type != "cpu":
        return gpu.top_k(scores, k, order, allowed, exclude)
    items = np.zeros((len(scores), k), dtype=np.int64)
    values = np.full((len(scores), k), -np.inf, dtype=np.float32)
    rows, mask = scores.contiguous().numpy(), np.zeros(0, dtype=bool) if allowed is None else allowed

    def fill(part: slice) -> None:
        if k > _LONG_LIST:
            cpu.sort_rows(rows[part], order.items, excluded.rows(part), mask, items[part], values[part])
        else:
            cpu.top_k_rows(rows[part], order.places, excluded.rows(part), mask, items[part], values[part])

    share_rows(len(rows), fill)
    return items, values


def list_candidates(
    candidates: Int64[np.ndarray, "B C"], scores: Float32[np.ndarray, "B C"], k: int, *, order: ItemOrder
) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
    """List the k best of some candidates of each row, as ``top_k`` lists them among all items.

    Args:
        candidates: distinct item indices, and any number of 0.
        scores: their scores; NaN and -inf for those that are none after all.
        k: length of the lists.
        order: decides between equal scores.
    """
    scores = np.where(np.isnan(scores) | (candidates == PADDING), np.float32(-np.inf), scores)
    columns = np.lexsort((order.places[candidates], -scores), axis=1)[:, :k]
    items = np.zeros((len(candidates), k), dtype=np.int64)
    values = np.full((len(candidates), k), -np.inf, dtype=np.float32)
    items[:, : columns.shape[1]] = np.take_along_axis(candidates, columns, axis=1)
    values[:, : columns.shape[1]] = np.take_along_axis(scores, columns, axis=1)
    items[values == -np.inf] = PADDING
    return items, values


def excluded_mask(
    items: Int64[np.ndarray, "B C"], allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
) -> Bool[np.ndarray, "B C"]:
    """Return which items must not be listed: padding, and those that a filter leaves out."""
    mask: np.ndarray = items == PADDING
    if allowed is not None:
        mask |= ~allowed[items]
    if exclude is not None:
        rows, events = exclude.events()
        excluded = exclude.items[events]
        size = 1 + max(items.max(initial=0), excluded.max(initial=0))
        keys = np.arange(len(items))[:, None] * size + items
        mask |= np.isin(keys, rows * size + excluded)
    return mask


def count_targets(
    scores: Float[Tensor, "B M"],
    targets: Int[np.ndarray, "B R"],
    *,
    order: ItemOrder | None = None,
    exclude: Prefixes | None = None,
) -> TargetCounts:
    """Count the candidates around each target, from which its rank follows under every tie rule.

    Args:
        scores: [B, N+1], column ``j`` is the score of item index ``j``; column 0 is ignored.
        targets: distinct item indices of each row, with 0 behind the last one.
        order: decides between equal scores; None lists them by index.
        exclude: one prefix per row, whose items are not candidates.

    Raises:
        ParameterError: a target is not an item of the scores, or ``exclude`` does not fit them.
    """
    _check_targets(targets, scores.shape[1], least=0)
    scores = scores.detach().float()
    order = _order(order, scores.shape[1])
    excluded = _excluded(exclude, scores)
    if scores.device.type != "cpu":
        return TargetCounts(*np.moveaxis(gpu.counts(scores, targets, order, exclude), 2, 0))
    counts = np.empty((*targets.shape, 3), dtype=np.int64)
    rows = scores.contiguous().numpy()

    def count(part: slice) -> None:
        cpu.count_rows(rows[part], targets[part], order.places, excluded.rows(part), counts[part])

    share_rows(len(rows), count)
    return TargetCounts(*np.moveaxis(counts, 2, 0))


def target_ranks(
    scores: Float[Tensor, "B M"],
    targets: Int[np.ndarray, "B"] | Int[np.ndarray, "B R"],
    *,
    ties: str = "served",
    order: ItemOrder | None = None,
    exclude: Prefixes | None = None,
) -> Float64[np.ndarray, "B"] | Float64[np.ndarray, "B R"]:
    """Rank the targets of each row among all candidates.

    Args:
        scores: [B, N+1], column ``j`` is the score of item index ``j``; column 0 is ignored.
        targets: item index of each row, 1..N; or several distinct ones, with 0 behind the last one of a row.
        ties: ``"served"`` gives a target its place in the list of ``top_k``; ``"pessimistic"`` puts it behind all
            other items with its score, ``"optimistic"`` before them, ``"average"`` in the middle, which may end in a
            half. Targets of equal score take consecutive ranks.
        order: decides between equal scores, for ``"served"``.
        exclude: one prefix per row, whose items are not candidates. A target among them is never recommended, so
            its rank is infinity.

    Returns:
        Ranks in the shape of ``targets``, 1 is best; infinity where the target is not a candidate. Those of several
        targets are sorted, not in the order of ``targets``.

    Raises:
        UnknownNameError: there is no such tie rule.
        ParameterError: a target is not an item of the scores.
    """
    rule = tie_rule(ties)
    if targets.ndim == 1:
        _check_targets(targets, scores.shape[1], least=1)
    several = targets if targets.ndim == 2 else targets[:, None]
    ranks: np.ndarray = count_targets(scores, several, order=order, exclude=exclude).ranks(rule)
    return ranks.reshape(targets.shape)


def tie_rule(name: str) -> Ties:
    """Return the tie rule of a name.

    Raises:
        UnknownNameError: there is none.
    """
    for rule in TIES:
        if rule == name:
            return rule
    raise UnknownNameError("tie rule", name, TIES)


def _check_targets(targets: Int[np.ndarray, "..."], columns: int, *, least: int) -> None:
    """Check that targets are item indices; 0 is allowed where a row may have several."""
    if targets.size and not least <= targets.min() <= targets.max() < columns:
        raise ParameterError(
            f"targets: must be item indices from 1 to {columns - 1}, got {targets.min()} to {targets.max()}; "
            "score with the vocabulary that the targets were encoded with"
        )


def _order(order: ItemOrder | None, columns: int) -> ItemOrder:
    if order is None:
        return ItemOrder.descending(np.zeros(columns, dtype=np.int64))
    if len(order.places) != columns:
        raise ParameterError(
            f"order: must be that of the {columns - 1} items of the scores, got one of {len(order.items)} items"
        )
    return order


def _excluded(exclude: Prefixes | None, scores: Float32[Tensor, "B M"]) -> cpu.Excluded:
    if exclude is not None:
        if len(exclude) != len(scores):
            raise ParameterError(f"exclude: must have one prefix per row, {len(scores)}, got {len(exclude)}")
        exclude.require_range(scores.shape[1] - 1, "exclude")
    return cpu.Excluded.by(exclude, len(scores))
