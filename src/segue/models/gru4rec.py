"""GRU4Rec: recurrent layers trained on session-parallel mini-batches with sampled losses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64
from pydantic import Field
from torch import Tensor

from segue.data.batches import LaneBatch, SessionParallel
from segue.data.indices import item_indices, whole_number
from segue.data.sessions import Sessions
from segue.errors import ParameterError
from segue.models.neural import NeuralConfig, NeuralModel
from segue.models.requests import Allowed, Excluded, item_filters
from segue.models.state import ModelConfig
from segue.nn.encoders.cells import State
from segue.nn.encoders.recurrent import GRU4RecEncoder
from segue.nn.losses.functions import make_loss
from segue.nn.losses.session_parallel import SampledLoss
from segue.nn.sampling.samplers import PopularitySampler
from segue.spaces import Around, Range
from segue.training.config import TrainingConfig
from segue.training.optimizers import RowAdagrad
from segue.training.runtime import Runtime


class GRU4RecTraining(TrainingConfig):
    """How GRU4Rec is trained."""

    epochs: int = Field(10, ge=1)
    """Most passes over the training data."""
    batch_size: int = Field(64, ge=1)
    """Lanes: sessions that are walked through side by side."""
    learning_rate: float = Field(0.05, gt=0)
    """Step size of Adagrad."""
    momentum: float = Field(0.0, ge=0, lt=1)
    """Share of a parameter's last step that is added to its next one."""
    loss: Literal["cross-entropy", "bpr", "top1", "top1-max", "bpr-max"] = "cross-entropy"
    """What is minimised."""
    n_samples: int = Field(2048, ge=0)
    """Negatives drawn per step, on top of the other lanes' targets; shared by all lanes."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Negatives are drawn by support ** alpha: 0 is uniform, 1 is popularity."""
    logq: float = Field(1.0, ge=0)
    """Strength of the logQ correction of the cross-entropy: 1 is all of it, 0 none; other losses have none."""
    accidental_hits: Literal["reject", "keep"] = "reject"
    """What becomes of a negative that is the target itself; the authors' code keeps it."""
    activation: Literal["linear", "elu", "tanh"] = "linear"
    """Final activation of the scores in training; the authors use elu with BPR-max."""
    elu: float = Field(0.5, gt=0)
    """Weight of the negative part of the activation elu."""
    bpreg: float = Field(1.0, ge=0)
    """Weight of BPR-max's score regularisation."""


class GRU4RecConfig(NeuralConfig):
    """Parameters of GRU4Rec."""

    hidden_size: int = Field(100, ge=1)
    """Units of each recurrent layer."""
    layers: int = Field(1, ge=1)
    """Recurrent layers."""
    cell: Literal["gru", "lstm"] = "gru"
    """Kind of recurrent cell."""
    embedding: Literal["shared", "separate", "one-hot"] = "shared"
    """Input: embeddings shared with the output, embeddings of its own, or one-hot items."""
    embedding_size: int = Field(100, ge=1)
    """Width of a separate input embedding."""
    dropout_embedding: float = Field(0.0, ge=0, lt=1)
    """Share of the embedded input that is dropped in training."""
    dropout_hidden: float = Field(0.0, ge=0, lt=1)
    """Share of each layer's output that is dropped in training."""
    training: GRU4RecTraining = GRU4RecTraining()
    """How it is trained."""

    presets = {
        "authors": {"training": {"accidental_hits": "keep"}},
        "recbole": {
            "embedding": "separate",
            "embedding_size": 64,
            "hidden_size": 128,
            "dropout_embedding": 0.3,
            "training": {"loss": "cross-entropy"},
        },
    }

    search = {
        **NeuralConfig.search,
        "hidden_size": Range(50, 400, log=True),
        "dropout_embedding": Range(0.0, 0.5),
        "dropout_hidden": Range(0.0, 0.7),
        "training.momentum": Range(0.0, 0.9),
        "training.n_samples": Around(4),
        "training.alpha": Range(0.0, 1.0),
        "training.logq": Range(0.0, 1.0),
    }


