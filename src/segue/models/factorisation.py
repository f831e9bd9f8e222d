"""Shared by ALS and BPR: sessions as a sparse matrix, the run of implicit's trainers, and the fold-in of sessions."""

from collections.abc import Callable, Iterator, Set
from contextlib import suppress
from math import nan
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from pydantic import BaseModel, ConfigDict
from scipy.sparse import csr_matrix
from torch import Tensor

from segue.data.cases import Cases
from segue.data.sessions import Prefixes, Sessions
from segue.data.statistics import density, density_class
from segue.errors import DivergedError, import_extra, require_extra
from segue.evaluation.linter.checks import evenly_spaced
from segue.evaluation.measure import measure
from segue.evaluation.train_auc import band
from segue.models.dot_product import DotProductModel
from segue.protocols.ranking import Ranking
from segue.training.config import TrainingConfig
from segue.training.runtime import EpochRecord, Runtime

_ROWS_PER_SOLVE = 64
"""Sessions solved at once: their systems stay in the cache, and sessions of similar length need little padding."""

_VALIDATION_CASES = 1_000
"""Validation cases that are measured during the training: enough to see a model get worse."""
_METRIC: str = TrainingConfig.model_fields["metric"].default
"""What is measured on them: what chooses the best epoch of a network, unless its configuration says otherwise."""


