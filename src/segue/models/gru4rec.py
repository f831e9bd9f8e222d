"""GRU4Rec: recurrent layers trained on session-parallel mini-batches, with sampled losses or over all items."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from segue.data.batches.session_parallel import SessionParallel
from segue.data.indices import item_indices, whole_number
from segue.data.sessions import Sessions
from segue.errors import ParameterError
from segue.models.neural import NeuralConfig, NeuralModel
from segue.models.persistence import ModelConfig
from segue.models.requests import Allowed, Excluded, item_filters
from segue.nn.encoders.recurrent import GRU4RecEncoder
from segue.nn.losses.config import (
    AccidentalHitsMixin,
    LabelSmoothingMixin,
    LogQMixin,
    LossConfig,
    SampledLoss,
    by_name,
)
from segue.nn.losses.functions import LOSSES, ScoreLoss, activated, bpr_max
from segue.nn.losses.sampled import StepLoss, full_session_parallel, session_parallel
from segue.nn.losses.softmax import ProductPrecision
from segue.nn.sampling import SessionParallelNegatives
from segue.parameters import KIND
from segue.spaces import Around, Range
from segue.training.config import TrainingConfig
from segue.training.optimizers import RowAdagrad
from segue.training.runtime import Runtime
from segue.training.session_parallel import SessionParallelObjective


class LaneLossConfig(AccidentalHitsMixin, SampledLoss):
    """A loss against the targets of all parallel sessions and sampled items."""

    def negatives(self, support: Int[np.ndarray, "M"], seed: int) -> SessionParallelNegatives:
        """Return the negative sampler."""
        return SessionParallelNegatives(self.sampler(support, seed), support, reject_hits=self.reject_hits)

    @property
    def min_lanes(self) -> int:
        """Lanes that a step needs: the targets of the others are the only negatives where none are drawn."""
        return 1 if self.n_samples else 2


class LaneCrossEntropy(LabelSmoothingMixin, LogQMixin, LaneLossConfig):
    """Softmax cross-entropy against the negatives of a step."""

    kind: Literal["cross-entropy"] = "cross-entropy"

    def loss(self, n_items: int, precision: ProductPrecision) -> StepLoss:
        """Return the loss of a step."""
        return partial(session_parallel, logq=self.logq, label_smoothing=self.label_smoothing)


class LaneRanking(LaneLossConfig):
    """A loss on the scores of the target and of each negative."""

    kind: Literal["bpr", "top1", "top1-max"]
    activation: Literal["linear", "elu", "tanh"] = "linear"
    """Activation of the scores in training; the authors use elu with BPR-max."""
    elu: float = Field(0.5, gt=0)
    """Weight of the negative part of the activation elu."""

    def loss(self, n_items: int, precision: ProductPrecision) -> StepLoss:
        """Return the loss of a step."""
        return partial(session_parallel, loss=activated(self.score_loss(), self.activation, self.elu))

    def score_loss(self) -> ScoreLoss:
        """Return the loss on scores."""
        return LOSSES[self.kind]


class LaneBPRMax(LaneRanking):
    """BPR-max."""

    kind: Literal["bpr-max"] = "bpr-max"  # type: ignore[assignment]
    bpreg: float = Field(1.0, ge=0)
    """Weight of BPR-max's score regularisation."""

    def score_loss(self) -> ScoreLoss:
        """Return the loss on scores."""
        return partial(bpr_max, regularisation=self.bpreg)


class LaneFullCrossEntropy(LabelSmoothingMixin, LossConfig):
    """Softmax cross-entropy over all items, in chunks of items."""

    kind: Literal["full-cross-entropy"] = "full-cross-entropy"

    def loss(self, n_items: int, precision: ProductPrecision) -> StepLoss:
        """Return the loss of a step."""
        return partial(full_session_parallel, label_smoothing=self.label_smoothing)

    @property
    def min_lanes(self) -> int:
        """Lanes that a step needs."""
        return 1


LaneLoss = Annotated[
    LaneCrossEntropy | LaneFullCrossEntropy | LaneRanking | LaneBPRMax,
    Field(discriminator=KIND),
    BeforeValidator(by_name),
]
"""Any loss of GRU4Rec; a bare name stands for the loss with its defaults."""


