"""Ranks of targets and top-k lists of rows of scores."""

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64
from torch import Tensor

from segue.data.sessions import Prefixes
from segue.errors import ParameterError, UnknownNameError
from segue.nn.ranking import device, kernels
from segue.nn.threads import share_rows

_BEFORE: dict[str, float] = {"conservative": 1.0, "standard": 0.0, "median": 0.5}
"""Share of the other items with the target's score that are put before it."""

_LEAST_ROWS = 16
"""Rows below which they are done before another thread has started."""


def top_k(
    scores: Float[Tensor, "B M"],
    k: int,
    *,
    prior: Int[np.ndarray, "M"] | None = None,
    exclude: Prefixes | None = None,
) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
    """List the k best items of each row.

    Args:
        scores: [B, N+1], column ``j`` is the score of item index ``j``; column 0 is ignored.
        k: length of the lists.
        prior: decides between equal scores, higher first; items equal in both are listed by index.
        exclude: one prefix per row, whose items are no candidates.

    Returns:
        Item indices, best first, and their scores. A row with fewer than k candidates ends in item 0 with -inf.

    Raises:
        ParameterError: ``k`` is below 1.
    """
    if k < 1:
        raise ParameterError(f"k: must be at least 1, got {k}")
    scores = scores.detach().float()
    prior = np.zeros(scores.shape[1], dtype=np.int64) if prior is None else prior
    if scores.device.type != "cpu":
        return device.top_k(scores, k, prior, exclude)
    items = np.zeros((len(scores), k), dtype=np.int64)
    values = np.full((len(scores), k), -np.inf, dtype=np.float32)
    rows, seen = _rows(scores), _seen(exclude, len(scores))

    def fill(part: slice) -> None:
        kernels.top_k_rows(rows[part], prior, seen.of(part), items[part], values[part])

    share_rows(len(rows), fill, least=_LEAST_ROWS)
    return items, values


def target_ranks(
    scores: Float[Tensor, "B M"],
    targets: Int[np.ndarray, "B"] | Int[np.ndarray, "B R"],
    *,
    ties: str = "conservative",
    exclude: Prefixes | None = None,
) -> Float64[np.ndarray, "B"] | Float64[np.ndarray, "B R"]:
    """Rank the targets of each row among all candidates.

    Args:
        scores: [B, N+1], column ``j`` is the score of item index ``j``; column 0 is ignored.
        targets: item index of each row, 1..N; or several distinct ones, with 0 behind the last one of a row.
        ties: ``"conservative"`` puts a target behind all other items with its score, so that a constant scorer is no
            good; ``"standard"`` puts it before them; ``"median"`` in the middle, which may end in a half. Targets of
            equal score take consecutive ranks.
        exclude: one prefix per row, whose items are no candidates. A target among them is never recommended, so
            its rank is infinity.

    Returns:
        Ranks in the shape of ``targets``, 1 is best; infinity where the target is no candidate. Those of several
        targets ascend: they are the ranks at which a target stands, not in the order of ``targets``.

    Raises:
        UnknownNameError: there is no such tie rule.
        ParameterError: a target is no item of the scores.
    """
    if ties not in _BEFORE:
        raise UnknownNameError("tie rule", ties, _BEFORE)
    several = targets if targets.ndim == 2 else targets[:, None]
    _check_targets(targets, scores.shape[1])
    scores = scores.detach().float()
    if scores.device.type != "cpu":
        counts = device.counts(scores, several, exclude)
    else:
        counts = np.empty((*several.shape, 2), dtype=np.int64)
        rows, seen = _rows(scores), _seen(exclude, len(scores))

        def count(part: slice) -> None:
            kernels.count_rows(rows[part], several[part], seen.of(part), counts[part])

        share_rows(len(rows), count, least=_LEAST_ROWS)
    ahead, level = counts[..., 0], counts[..., 1]
    # A better target has no more other items before it, so that each one's place among the targets is its place here.
    others = np.sort(np.where(ahead < 0, np.inf, ahead + _BEFORE[ties] * level), axis=1)
    ranks: np.ndarray = 1.0 + others + np.arange(several.shape[1])
    return ranks.reshape(targets.shape)


def _check_targets(targets: Int[np.ndarray, "..."], columns: int) -> None:
    """Refuse what is no item; 0 stands for none where a row may have several."""
    least = 1 if targets.ndim == 1 else 0
    if targets.size and not least <= targets.min() <= targets.max() < columns:
        raise ParameterError(
            f"targets: must be item indices from 1 to {columns - 1}, got {targets.min()} to {targets.max()}; "
            "score with the vocabulary that the targets were encoded with"
        )


def _rows(scores: Float32[Tensor, "B M"]) -> Float32[np.ndarray, "B M"]:
    return scores.contiguous().numpy()


def _seen(exclude: Prefixes | None, rows: int) -> kernels.Seen:
    if exclude is None:
        nothing = np.zeros(rows, dtype=np.int64)
        return kernels.Seen(np.zeros(0, dtype=np.int32), nothing, nothing)
    return kernels.Seen(exclude.items, exclude.starts, exclude.ends)
