"""The run of one of implicit's trainers."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import numpy as np
from jaxtyping import Float32
from scipy.sparse import csr_matrix

from segue.errors import DivergedError, import_extra


class Converged(Exception):  # noqa: N818 (it is no error)
    """Raised by a trainer's callback to end the training, for which implicit has no other way."""


class Trainer(Protocol):
    """A factorisation of implicit."""

    item_factors: Float32[np.ndarray, "M D"]
    """Learnt in place while ``fit`` runs; row ``j - 1`` is item index ``j``."""

    def fit(self, user_items: csr_matrix, *, show_progress: bool, callback: Callable[..., None]) -> None:
        """Learn, and call ``callback`` after every pass."""


def train_factors(trainer: Trainer, matrix: csr_matrix, watch: Callable[..., None]) -> Float32[np.ndarray, "M D"]:
    """Train until the passes are used up or ``watch`` raises ``Converged``.

    Args:
        trainer: what is trained.
        matrix: sessions x items.
        watch: called after every pass with what the trainer knows of it.

    Returns:
        The item factors; row 0, padding, is zero.

    Raises:
        DivergedError: the factors are no longer finite.
    """
    diverged = import_extra("implicit.recommender_base", "matrix factorisation", "mf").ModelFitError
    with suppress(Converged, diverged):  # The latter says that factors are no numbers, which is looked at below.
        trainer.fit(matrix, show_progress=False, callback=watch)
    factors = np.vstack([np.zeros_like(trainer.item_factors[:1]), trainer.item_factors])
    if not np.isfinite(factors).all():
        raise DivergedError(
            "the item factors are no longer finite: lower training.learning_rate or raise regularization"
        )
    return factors