class GRU4Rec(NeuralModel):
    """Recurrent network over the running session, the state carried from event to event.

    With the preset ``authors`` a training step is that of their PyTorch code, but for two details: with momentum, the
    bias of an item moves on whenever its row is in use, also as a shared input; and when the last sessions leave the
    batch smaller, the logQ correction still takes only the targets for in-batch items.
    """

    name = "gru4rec"
    paper = "Hidasi et al. 2016, arXiv 1511.06939; Hidasi and Karatzoglou 2018, arXiv 1706.03847"
    Config = GRU4RecConfig
    config: GRU4RecConfig
    network: GRU4RecEncoder

    def __init__(self, config: ModelConfig | None = None, *, preset: str | None = None, **parameters: object) -> None:
        super().__init__(config, preset=preset, **parameters)
        mistakes = [f"{self.name}.training.{mistake}" for mistake in _misfits(self.config.training)]
        if mistakes:
            raise ParameterError("\n".join(mistakes))

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

    def top_k_of_state(
        self, state: "GRUState", k: int, *, allowed: Allowed | None = None, exclude: Excluded | None = None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items of each session; see ``Stateful``."""
        k = whole_number(k, "k", "must be at least 1", 1)
        mask, excluded = item_filters(self.vocabulary, len(state.output), allowed, exclude)
        with torch.inference_mode():
            return self._list(state.output, k, mask, excluded)

    def objective(self, train: Sessions, seed: int, runtime: Runtime) -> "SessionParallelObjective":
        """Return the sampled loss over session-parallel batches."""
        plan, support = self.config.training, train.vocabulary.support
        sampler = PopularitySampler(support, plan.alpha, plan.n_samples, seed) if plan.n_samples else None
        loss = SampledLoss(
            make_loss(plan.loss, activation=plan.activation, elu=plan.elu, regularisation=plan.bpreg),
            sampler,
            support,
            logq=plan.logq,
            reject_hits=plan.accidental_hits == "reject",
        )
        lanes = SessionParallel(train, plan.batch_size, least=1 if plan.n_samples else 2)
        return SessionParallelObjective(self.network, lanes, loss, runtime)

    def optimizer(self) -> RowAdagrad:
        """Return Adagrad on the rows in use."""
        plan = self.config.training
        return RowAdagrad(self.network.parameters(), plan.learning_rate, plan.momentum)


@dataclass(frozen=True, eq=False)
class GRUState:
    """Where sessions stand after their last event.

    Attributes:
        output: output of the last layer, zero before the first event.
        carried: the states of all layers.
    """

    output: Float32[Tensor, "B H"]
    carried: tuple[Tensor, ...]


def _misfits(plan: GRU4RecTraining) -> Iterator[str]:
    if plan.n_samples == 0 and plan.batch_size == 1:
        yield "batch_size: must be at least 2 with n_samples 0, got 1: the other lanes' targets are the negatives"
    if plan.loss == "cross-entropy" and plan.activation != "linear":
        yield (
            f"activation: must be 'linear' with the loss 'cross-entropy', got '{plan.activation}': a softmax over "
            "bounded scores learns little, and logq corrects the scores themselves"
        )
    if plan.loss != "cross-entropy" and plan.logq != type(plan)().logq:
        yield f"logq: must be {type(plan)().logq} with the loss '{plan.loss}', got {plan.logq:g}: it corrects a softmax"


class SessionParallelObjective:
    """One step: every lane's state takes an event, and what follows is compared with the negatives.

    The state is carried over to the next step but no gradient is; a lane that starts a session starts from zero.

    Args:
        network: what is trained.
        lanes: the batches.
        loss: the loss of the lanes' outputs.
        runtime: device and precision.
    """

    def __init__(self, network: GRU4RecEncoder, lanes: SessionParallel, loss: SampledLoss, runtime: Runtime) -> None:
        self.module = network
        self._lanes = lanes
        self._loss = loss
        self._autocast = runtime.autocast()
        self._epoch = 0
        self._state: State = []

    def begin_epoch(self, epoch: int) -> int:
        """Start all lanes from zero; return the number of steps."""
        self._epoch = epoch
        self._state = self.module.initial_state(self._lanes.n_lanes)
        return self._lanes.n_steps

    def loss(self, step: int) -> Tensor:
        """Return the summed loss of the lanes, divided by their number at the start of the epoch."""
        batch, device = self._lanes.batch(step), self._state[0].device
        candidates = self._loss.draw(batch.targets, self._epoch, step, device)
        inputs, rows = self.module.lookup(torch.from_numpy(batch.inputs).to(device), candidates.ids)
        with self._autocast:
            output, state = self.module.step(inputs, self._carry_over(batch))
        self._state = [part.detach() for part in state]
        return self._loss(output.float(), rows, candidates).sum() / self._lanes.n_lanes

    def _carry_over(self, batch: LaneBatch) -> State:
        state = self._state
        if batch.kept is not None:
            kept = torch.from_numpy(batch.kept).to(state[0].device)
            state = [part[kept] for part in state]
        if batch.fresh.any():
            going_on = torch.from_numpy(~batch.fresh).to(state[0].device)
            state = [part * going_on.unsqueeze(1) for part in state]
        return state

    def carried(self) -> dict[str, Tensor]:
        """Return the states of the lanes."""
        return {str(index): part for index, part in enumerate(self._state)}

    def restore_carried(self, carried: Mapping[str, Tensor]) -> None:
        """Take back what ``carried`` returned."""
        self._state = [carried[str(index)].to(part) for index, part in enumerate(self._state)]
