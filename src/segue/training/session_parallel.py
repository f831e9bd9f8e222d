"""What GRU4Rec minimises: the loss of each step of session-parallel lanes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from segue.data.batches.session_parallel import LaneBatch, SessionParallel
from segue.nn.encoders.cells import State
from segue.nn.encoders.recurrent import GRU4RecEncoder
from segue.nn.losses.sampled import LossInput, StepLoss
from segue.nn.negatives import Negatives
from segue.nn.sampling import NegativeSampler
from segue.training.checkpoint import require_like
from segue.training.parallel import WHOLE, Part
from segue.training.runtime import Runtime
from segue.transfer import to_device


class SessionParallelObjective:
    """One step: every lane's state takes an event, and what follows is compared with the negatives.

    The state is carried over to the next step but no gradient is; a lane that starts a session starts from zero. States
    are in fp32 on every device: the errors of bf16 would add up over a session, and products of this size gain nothing.

    Args:
        network: what is trained.
        lanes: the batches.
        loss: the loss of a step, summed over its lanes.
        negatives: samples the negatives of the parallel sessions; None for a loss over all items.
        runtime: device and precision.
    """

    def __init__(
        self,
        network: GRU4RecEncoder,
        lanes: SessionParallel,
        loss: StepLoss,
        negatives: NegativeSampler | None,
        runtime: Runtime,
    ) -> None:
        self.module = network
        self._lanes = lanes
        self._loss = loss
        self._negatives = negatives
        self._group = runtime.group
        self._epoch, self._step = 0, -1
        self._state: State = []
        self._drawn: Negatives | None = None

    def begin_epoch(self, epoch: int) -> int:
        """Start all lanes from zero; return the number of steps."""
        self._epoch, self._step = epoch, -1
        self._state = self.module.initial_state(self._lanes.n_lanes)
        return self._lanes.n_steps

    def loss(self, step: int, part: Part = WHOLE) -> Tensor | None:
        """Return the summed loss of the lanes of a part, divided by the number of all lanes at the start of the epoch.

        A lane stays in its part while others end, so that the states of the lanes of a part follow from one another.
        """
        if part.count == 1 or step != self._step:
            self._begin(step)
        batch, negatives, state = self._lanes.batch(step), self._drawn, self._state
        rows, device = self._rows(part), self._state[0].device
        if rows.start == rows.stop:
            return None
        if part.count > 1:
            negatives = None if negatives is None else negatives.part(rows, len(batch.targets))
            state = [one[rows].clone() for one in state]
        if negatives is not None:
            negatives = negatives.to(device)
        items, targets = (to_device(torch.from_numpy(one[rows]), device) for one in (batch.inputs, batch.targets))
        inputs, candidates = self.module.lookup(items, None if negatives is None else negatives.ids)
        output, after = self.module.step(inputs, state)
        if part.count == 1:
            self._state = [one.detach() for one in after]
        else:
            for every, own in zip(self._state, after, strict=True):
                every[rows] = own.detach()
        return self._loss(LossInput(output, targets, self.module, negatives, candidates)) / self._lanes.n_lanes

    def _begin(self, step: int) -> None:
        batch = self._lanes.batch(step)
        self._drawn = None if self._negatives is None else self._negatives.draw(batch.targets, self._epoch, step)
        self._state, self._step = self._carry_over(batch), step

    def _rows(self, part: Part) -> slice:
        """Return the rows of a part of all lanes among the lanes of the last step."""
        active, lanes = self._lanes.active(self._step), part.of(self._lanes.n_lanes)
        return slice(int(active[: lanes.start].sum()), int(active[: lanes.stop].sum()))

    def _carry_over(self, batch: LaneBatch) -> State:
        state = self._state
        if batch.kept is not None:
            kept = to_device(torch.from_numpy(batch.kept), state[0].device)
            state = [part[kept] for part in state]
        if batch.starts.any():
            going_on = to_device(torch.from_numpy(~batch.starts), state[0].device)
            state = [part * going_on.unsqueeze(1) for part in state]
        return state

    def carried(self) -> dict[str, Tensor]:
        """Return the states of all lanes; see ``Objective.carried``."""
        own = self._rows(Part(self._group.rank, self._group.size))
        return {str(index): self._group.gather_rows(one[own]) for index, one in enumerate(self._state)}

    def restore_carried(self, carried: Mapping[str, Tensor], step: int) -> None:
        """Take back the states of the lanes that were left; see ``Objective.restore_carried``."""
        lanes = len(self._lanes.batch(step - 1).inputs)
        require_like(carried, {str(index): part[:lanes] for index, part in enumerate(self._state)}, "carried")
        self._state = [carried[str(index)].to(part) for index, part in enumerate(self._state)]
        self._step = step - 1
