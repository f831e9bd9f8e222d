"""BPR: matrix factorisation of sessions x items by pairwise ranking."""

from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np
import torch
from jaxtyping import Float32, Int64
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor

from segue.data.cases import Cases
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import import_extra
from segue.models.factorisation import (
    Converged,
    FactorModel,
    FactorTraining,
    count_matrix,
    train_factors,
    training_matrix,
)
from segue.models.persistence import ModelConfig
from segue.rng import generator
from segue.spaces import Range
from segue.training.runtime import Runtime

_SCALE_SESSIONS = 100_000
"""Most recent training sessions whose factors set the scale of the fold-in; one number needs no more."""

_LEARNING = 0.6
"""train_auc below which the factors have not begun to learn: negatives come by popularity, so the biases alone stay
near chance, for dozens of epochs if the learning rate is low."""

_ADVICE = (
    (0.95, "good; with low figures on the test it is overfitting, which more regularization helps against"),
    (0.90, "check the figures on the test; with low ones it is overfitting"),
    (
        0.80,
        "more training.epochs or another training.learning_rate may help, though sparse logs normally end between "
        "0.80 and 0.92",
    ),
    (0.0, "the training failed; try another training.learning_rate and less regularization"),
)
"""Advice by the least train_auc that it applies to."""


class BPRTraining(FactorTraining):
    """How BPR is trained."""

    epochs: int = Field(100, ge=1)
    """Maximum number of epochs; each draws as many triples as there are pairs of a session and one of its items."""
    learning_rate: float = Field(0.05, gt=0)
    """Step size of the stochastic gradient descent."""
    check_epochs: int = Field(10, ge=1)
    """Epochs between two checks of the convergence."""
    min_gain: float | None = Field(0.005, ge=0, lt=1)
    """Training stops once train_auc gained less than this since the check before; None never stops early."""


class BPRConfig(ModelConfig):
    """Parameters of ``BPR``."""

    embedding_size: int = Field(64, ge=1)
    """Width of the factors of sessions and items."""
    regularization: float = Field(0.001, ge=0)
    """Weight of the squared factors and biases in the loss."""
    training: BPRTraining = BPRTraining()
    """How it is trained."""

    presets = {
        "implicit": {
            "embedding_size": 64,
            "regularization": 0.01,
            "training": {"epochs": 50, "learning_rate": 0.01, "min_gain": None},
        },
    }

    search = {
        "embedding_size": Range(32, 256, log=True),
        "regularization": Range(1e-4, 0.1, log=True),
        "training.learning_rate": Range(0.005, 0.5, log=True),
    }


class BPR(FactorModel):
    """Recommends items that rank high for the session, learnt from its items against those of others, in any order.

    Training draws triples of a session s, one of its items i and an item j of any event, and climbs
    ``ln sigma(r_si - r_sj)`` with ``r_si = <x_s, y_i> + b_i``; a j that the session holds is skipped. ``train_auc`` is
    the share of an epoch's triples that were ranked right when they were drawn, which is no AUC of the lists.

    A running session is folded in as the mean of the factors of its events:

        score(j) = scale x <mean of y_i, y_j> + b_j

    Source: Rendle et al. 2009 (UAI), trained by implicit in one thread, since several make fits differ. Where
    we differ: negatives come by popularity, as in implicit; and ``scale`` stretches the means to the length that
    training gave to the factors of its own sessions (by least squares), since the biases were learnt with those.
    """

    name = "bpr"
    paper = "Rendle et al. 2009, UAI"
    Config = BPRConfig
    config: BPRConfig
    array_names = ("item_factors", "item_biases", "scale")

    item_biases: Float32[np.ndarray, "N+1"]
    """Biases b."""
    scale: Float32[np.ndarray, "1"]
    """Length of the training sessions' factors in relation to the means of their items'."""

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        config, plan = self.config, self.config.training
        matrix = training_matrix(train, np.ones(len(train.items), dtype=np.float32))
        aucs: list[float] = []
        trainer = import_extra("implicit.cpu.bpr", self.name, "mf").BayesianPersonalizedRanking(
            factors=config.embedding_size,
            learning_rate=plan.learning_rate,
            regularization=config.regularization,
            iterations=plan.epochs,
            num_threads=1,
            random_state=generator(seed, self.name),
        )
        with runtime.progress.task(self.name, plan.epochs) as task:

            def watch(epoch: int, seconds: float, correct: int, skipped: int) -> None:
                aucs.append(correct / max(1, matrix.nnz - skipped))
                task.advance(1, f"train_auc {aucs[-1]:.1%}  skipped {skipped / matrix.nnz:.1%}")
                if _converged(aucs, plan):
                    raise Converged

            factors = train_factors(trainer, matrix, watch)
        self.notes = tuple(_remarks(aucs, plan))
        self.diagnostics = {"train_auc": aucs[-1]}
        arrays = {"item_factors": np.ascontiguousarray(factors[:, :-1]), "item_biases": factors[:, -1].copy()}
        recent = slice(-_SCALE_SESSIONS, None)
        means = _means(matrix[recent], train.lengths[recent], arrays["item_factors"][1:])
        learnt = trainer.user_factors[recent, :-1]
        scale = (learnt * means).sum() / max((means * means).sum(), np.finfo(np.float32).tiny)
        self.restore({**arrays, "scale": np.array([scale], dtype=np.float32)}, train.vocabulary)

    @property
    def scores_are_logits(self) -> bool:
        """Return true: its loss takes sigmoids of differences; see ``Model.scores_are_logits``."""
        return True

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take the factors and biases."""
        super().restore(arrays, vocabulary)
        factors, biases = (np.require(arrays[name], requirements="W") for name in ("item_factors", "item_biases"))
        self._output = torch.from_numpy(factors), torch.from_numpy(biases)
        return self

    def _states(self, prefixes: Prefixes) -> Float32[Tensor, "B D"]:
        counts = count_matrix(prefixes, len(self.vocabulary))
        return torch.from_numpy(self.scale * _means(counts, prefixes.lengths, self.item_factors))

    def _table(self) -> tuple[Float32[Tensor, "M D"], Float32[Tensor, "M"]]:
        return self._output


def _means(
    counts: csr_matrix, lengths: Int64[np.ndarray, "B"], factors: Float32[np.ndarray, "M D"]
) -> Float32[np.ndarray, "B D"]:
    means: np.ndarray = counts @ factors / np.maximum(lengths, 1)[:, None].astype(np.float32)
    return means


def _converged(aucs: list[float], plan: BPRTraining) -> bool:
    """Whether this epoch is a check, and train_auc gained too little since the one before."""
    if plan.min_gain is None or len(aucs) % plan.check_epochs or len(aucs) == plan.check_epochs:
        return False
    return aucs[-1] >= _LEARNING and aucs[-1] - aucs[-1 - plan.check_epochs] < plan.min_gain


def _remarks(aucs: list[float], plan: BPRTraining) -> Iterator[str]:
    advice = next(advice for least, advice in _ADVICE if aucs[-1] >= least)
    yield f"train_auc {aucs[-1]:.3f} after {len(aucs)} epochs: {advice}"
    if plan.min_gain is not None and not _converged(aucs, plan):
        yield f"train_auc still rose when the {plan.epochs} epochs were used up: a higher training.epochs may give more"
