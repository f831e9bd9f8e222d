"""The objective of sequence encoders: predict an item, at positions of a window or after its last event."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from segue.data.batches import NextItemBatches
from segue.nn.encoders.base import PositionwiseEncoder, SequenceEncoder
from segue.nn.losses.catalogue import CatalogueLoss
from segue.nn.losses.shared_softmax import Precision
from segue.nn.losses.soft import soft_cross_entropy
from segue.training.config import Distillation
from segue.training.runtime import Runtime
from segue.training.soft_labels import Answers


@runtime_checkable
class Lesson(Protocol):
    """A second target of a step, beside the labels or in their place."""

    def fingerprint(self) -> str:
        """Return a hash of all that the lesson says."""

    def label_weights(self, events: Int64[Tensor, "T"]) -> Float[Tensor, "T"]:
        """Return the weight that is left for the label of each row; all zero where labels take no part."""

    def loss(
        self, states: Float[Tensor, "T D"], events: Int64[Tensor, "T"], table: Float[Tensor, "M W"]
    ) -> Float[Tensor, ""]:
        """Return the loss of the lesson.

        Args:
            states: what the network says at each row.
            events: where in the training sessions the target of each row stands.
            table: what the states are compared with.
        """


class SoftLesson:
    """What a teacher thinks, at the events where it has an opinion.

    Args:
        answers: the teacher's soft labels.
        plan: their weight beside the label, and how much they were softened.
        precision: precision of the matrix products.
    """

    def __init__(self, answers: Answers, plan: Distillation, precision: Precision) -> None:
        self._answers = answers
        self._weight = plan.weight
        self._temperature = plan.temperature
        self._precision: Precision = precision

    def fingerprint(self) -> str:
        """Return a hash of all that the lesson says."""
        return f"{self._answers.fingerprint()} {self._weight} {self._temperature}"

    def label_weights(self, events: Int64[Tensor, "T"]) -> Float[Tensor, "T"]:
        """Return the weight that is left for the label of each row."""
        taught = self._answers.rows[events.numpy()] >= 0
        return torch.from_numpy(np.where(taught, 1.0 - self._weight, 1.0).astype(np.float32))

    def loss(
        self, states: Float[Tensor, "T D"], events: Int64[Tensor, "T"], table: Float[Tensor, "M W"]
    ) -> Float[Tensor, ""]:
        """Return the loss against the soft labels, summed with ``weight`` per row and divided by the number of rows."""
        rows = self._answers.rows[events.numpy()]
        taught = torch.from_numpy(np.flatnonzero(rows >= 0)).to(states.device)
        chosen = rows[rows >= 0]
        return soft_cross_entropy(
            states[taught],
            table,
            torch.from_numpy(self._answers.items[chosen].astype(np.int64)).to(states.device),
            torch.from_numpy(self._answers.shares[chosen]).to(states.device),
            states.new_full((len(taught),), self._weight / len(states)),
            temperature=self._temperature,
            precision=self._precision,
        )


class NextItemObjective:
    """One step: the states of a batch of windows are compared with the catalogue.

    Args:
        network: what is trained.
        batches: windows and targets.
        loss: the loss of the states.
        runtime: device and precision.
        lesson: a second target, or None.
    """

    def __init__(
        self,
        network: SequenceEncoder,
        batches: NextItemBatches,
        loss: CatalogueLoss,
        runtime: Runtime,
        lesson: Lesson | None = None,
    ) -> None:
        self.module = network
        self._batches = batches
        self._loss = loss
        self._lesson = lesson
        self._device = runtime.torch_device()
        self._autocast = runtime.autocast()
        self._epoch = 0

    def begin_epoch(self, epoch: int) -> int:
        """Lay out the batches; return the number of steps."""
        self._epoch = epoch
        return self._batches.begin_epoch(epoch)

    def loss(self, step: int) -> Tensor:
        """Return the mean loss of the targets of a step."""
        batch = self._batches.batch(step)
        window, targets = batch.window.to(self._device), batch.targets.to(self._device)
        with self._autocast:
            if batch.positions is None:
                states = self.module.last(window)
            else:
                assert isinstance(self.module, PositionwiseEncoder)
                states = self.module.states(window).flatten(0, 1)[batch.positions.to(self._device)]
        states = states.float()
        if self._lesson is None:
            return self._loss(states, targets, self.module, self._epoch, step)
        taught = self._lesson.loss(states, batch.events, self.module.table())
        weights = self._lesson.label_weights(batch.events).to(self._device)
        if not weights.any():
            return taught
        return taught + weights.mean() * self._loss(states, targets, self.module, self._epoch, step, weights)

    def carried(self) -> Mapping[str, Tensor]:
        """Return nothing: no state goes from step to step."""
        return {}

    def restore_carried(self, carried: Mapping[str, Tensor]) -> None:
        """Take back nothing."""