class FactorTraining(BaseModel):
    """How a factorisation is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class FactorModel(DotProductModel):
    """A model that is a factorisation of sessions x items."""

    item_factors: Float32[np.ndarray, "N+1 D"]
    """Factors y; row 0 is zero."""

    def check(self, train: Sessions) -> None:
        """Check that implicit is installed; see ``Model.check``."""
        require_extra(("implicit", "threadpoolctl"), self.name, "mf")

    def per_item_arrays(self) -> Set[str]:
        """Return the factors and the biases of the items; see ``Model.per_item_arrays``."""
        return {name for name in self.array_names if name.startswith("item_")}

    def item_vectors(self) -> Float32[np.ndarray, "M D"]:
        """Return the factors of the items; see ``Model.item_vectors``."""
        return self.item_factors


FACTORISATION = "factorisation"
"""The stage of a fit in its curve."""


class Course:
    """Reports the passes of a fit. Validation decides nothing here; it only shows where a model gets worse.

    Args:
        runtime: of the fit.
        valid: the validation cases, of which 1,000 are evaluated.
    """

    def __init__(self, runtime: Runtime, valid: Cases | None) -> None:
        self._runtime = runtime.part(FACTORISATION)
        self._valid = None if valid is None else valid[evenly_spaced(len(valid), _VALIDATION_CASES)]
        self._curve: list[EpochRecord] = []

    def end_pass(
        self,
        seconds: float,
        train_auc: float | None,
        *,
        loss: float = nan,
        skipped: float | None = None,
        model: Callable[[], DotProductModel] | None = None,
    ) -> None:
        """Report a pass.

        Args:
            seconds: wall time.
            train_auc: share of its triples that were ranked right.
            loss: mean loss.
            skipped: share of the triples that were skipped.
            model: returns the model as it is now; None measures no validation after this pass.
        """
        value = None
        if model is not None and self._valid is not None:
            value = measure(model(), self._valid, Ranking(metrics=(_METRIC,))).metrics[_METRIC]
        record = EpochRecord(len(self._curve), loss, value, seconds, train_auc=train_auc, skipped=skipped)
        self._curve.append(record)
        self._runtime.end_epoch(record)

    def diagnostics(self) -> dict[str, float]:
        """Return the values of the last pass, and the best and the last value of validation."""
        last = self._curve[-1]
        found = {"train_auc": last.train_auc, "skipped": last.skipped}
        if values := [one.validation for one in self._curve if one.validation is not None]:
            assert self._valid is not None
            found |= {"validation_best": max(values), "validation_last": values[-1]}
            found["validation_cases"] = float(len(self._valid))
        return {name: value for name, value in found.items() if value is not None}


def standing(train_auc: float, train: Sessions) -> str:
    """Return a train_auc with its band and the density of the log, which it depends on."""
    spread = density(len(train.items), len(train), len(train.vocabulary))
    return f"train_auc {train_auc:.3f} ({band(train_auc)}) on a {density_class(spread)} log (density {spread:.2g})"


def training_matrix(train: Sessions, weights: Float32[np.ndarray, "n"]) -> csr_matrix:
    """Sum the weights of the events on each item of each session.

    Returns:
        A matrix [s, N]. Column ``j - 1`` is item index ``j``: padding has no column, since implicit would learn it.
    """
    sessions = np.repeat(np.arange(len(train)), train.lengths)
    return csr_matrix((weights, (sessions, train.items - 1)), shape=(len(train), len(train.vocabulary)))


def count_matrix(prefixes: Prefixes, n_items: int) -> csr_matrix:
    """Count the events on each item of each prefix.

    Returns:
        A matrix [B, N+1]. Column ``j`` is item index ``j``; the column of padding is empty.
    """
    rows, events = prefixes.events()
    ones = np.ones(len(events), dtype=np.float32)
    return csr_matrix((ones, (rows, prefixes.items[events])), shape=(len(prefixes), n_items + 1))


class Converged(Exception):  # noqa: N818 (it is not an error)
    """Raised in a callback to end the training; implicit offers no other way."""


class ImplicitModel(Protocol):
    """A factorisation of implicit."""

    user_factors: Float32[np.ndarray, "s D"]
    """One row per session."""
    item_factors: Float32[np.ndarray, "M D"]
    """Row ``j - 1`` is item index ``j``."""

    def fit(self, user_items: csr_matrix, *, show_progress: bool, callback: Callable[..., None]) -> None:
        """Learn, and call ``callback`` after every pass."""


def train_factors(model: ImplicitModel, matrix: csr_matrix, watch: Callable[..., None]) -> Float32[np.ndarray, "M D"]:
    """Train for all passes, or until ``watch`` raises ``Converged``.

    Args:
        model: a factorisation of implicit.
        matrix: sessions x items.
        watch: called after every pass with the arguments of implicit's callback.

    Returns:
        The item factors; row 0, padding, is zero.

    Raises:
        DivergedError: the factors are no longer finite.
    """
    not_finite = import_extra("implicit.recommender_base", "matrix factorisation", "mf").ModelFitError
    with suppress(Converged, not_finite):  # The latter means that factors are not finite, which is checked below.
        model.fit(matrix, show_progress=False, callback=watch)
    factors = with_padding(model.item_factors)
    if not np.isfinite(factors).all():
        raise DivergedError(
            "the item factors are no longer finite: lower training.learning_rate or raise regularization"
        )
    return factors


def with_padding(factors: Float32[np.ndarray, "N D"]) -> Float32[np.ndarray, "N+1 D"]:
    """Return the factors with a row of zeros for padding before them."""
    return np.vstack([np.zeros_like(factors[:1]), factors])


class LeastSquares:
    """Folds sessions in by one least-squares step each, given the factors y of the items.

    In double precision, since the systems are badly conditioned if the regularisation is weak.

    Args:
        factors: one row per item; row 0 is zero.
        regularization: weight of the squared factors, above 0.
        n_items: number of trained items, the first ones; only these count as unwanted if a session does not hold them.
    """

    def __init__(self, factors: Float32[Tensor, "M D"], regularization: float, *, n_items: int) -> None:
        self._factors = factors
        self._n_items = n_items
        y = factors[: n_items + 1].double()
        self._gram = y.T @ y + regularization * torch.eye(y.shape[1], dtype=torch.float64)
        self._inverse = torch.linalg.inv(self._gram)

    def fold_in(self, confidence: csr_matrix) -> Float32[Tensor, "B D"]:
        """Solve ``(Y'Y + reg I + sum_i (c_i - k_i) y_i y_i') x = sum_i c_i y_i``, with i over the items of the session.

        k_i is 1 for trained items, which ``Y'Y`` holds already, and 0 for items that were added later.

        Args:
            confidence: c, one row [M] per session; an empty row gives zeros.
        """
        sessions = torch.zeros(confidence.shape[0], self._factors.shape[1])
        for rows in _rows_by_length(np.diff(confidence.indptr)):
            items, c = _pad(confidence[rows])
            y = self._factors[items].double()
            solve = self._short if y.shape[1] <= y.shape[2] else self._long
            added = c - (items <= self._n_items).double()
            sessions[torch.from_numpy(rows)] = solve(y, c, added).float()
        return sessions

    def contributions(
        self, items: Int64[np.ndarray, "L"], confidence: Float64[np.ndarray, "L"], targets: Int64[np.ndarray, "C"]
    ) -> Float64[np.ndarray, "C L"]:
        """Return what each item of one session adds to the scores of others: ``c_l y_j' A^-1 y_l``, A the left side.

        Source: the explanation of Hu, Koren and Volinsky 2008, ICDM.

        Args:
            items: the different items l of the session.
            confidence: c.
            targets: the items j.
        """
        ids, c = torch.from_numpy(items), torch.from_numpy(confidence)
        y, added = self._factors[ids].double(), c - (ids <= self._n_items).double()
        solved = torch.linalg.solve(self._gram + (y * added[:, None]).mT @ y, (y * c[:, None]).mT)  # [D, L]
        found: np.ndarray = (self._factors[torch.from_numpy(targets)].double() @ solved).numpy()
        return found

    def _long(
        self, y: Float64[Tensor, "b L D"], c: Float64[Tensor, "b L"], added: Float64[Tensor, "b L"]
    ) -> Float64[Tensor, "b D"]:
        """Solve one system of D equations per session; padding is a row of zeros in y and c."""
        left = self._gram + (y * added[..., None]).mT @ y  # [b, D, D]
        right = (y * c[..., None]).sum(dim=1)  # [b, D]
        x: Tensor = torch.linalg.solve(left, right)
        return x

    def _short(
        self, y: Float64[Tensor, "b L D"], c: Float64[Tensor, "b L"], added: Float64[Tensor, "b L"]
    ) -> Float64[Tensor, "b D"]:
        """Solve one system of L equations per session: ``x = G y' z`` with ``(1 + (c - k) y G y') z = c``.

        G is the inverse of ``Y'Y + reg I``, which all sessions share. Multiplied from the left by
        ``Y'Y + reg I + y' (c - k) y``, the x above gives ``y' c``, so it is the solution.
        """
        spread = y @ self._inverse  # [b, L, D]
        left = torch.eye(y.shape[1], dtype=torch.float64) + added[..., None] * (spread @ y.mT)  # [b, L, L]
        z = torch.linalg.solve(left, c)
        x: Tensor = (z[:, None] @ spread)[:, 0]
        return x


def _rows_by_length(lengths: Int64[np.ndarray, "B"]) -> Iterator[Int64[np.ndarray, "_"]]:
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), _ROWS_PER_SOLVE):
        yield order[start : start + _ROWS_PER_SOLVE]


def _pad(part: csr_matrix) -> tuple[Int64[Tensor, "b L"], Float64[Tensor, "b L"]]:
    lengths = np.diff(part.indptr)
    filled = np.arange(lengths.max(initial=0)) < lengths[:, None]
    items = np.zeros(filled.shape, dtype=np.int64)
    values = np.zeros(filled.shape)
    items[filled], values[filled] = part.indices, part.data
    return torch.from_numpy(items), torch.from_numpy(values)
