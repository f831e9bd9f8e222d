"""The objectives of the training loop: the loss of each step, computed from its batch and negatives."""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32, Int64, Shaped
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.next_item import NextItemBatch, NextItemBatches
from segue.data.vocabulary import PADDING
from segue.nn.encoders.base import PositionwiseEncoder, SequenceEncoder
from segue.nn.losses.functions import lambda_rank, list_net
from segue.nn.losses.sampled import LossInput, StepLoss
from segue.nn.losses.softmax import ProductPrecision, soft_cross_entropy
from segue.nn.negatives import Negatives
from segue.nn.sampling import NegativeSampler
from segue.training.checkpoint import require_like
from segue.training.config import Distillation
from segue.training.parallel import WHOLE, Part
from segue.training.runtime import Runtime
from segue.training.soft_labels import SoftLabels
from segue.transfer import to_device

ListLoss = Callable[[Float[Tensor, "T M"], Float[Tensor, "T M"], Bool[Tensor, "T M"]], Float[Tensor, "T"]]

_LIST_LOSSES: Mapping[str, ListLoss] = {"listnet": list_net, "lambdarank": lambda_rank}


@runtime_checkable
class Objective(Protocol):
    """A training objective: a module and the loss of each step."""

    @property
    def module(self) -> nn.Module:
        """The parameters to learn."""

    def begin_epoch(self, epoch: int) -> int:
        """Lay out the batches of an epoch, as a pure function of seed and epoch; return the number of steps."""

    def loss(self, step: int, part: Part = WHOLE) -> Tensor | None:
        """Return what a micro-batch adds to the loss of a step of the epoch that was begun; None if it is empty.

        The parts of a step add up to its loss. Negatives are those of the whole step.
        """

    def carried(self) -> Mapping[str, Tensor]:
        """Return the state that is carried from step to step in an epoch (hidden states), by name.

        All processes of a training call it together.
        """

    def restore_carried(self, carried: Mapping[str, Tensor], step: int) -> None:
        """Take back what ``carried`` returned after a number of steps.

        Raises:
            ValueError: it is something else.
        """


@runtime_checkable
class Annealed(Protocol):
    """A module that changes in the course of its training, as a temperature that falls."""

    def anneal(self, progress: float) -> None:
        """Change, as a pure function of the share of the training that is done; called before each step."""


@runtime_checkable
class AuxiliaryLoss(Protocol):
    """A second loss of a step, next to that of the labels or in its place."""

    def fingerprint(self) -> str:
        """Return a hash of all that the loss depends on."""

    def label_weights(self, events: Int64[Tensor, "T"]) -> Float[Tensor, "T"]:
        """Return the weight that is left for the label of each row; all zero if labels are not used."""

    def loss(
        self, states: Float[Tensor, "T D"], events: Int64[Tensor, "T"], table: Float[Tensor, "M W"]
    ) -> Float[Tensor, ""]:
        """Return the loss.

        Args:
            states: output of the network at each row.
            events: position of each row's target in the training sessions.
            table: output embedding, and bias where W = D + 1, of every item.
        """


class DistillationLoss:
    """Cross-entropy against a teacher's soft labels, at the events that have some.

    Args:
        labels: the soft labels.
        plan: their weight next to the label, and their temperature.
        precision: precision of the matrix products.
    """

    def __init__(self, labels: SoftLabels, plan: Distillation, precision: ProductPrecision) -> None:
        self._labels = labels
        self._weight = plan.weight
        self._temperature = plan.temperature
        self._precision: ProductPrecision = precision

    def fingerprint(self) -> str:
        """Return a hash of labels, weight and temperature."""
        return f"{self._labels.fingerprint()} {self._weight} {self._temperature}"

    def label_weights(self, events: Int64[Tensor, "T"]) -> Float[Tensor, "T"]:
        """Return the weight that is left for the label of each row."""
        labelled = self._labels.rows[events.numpy()] >= 0
        return torch.from_numpy(np.where(labelled, 1.0 - self._weight, 1.0).astype(np.float32))

    def loss(
        self, states: Float[Tensor, "T D"], events: Int64[Tensor, "T"], table: Float[Tensor, "M W"]
    ) -> Float[Tensor, ""]:
        """Return the loss against the soft labels, summed with ``weight`` per row and divided by the number of rows."""
        rows = self._labels.rows[events.numpy()]
        labelled = to_device(torch.from_numpy(np.flatnonzero(rows >= 0)), states.device)
        chosen = rows[rows >= 0]
        return soft_cross_entropy(
            states[labelled],
            table,
            to_device(torch.from_numpy(self._labels.items[chosen].astype(np.int64)), states.device),
            to_device(torch.from_numpy(self._labels.shares[chosen]), states.device),
            states.new_full((len(labelled),), self._weight / len(states)),
            temperature=self._temperature,
            precision=self._precision,
        )


