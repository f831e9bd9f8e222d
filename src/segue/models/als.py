"""ALS: matrix factorisation of sessions x items by alternating least squares."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from jaxtyping import Float32, Int64
from pydantic import Field
from torch import Tensor

from segue.data.cases import Cases
from segue.data.sessions import SECONDS_PER_DAY, Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError, import_extra
from segue.evaluation.train_auc import SampledAUC
from segue.models.factorisation import (
    Converged,
    Course,
    FactorModel,
    FactorTraining,
    LeastSquares,
    count_matrix,
    standing,
    train_factors,
    training_matrix,
    with_padding,
)
from segue.models.persistence import ModelConfig
from segue.models.why.answer import Part
from segue.rng import generator
from segue.spaces import Choice, Range
from segue.training.runtime import Runtime


class ALSTraining(FactorTraining):
    """How ALS is trained."""

    iterations: int = Field(15, ge=1)
    """Maximum number of ALS iterations."""
    tolerance: float | None = Field(1e-3, gt=0)
    """Stop once the relative decrease of the loss in an iteration is below this; None means no early stopping."""


class ALSConfig(ModelConfig):
    """Parameters of ``ALS``."""

    embedding_size: int = Field(128, ge=1)
    """Width of the factors of sessions and items."""
    regularization: float = Field(10.0, gt=0)
    """Weight of the squared factors in the loss."""
    alpha: float = Field(10.0, gt=0, le=1e9)
    """Confidence weight of observed events; unobserved items have weight 1. Typical values: about 1 for long histories
    over few items, about 100 for short sessions over many items."""
    half_life_days: float | None = Field(None, gt=0)
    """Half-life, in days, of the confidence of a training event; none means no decay."""
    training: ALSTraining = ALSTraining()
    """Training parameters."""

    presets = {
        "implicit": {"embedding_size": 64, "regularization": 0.01, "alpha": 1.0, "training": {"tolerance": None}},
    }

    search = {
        "embedding_size": Range(32, 256, log=True),
        "regularization": Range(0.1, 100.0, log=True),
        "alpha": Range(0.5, 200.0, log=True),
        "half_life_days": Choice((None, 7.0, 30.0, 180.0)),
    }


class ALS(FactorModel):
    """Matrix factorisation of sessions and items by alternating least squares; ignores the order of events.

    The factors x of sessions and y of items minimise

        sum over all s, i of c_si (p_si - <x_s, y_i>)^2 + regularization (sum |x_s|^2 + sum |y_i|^2)

    with ``p_si = 1`` and ``c_si = alpha x number of events`` for the items of a session, ``p = 0`` and ``c = 1`` for
    all others. An event that is a days older than the end of the training counts ``2^(-a / half_life_days)`` there; the
    events of a current session count 1. A current session is folded in: its factors are solved for with those of the
    items as they are, so a training session needs no factors of its own later on. ``score(j) = <x, y_j>``.

    Source: Hu et al. 2008 (ICDM), trained by implicit with conjugate gradients (Takacs et al. 2011, RecSys). Where we
    differ from the paper: ``c = alpha r`` as in implicit, not ``1 + alpha r``, so an event that has lost its
    confidence counts neither for its item nor against it.
    """

    name = "als"
    paper = "Hu et al. 2008, ICDM"
    Config = ALSConfig
    config: ALSConfig
    array_names = ("item_factors",)

    def depends_on_threads(self, runtime: Runtime) -> bool:
        """Return true; see ``Model.depends_on_threads``."""
        return True

    def check(self, train: Sessions) -> None:
        """Check that a half-life has times; see ``Model.check``."""
        super().check(train)
        if self.config.half_life_days is not None and train.times is None:
            raise ParameterError(
                f"{self.name}.half_life_days: needs a log with times and this one has none, got "
                f"{self.config.half_life_days}; leave half_life_days out"
            )

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        plan = self.config.training
        implicit_als = import_extra("implicit.cpu.als", self.name, "mf")
        threadpool_limits = import_extra("threadpoolctl", self.name, "mf").threadpool_limits
        matrix = training_matrix(train, self._event_weights(train))
        losses: list[float] = []
        course, auc = Course(runtime, valid), SampledAUC(matrix)
        # Many small systems are solved at once: threads of the BLAS itself would only get in the way.
        with threadpool_limits(1, "blas"), runtime.progress.task(self.name, plan.iterations) as task:

            def as_it_is() -> ALS:
                factors = with_padding(trainer.item_factors)
                return ALS(self.config).restore({"item_factors": factors}, train.vocabulary)

            def watch(iteration: int, seconds: float, loss: float) -> None:
                losses.append(loss)
                task.advance(1, f"loss {loss:.6f}")
                train_auc = auc(trainer.user_factors, trainer.item_factors)
                course.end_pass(seconds, train_auc, loss=loss, model=as_it_is)
                if plan.tolerance is not None and _gain(losses) < plan.tolerance:
                    raise Converged

            trainer = implicit_als.AlternatingLeastSquares(
                factors=self.config.embedding_size,
                regularization=self.config.regularization,
                alpha=self.config.alpha,
                iterations=plan.iterations,
                calculate_training_loss=True,
                num_threads=torch.get_num_threads(),
                random_state=generator(seed, self.name),
            )
            factors = train_factors(trainer, matrix, watch)
        self.diagnostics = course.diagnostics()
        known = (standing(self.diagnostics[name], train) for name in ("train_auc",) if name in self.diagnostics)
        self.notes = (_remark(losses, plan), *known)
        self.restore({"item_factors": factors}, train.vocabulary)

    def _event_weights(self, train: Sessions) -> Float32[np.ndarray, "n"]:
        if self.config.half_life_days is None or train.times is None:
            return np.ones(len(train.items), dtype=np.float32)
        ages = (train.times.max() - train.times) / SECONDS_PER_DAY
        weights: np.ndarray = np.exp2(-ages / self.config.half_life_days).astype(np.float32)
        return weights

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take the factors, and prepare the part of the fold-in that all sessions share."""
        super().restore(arrays, vocabulary)
        self._factors = torch.from_numpy(np.require(arrays["item_factors"], requirements="W"))
        self._least_squares = LeastSquares(self._factors, self.config.regularization, n_items=vocabulary.n_trained)
        return self

    def array_sizes(self) -> dict[str, int]:
        """Return N and D."""
        return {**super().array_sizes(), "D": self.config.embedding_size}

    def _states(self, prefixes: Prefixes) -> Float32[Tensor, "B D"]:
        return self._least_squares.fold_in(self.config.alpha * count_matrix(prefixes, len(self.vocabulary)))

    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> list[list[Part]]:
        """Return what each item of the session contributes; see ``LeastSquares.contributions``."""
        session = prefixes.items[prefixes.starts[0] : prefixes.ends[0]].astype(np.int64)
        own, counts = np.unique(session, return_counts=True)
        values = self._least_squares.contributions(own, self.config.alpha * counts.astype(np.float64), items)
        places = [tuple(np.flatnonzero(session == item).tolist()) for item in own]
        return [
            [Part("event", "the event's factors", value, (), at) for value, at in zip(row, places, strict=True)]
            for row in values.tolist()
        ]

    def _table(self) -> tuple[Float32[Tensor, "M D"], None]:
        return self._factors, None


def _gain(losses: list[float]) -> float:
    return 1 - losses[-1] / losses[-2] if len(losses) > 1 else 1.0


def _remark(losses: list[float], plan: ALSTraining) -> str:
    gain = _gain(losses)
    end = f"{len(losses)} of {plan.iterations} iterations, the last of which lowered the loss by {gain:.2%}"
    if plan.tolerance is None or gain < plan.tolerance:
        return end
    return f"{end}: not converged, a higher training.iterations may give more"