class GRU4RecTraining(TrainingConfig):
    """How GRU4Rec is trained."""

    epochs: int = Field(10, ge=1)
    """Maximum number of epochs."""
    batch_size: int = Field(64, ge=1)
    """Number of sessions processed in parallel, one event of each per step."""
    learning_rate: float = Field(0.05, gt=0)
    """Step size of the optimiser, before the schedule."""
    optimizer: Literal["adagrad", "adamw", "mixed"] = "adagrad"
    """adagrad (sparse updates of the items in use); adamw (Adam, which moves all items; use a learning_rate near
    0.001); or mixed (Adagrad for the item tables, AdamW for all else)."""
    momentum: float = Field(0.0, ge=0, lt=1)
    """Share of a parameter's last step that Adagrad adds to its next one."""
    loss: LaneLoss = LaneCrossEntropy(n_samples=2048)
    """Name of the loss. If you switch losses, parameters that both losses share keep their values."""


class GRU4RecConfig(NeuralConfig):
    """Parameters of GRU4Rec."""

    hidden_size: int = Field(100, ge=1)
    """Number of units of each recurrent layer."""
    layers: int = Field(1, ge=1, le=100)
    """Number of recurrent layers."""
    cell: Literal["gru", "lstm"] = "gru"
    """Type of recurrent cell."""
    embedding: Literal["shared", "separate", "one-hot"] = "shared"
    """Input: the output embeddings (shared), separate embeddings, or one-hot vectors."""
    embedding_size: int = Field(100, ge=1)
    """Width of the input embeddings; used with embedding=separate."""
    dropout_embedding: float = Field(0.0, ge=0, lt=1)
    """Dropout rate of the embedded input."""
    dropout_hidden: float = Field(0.0, ge=0, lt=1)
    """Dropout rate of each layer's output."""
    training: GRU4RecTraining = GRU4RecTraining()
    """Training parameters."""

    presets = {
        "sessions": {"dropout_hidden": 0.2, "training": {"batch_size": 128, "learning_rate": 0.07, "epochs": 5}},
        "beauty": {
            "hidden_size": 128,
            "dropout_embedding": 0.5,
            "training": {"learning_rate": 0.1, "schedule": "linear", "patience": None, "metric": "ndcg@10"},
        },
        "ml-1m": {
            "hidden_size": 256,
            "training": {
                "epochs": 5,
                "patience": None,
                "schedule": "linear",
                "metric": "ndcg@10",
            },
        },
        "authors": {"training": {"loss": {"accidental_hits": "keep"}}},
        "recbole": {
            "embedding": "separate",
            "embedding_size": 64,
            "hidden_size": 128,
            "dropout_embedding": 0.3,
            "training": {"loss": "cross-entropy"},
        },
        "movielens": {
            "embedding": "one-hot",
            "dropout_embedding": 0.25,
            "training": {"learning_rate": 0.001, "optimizer": "adamw", "loss": "full-cross-entropy"},
        },
    }

    search = {
        **NeuralConfig.search,
        "hidden_size": Range(50, 400, log=True),
        "dropout_embedding": Range(0.0, 0.5),
        "dropout_hidden": Range(0.0, 0.7),
        "training.momentum": Range(0.0, 0.9),
        "training.loss.n_samples": Around(4),
        "training.loss.alpha": Range(0.0, 1.0),
        "training.loss.logq": Range(0.0, 1.0),
        "training.loss.label_smoothing": Range(0.0, 0.4),
    }