class ListwiseLoss:
    """A loss over retrieved lists: the item that followed should rank above all that were retrieved.

    Args:
        rows: for each event of the training sessions its row below.
        retrieved: the items that were retrieved before it, padded with 0.
        items: item index of each event.
        loss: name of the loss.
    """

    def __init__(
        self,
        rows: Int64[np.ndarray, "n"],
        retrieved: Int32[np.ndarray, "R K"],
        items: Int32[np.ndarray, "n"],
        loss: str,
    ) -> None:
        self._rows = rows
        self._retrieved = retrieved
        self._items = items
        self._loss = loss

    def fingerprint(self) -> str:
        """Return a hash of the lists and the loss."""
        return f"{hashlib.sha256(self._retrieved.tobytes()).hexdigest()} {self._loss}"

    def label_weights(self, events: Int64[Tensor, "T"]) -> Float[Tensor, "T"]:
        """Return zeros: the label is in the list."""
        return torch.zeros(len(events))

    def loss(
        self, states: Float[Tensor, "T D"], events: Int64[Tensor, "T"], table: Float[Tensor, "M W"]
    ) -> Float[Tensor, ""]:
        """Return the mean loss of the lists; see ``AuxiliaryLoss``."""
        retrieved = self._retrieved[self._rows[events.numpy()]]
        targets = self._items[events.numpy()][:, None]
        lists = to_device(torch.from_numpy(np.concatenate((targets, retrieved), axis=1)), states.device)
        relevance = functional.pad(states.new_ones(len(lists), 1), (0, retrieved.shape[1]))
        mask = ((lists != lists[:, :1]) & (lists != PADDING)) | (relevance > 0)
        rows, width = functional.embedding(lists, table), states.shape[1]
        scores = (rows[:, :, :width] @ states.unsqueeze(2)).squeeze(2) + rows[:, :, width:].sum(2)
        return _LIST_LOSSES[self._loss](scores, relevance, mask).mean()


class _Drawn(NamedTuple):
    """A step, with all that is drawn for it at random besides dropout."""

    step: int
    batch: NextItemBatch
    negatives: Negatives | None


class NextItemObjective:
    """Predicts items with a sequence encoder, at positions of a window or after its last event.

    Args:
        network: the network to train.
        batches: windows and targets.
        loss: the loss of a step.
        negatives: samples the negatives of a step; None for a loss without negatives.
        runtime: device and precision.
        auxiliary: a second loss, or None.
        upcoming: encoded features of each event of the training sessions that are known before it is predicted.
    """

    def __init__(
        self,
        network: SequenceEncoder,
        batches: NextItemBatches,
        loss: StepLoss,
        negatives: NegativeSampler | None,
        runtime: Runtime,
        auxiliary: AuxiliaryLoss | None = None,
        upcoming: Mapping[str, Shaped[np.ndarray, "n"]] | None = None,
    ) -> None:
        self.module = network
        self._batches = batches
        self._upcoming = {name: torch.tensor(values) for name, values in (upcoming or {}).items()}
        self._loss = loss
        self._negatives = negatives
        self._auxiliary = auxiliary
        self._device = runtime.torch_device()
        self._autocast = runtime.autocast()
        self._epoch = 0
        self._drawn: _Drawn | None = None

    def begin_epoch(self, epoch: int) -> int:
        """Lay out the batches; return the number of steps."""
        self._epoch, self._drawn = epoch, None
        return self._batches.begin_epoch(epoch)

    def loss(self, step: int, part: Part = WHOLE) -> Tensor | None:
        """Return the mean loss of the targets of a step, or the share that a part of its examples has in it."""
        if self._drawn is None or self._drawn.step != step:
            self._drawn = self._draw(step)
        batch, negatives = self._drawn.batch, self._drawn.negatives
        if part.count == 1:
            return self._mean_loss(batch, negatives)
        examples, n_targets = part.of(len(batch.window)), len(batch.targets)
        targets = batch.targets_of(examples)
        if targets.start == targets.stop:
            return None
        if negatives is not None:
            negatives = negatives.part(targets, n_targets)
        share = (targets.stop - targets.start) / n_targets
        loss: Tensor = self._mean_loss(batch.part(examples), negatives) * share
        return loss

    def _draw(self, step: int) -> "_Drawn":
        batch, negatives = self._batches.batch(step), None
        if self._negatives is not None:
            negatives = self._negatives.draw(batch.targets.numpy(), self._epoch, step)
        return _Drawn(step, batch, negatives)

    def _mean_loss(self, batch: NextItemBatch, negatives: Negatives | None) -> Tensor:
        window, weights, rows = batch.window.to(self._device), None, None
        with self._autocast:
            if batch.positions is None:
                states = self.module.last(window)
            else:
                assert isinstance(self.module, PositionwiseEncoder)
                states = self.module.states(window).flatten(0, 1)[to_device(batch.positions, self._device)]
        states = self.module.scaled(states.float())
        if self._upcoming:
            states = states + self.module.ahead({name: one[batch.events] for name, one in self._upcoming.items()})
        if self._auxiliary is not None:
            auxiliary = self._auxiliary.loss(states, batch.events, self.module.table())
            weights = self._auxiliary.label_weights(batch.events)
            if not weights.any():
                return auxiliary
            weights = to_device(weights, self._device)
        if negatives is not None:
            negatives = negatives.to(self._device)
            rows = self.module.rows(negatives.ids)
        targets = to_device(batch.targets, self._device)
        loss = self._loss(LossInput(states, targets, self.module, negatives, rows, weights))
        return loss if weights is None else auxiliary + weights.mean() * loss

    def carried(self) -> Mapping[str, Tensor]:
        """Return nothing: no state goes from step to step."""
        return {}

    def restore_carried(self, carried: Mapping[str, Tensor], step: int) -> None:
        """Refuse a state; see ``Objective.restore_carried``."""
        require_like(carried, {}, "carried")
