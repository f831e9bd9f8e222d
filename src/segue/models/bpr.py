"""BPR: matrix factorisation of sessions x items by pairwise ranking."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

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
    Course,
    FactorModel,
    FactorTraining,
    ImplicitModel,
    count_matrix,
    standing,
    train_factors,
    training_matrix,
    with_padding,
)
from segue.models.pairwise_ranking import PairwiseRanking
from segue.models.persistence import ModelConfig
from segue.models.why.answer import Part
from segue.rng import generator
from segue.spaces import Range
from segue.training.runtime import Runtime

_SCALE_SESSIONS = 100_000
"""Number of most recent training sessions whose factors determine the scale of the fold-in."""

_LEARNING = 0.6
"""train_auc below which the factors have not begun to learn: negatives come by popularity, so the biases alone stay
near chance, for dozens of epochs if the learning rate is low."""

_ADVICE = (
    (0.95, "if the test metrics are low, the model overfits: increase regularization"),
    (0.90, "check the test metrics; if they are low, the model overfits"),
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
    """Maximum number of epochs; each draws n_samples triples per pair of a session and one of its items."""
    learning_rate: float = Field(0.05, gt=0)
    """Learning rate of stochastic gradient descent."""
    check_epochs: int = Field(10, ge=1)
    """Number of epochs between two convergence checks."""
    min_gain: float | None = Field(0.005, ge=0, lt=1)
    """Stop once train_auc has increased by less than this since the last check; None means no early stopping."""
    n_samples: int = Field(1, ge=1)
    """Negatives per pair of a session and one of its items."""
    alpha: float = Field(1.0, ge=0, le=1)
    """Negatives are drawn by (sessions that hold the item) ** alpha: 0 is uniform, 1 is popularity."""
    candidate_num: int = Field(1, ge=1)
    """Candidates drawn for each negative, of which the best-scored one is taken; 1 takes what is drawn."""


class BPRConfig(ModelConfig):
    """Parameters of ``BPR``."""

    embedding_size: int = Field(64, ge=1)
    """Width of the factors of sessions and items."""
    regularization: float = Field(0.001, ge=0)
    """Weight of the squared factors and biases in the loss."""
    training: BPRTraining = BPRTraining()
    """Training parameters."""

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
    """Matrix factorisation of sessions and items, trained on pairs of items; ignores the order of events.

    Training samples triples of a session s, one of its items i and an item j of any event, and maximises
    ``ln sigma(r_si - r_sj)`` with ``r_si = <x_s, y_i> + b_i``; an item j of the session is skipped. ``train_auc`` is
    the share of an epoch's triples that were ranked correctly when they were sampled; it is not the AUC of the lists.

    The current session is folded in as the mean of the factors of its events:

        score(j) = scale x <mean of y_i, y_j> + b_j

    Source: Rendle et al. 2009 (UAI), trained by implicit in one thread, since several make fits differ. Where
    we differ: negatives come by popularity, as in implicit; and ``scale`` stretches the means to the length that
    training gave to the factors of its own sessions (by least squares), since the biases were learnt with those.
    With other negatives (``n_samples``, ``alpha``, ``candidate_num``), the updates are the same, an epoch takes each
    pair once, and a j in the session is sampled again; ``alpha=0`` is the paper's uniform distribution.
    """

    name = "bpr"
    paper = "Rendle et al. 2009, UAI"
    Config = BPRConfig
    config: BPRConfig
    array_names = ("item_factors", "item_biases", "scale")

    item_biases: Float32[np.ndarray, "N+1"]
    """Biases b."""
    scale: Float32[np.ndarray, "1"]
    """Norm of the factors of training sessions, relative to the norm of the mean factors of their items."""

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        config, plan = self.config, self.config.training
        matrix = training_matrix(train, np.ones(len(train.items), dtype=np.float32))
        aucs: list[float] = []
        course = Course(runtime, valid)
        trainer, n_triples = self._trainer(generator(seed, self.name)), matrix.nnz * plan.n_samples
        with runtime.progress.task(self.name, plan.epochs) as task:

            def as_it_is() -> BPR:
                arrays = _arrays(with_padding(trainer.item_factors), trainer.user_factors, matrix, train)
                return BPR(config).restore(arrays, train.vocabulary)

            def watch(epoch: int, seconds: float, correct: int, skipped: int) -> None:
                aucs.append(correct / max(1, n_triples - skipped))
                task.advance(1, f"train_auc {aucs[-1]:.1%}  skipped {skipped / n_triples:.1%}")
                checked = len(aucs) % plan.check_epochs == 0 or len(aucs) == plan.epochs
                model = as_it_is if checked else None
                course.end_pass(seconds, aucs[-1], skipped=skipped / n_triples, model=model)
                if _converged(aucs, plan):
                    raise Converged

            factors = train_factors(trainer, matrix, watch)
        self.notes = tuple(_remarks(aucs, plan, standing(aucs[-1], train)))
        self.diagnostics = course.diagnostics()
        self.restore(_arrays(factors, trainer.user_factors, matrix, train), train.vocabulary)

    def _trainer(self, rng: np.random.Generator) -> ImplicitModel:
        """Return implicit's trainer, or segue's for negatives that it does not sample."""
        config, plan = self.config, self.config.training
        sizes: dict[str, Any] = {
            "factors": config.embedding_size,
            "learning_rate": plan.learning_rate,
            "regularization": config.regularization,
            "iterations": plan.epochs,
        }
        draws: dict[str, Any] = {"n_samples": plan.n_samples, "alpha": plan.alpha, "candidate_num": plan.candidate_num}
        if any(value != 1 for value in draws.values()):
            return PairwiseRanking(**sizes, **draws, rng=rng)
        implicit = import_extra("implicit.cpu.bpr", self.name, "mf")
        trainer: ImplicitModel = implicit.BayesianPersonalizedRanking(**sizes, num_threads=1, random_state=rng)
        return trainer

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

    def array_sizes(self) -> dict[str, int]:
        """Return N and D."""
        return {**super().array_sizes(), "D": self.config.embedding_size}

    def _states(self, prefixes: Prefixes) -> Float32[Tensor, "B D"]:
        counts = count_matrix(prefixes, len(self.vocabulary))
        return torch.from_numpy(self.scale * _means(counts, prefixes.lengths, self.item_factors))

    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> list[list[Part]]:
        """Return the factors of each event times those of the item, and the bias; see ``Model._parts``."""
        session = prefixes.items[prefixes.starts[0] : prefixes.ends[0]]
        factors = self.item_factors.astype(np.float64)
        values = factors[items] @ factors[session].T * float(self.scale[0]) / len(session)
        return [
            [
                *(
                    Part("event", "the event's factors", value, (), (place,))
                    for place, value in enumerate(row.tolist())
                ),
                Part("bias", "bias of the item", float(self.item_biases[item])),
            ]
            for item, row in zip(items, values, strict=True)
        ]

    def _table(self) -> tuple[Float32[Tensor, "M D"], Float32[Tensor, "M"]]:
        return self._output


def _arrays(
    items: Float32[np.ndarray, "N+1 K"], sessions: Float32[np.ndarray, "s K"], matrix: csr_matrix, train: Sessions
) -> dict[str, np.ndarray]:
    """Return the arrays of a model with these factors, whose last column is the bias."""
    factors, recent = np.ascontiguousarray(items[:, :-1]), slice(-_SCALE_SESSIONS, None)
    means = _means(matrix[recent], train.lengths[recent], factors[1:])
    scale = (sessions[recent, :-1] * means).sum() / max((means * means).sum(), np.finfo(np.float32).tiny)
    return {"item_factors": factors, "item_biases": items[:, -1].copy(), "scale": np.array([scale], dtype=np.float32)}


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


def _remarks(aucs: list[float], plan: BPRTraining, standing: str) -> Iterator[str]:
    advice = next(advice for least, advice in _ADVICE if aucs[-1] >= least)
    yield f"{standing} after {len(aucs)} epochs: {advice}"
    if plan.min_gain is not None and not _converged(aucs, plan):
        yield f"train_auc still rose when the {plan.epochs} epochs were used up: a higher training.epochs may give more"
