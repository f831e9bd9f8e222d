"""Fold-in of ALS: the factors of sessions that training has not seen, by one least-squares step each."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from scipy.sparse import csr_matrix
from torch import Tensor

_ROWS = 64
"""Sessions solved at once: their systems stay in the cache, and few of like length need little padding."""


class LeastSquares:
    """Solves for sessions, given the factors y of the items.

    In double precision, for the systems are badly conditioned where the regularisation is weak.

    Args:
        factors: one row per item; row 0 is zero.
        regularization: weight of the squared factors, above 0.
        n_items: number of items that a session did not want if it does not hold them, the first ones; those that were
            added to the catalogue later could not be wanted.
    """

    def __init__(self, factors: Float32[Tensor, "M D"], regularization: float, *, n_items: int) -> None:
        self._factors = factors
        self._n_items = n_items
        y = factors[: n_items + 1].double()
        self._gram = y.T @ y + regularization * torch.eye(y.shape[1], dtype=torch.float64)
        self._inverse = torch.linalg.inv(self._gram)

    def fold_in(self, confidence: csr_matrix) -> Float32[Tensor, "B D"]:
        """Solve ``(Y'Y + reg I + sum_i (c_i - k_i) y_i y_i') x = sum_i c_i y_i``, with i over the items of the session.

        k_i is 1 for the items that ``Y'Y`` holds already, and 0 for those that were added later.

        Args:
            confidence: c, one row [M] per session; an empty row gives zeros.
        """
        sessions = torch.zeros(confidence.shape[0], self._factors.shape[1])
        for rows in _rows_of_like_length(np.diff(confidence.indptr)):
            items, c = _padded(confidence[rows])
            y = self._factors[items].double()
            solve = self._short if y.shape[1] <= y.shape[2] else self._long
            added = c - (items <= self._n_items).double()
            sessions[torch.from_numpy(rows)] = solve(y, c, added).float()
        return sessions

    def _long(
        self, y: Float64[Tensor, "b L D"], c: Float64[Tensor, "b L"], added: Float64[Tensor, "b L"]
    ) -> Float64[Tensor, "b D"]:
        """Solve one system of D equations per session, as it stands; padding is a row of zeros in y and c."""
        left = self._gram + (y * added[..., None]).mT @ y  # [b, D, D]
        right = (y * c[..., None]).sum(dim=1)  # [b, D]
        x: Tensor = torch.linalg.solve(left, right)
        return x

    def _short(
        self, y: Float64[Tensor, "b L D"], c: Float64[Tensor, "b L"], added: Float64[Tensor, "b L"]
    ) -> Float64[Tensor, "b D"]:
        """Solve one system of L equations per session: ``x = G y' z`` with ``(1 + (c - k) y G y') z = c``.

        G is the inverse of what all sessions share, ``Y'Y + reg I``. Multiplied from the left by
        ``Y'Y + reg I + y' (c - k) y``, the x above gives ``y' c``, so it is the solution.
        """
        spread = y @ self._inverse  # [b, L, D]
        left = torch.eye(y.shape[1], dtype=torch.float64) + added[..., None] * (spread @ y.mT)  # [b, L, L]
        z = torch.linalg.solve(left, c)
        x: Tensor = (z[:, None] @ spread)[:, 0]
        return x


def _rows_of_like_length(lengths: Int64[np.ndarray, "B"]) -> Iterator[Int64[np.ndarray, "_"]]:
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), _ROWS):
        yield order[start : start + _ROWS]


def _padded(part: csr_matrix) -> tuple[Int64[Tensor, "b L"], Float64[Tensor, "b L"]]:
    """Return the columns and values of a few sparse rows, with zeros behind the shorter ones."""
    lengths = np.diff(part.indptr)
    filled = np.arange(lengths.max(initial=0)) < lengths[:, None]
    items = np.zeros(filled.shape, dtype=np.int64)
    values = np.zeros(filled.shape)
    items[filled], values[filled] = part.indices, part.data
    return torch.from_numpy(items), torch.from_numpy(values)