class GRU4Rec(NeuralModel):
    """Recurrent network over the current session; carries its state from event to event.

    With the preset ``authors``, a training step equals that of their PyTorch code, with two exceptions. With momentum,
    the bias of an item is updated whenever its row is used, including as a shared input. When the batch becomes smaller
    at the end of an epoch, the logQ correction treats only the remaining targets as in-batch items.
    """

    name = "gru4rec"
    paper = "Hidasi et al. 2016, arXiv 1511.06939; Hidasi and Karatzoglou 2018, arXiv 1706.03847"
    Config = GRU4RecConfig
    config: GRU4RecConfig
    network: GRU4RecEncoder

    def __init__(self, config: ModelConfig | None = None, *, preset: str | None = None, **parameters: object) -> None:
        super().__init__(config, preset=preset, **parameters)
        plan = self.config.training
        if plan.batch_size < plan.loss.min_lanes:
            raise ParameterError(
                f"{self.name}.training.batch_size: must be at least 2 with loss.n_samples 0, got 1: the negatives are "
                "the targets of the other sessions in the batch"
            )

    def config_problems(self) -> Iterator[str]:
        """Yield what is wrong with the training section; see ``NeuralModel.config_problems``."""
        yield from super().config_problems()
        plan = self.config.training
        if plan.optimizer == "adamw" and plan.momentum > 0:
            yield (
                f"momentum: must be 0 with the optimizer 'adamw', got {plan.momentum:g}: AdamW has a momentum of its "
                "own; use 'adagrad' or 'mixed'"
            )

    def build(self, n_items: int) -> GRU4RecEncoder:
        """Return a network with fresh weights."""
        return GRU4RecEncoder(
            n_items=n_items,
            hidden_size=self.config.hidden_size,
            layers=self.config.layers,
            cell=self.config.cell,
            embedding=self.config.embedding,
            embedding_size=self.config.embedding_size,
            dropout_embedding=self.config.dropout_embedding,
            dropout_hidden=self.config.dropout_hidden,
        )

    def initial_state(self, rows: int = 1) -> "GRUState":
        """Return the state of sessions without events; see ``Stateful``."""
        self._require_fitted()
        return GRUState(
            self.network.output.new_zeros(rows, self.config.hidden_size), tuple(self.network.initial_state(rows))
        )

    def step(self, state: "GRUState", items: Int[np.ndarray, "B"]) -> "GRUState":
        """Return the state after one more event of each session; see ``Stateful``.

        Raises:
            ParameterError: there is not one item index of the catalogue per session.
        """
        items = item_indices(items, "items", 1, (1, len(self.vocabulary)))
        if len(items) != len(state.output):
            raise ParameterError(f"items: must be one item index per session, {len(state.output)}, got {len(items)}")
        with torch.no_grad():
            output, carried = self.network.read(items, list(state.carried))
        return GRUState(output, tuple(carried))

    def join(self, states: "Sequence[GRUState]") -> "GRUState":
        """Return one state of all sessions of several states; see ``Stateful``."""
        if len(states) == 1:
            return states[0]
        carried = tuple(torch.cat(parts) for parts in zip(*(state.carried for state in states), strict=True))
        return GRUState(torch.cat([state.output for state in states]), carried)

    def split(self, state: "GRUState") -> "list[GRUState]":
        """Return a state of each session alone, in memory of its own; see ``Stateful``."""
        if len(state.output) == 1:
            return [state]
        rows = zip(*(one.chunk(len(one)) for one in (state.output, *state.carried)), strict=True)
        return [GRUState(output.clone(), tuple(one.clone() for one in carried)) for output, *carried in rows]

    def top_k_of_state(
        self, state: "GRUState", k: int, *, allowed: Allowed | None = None, exclude: Excluded | None = None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items of each session; see ``Stateful``."""
        k = whole_number(k, "k", "must be at least 1", 1)
        mask, excluded = item_filters(self.vocabulary, len(state.output), allowed, exclude)
        with torch.inference_mode():
            return self._list(state.output, k, mask, excluded)

    def objective(self, train: Sessions, seed: int, runtime: Runtime) -> SessionParallelObjective:
        """Return the loss over session-parallel batches."""
        plan, section = self.config.training, self.config.training.loss
        lanes = SessionParallel(train, plan.batch_size, min_lanes=section.min_lanes)
        loss = section.loss(len(train.vocabulary), runtime.product_precision())
        negatives = section.negatives(train.vocabulary.support, seed)
        return SessionParallelObjective(self.network, lanes, loss, negatives, runtime)

    def adagrad(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> RowAdagrad:
        """Return Adagrad with momentum."""
        return RowAdagrad(parameters, learning_rate, self.config.training.momentum)


@dataclass(frozen=True, eq=False)
class GRUState:
    """State of sessions after their last event.

    Attributes:
        output: output of the last layer, zero before the first event.
        carried: the states of all layers.
    """

    output: Float32[Tensor, "B H"]
    carried: tuple[Tensor, ...]
