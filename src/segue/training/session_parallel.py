"""What GRU4Rec minimises: the loss of each step of session-parallel lanes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from segue.data.batches.session_parallel import LaneBatch, SessionParallel
from segue.nn.encoders.cells import State
from segue.nn.encoders.recurrent import GRU4RecEncoder
from segue.nn.losses.sampled import LossInput, StepLoss
from segue.nn.sampling import NegativeSampler
from segue.training.checkpoint import require_like
from segue.training.runtime import Runtime


class SessionParallelObjective:
    """One step: every lane's state takes an event, and what follows is compared with the negatives.

    The state is carried over to the next step but no gradient is; a lane that starts a session starts from zero.

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
        items, targets = (torch.from_numpy(one).to(device) for one in (batch.inputs, batch.targets))
        negatives = None
        if self._negatives is not None:
            negatives = self._negatives.draw(batch.targets, self._epoch, step).to(device)
        inputs, rows = self.module.lookup(items, None if negatives is None else negatives.ids)
        with self._autocast:
            output, state = self.module.step(inputs, self._carry_over(batch))
        self._state = [part.detach() for part in state]
        return self._loss(LossInput(output.float(), targets, self.module, negatives, rows)) / self._lanes.n_lanes

    def _carry_over(self, batch: LaneBatch) -> State:
        state = self._state
        if batch.kept is not None:
            kept = torch.from_numpy(batch.kept).to(state[0].device)
            state = [part[kept] for part in state]
        if batch.starts.any():
            going_on = torch.from_numpy(~batch.starts).to(state[0].device)
            state = [part * going_on.unsqueeze(1) for part in state]
        return state

    def carried(self) -> dict[str, Tensor]:
        """Return the states of the lanes."""
        return {str(index): part for index, part in enumerate(self._state)}

    def restore_carried(self, carried: Mapping[str, Tensor], step: int) -> None:
        """Take back the states of the lanes that were left; see ``Objective.restore_carried``."""
        lanes = len(self._lanes.batch(step - 1).inputs)
        found = {name: part.float() if part.dtype == torch.bfloat16 else part for name, part in carried.items()}
        require_like(found, {str(index): part[:lanes] for index, part in enumerate(self._state)}, "carried")
        self._state = [found[str(index)].to(part) for index, part in enumerate(self._state)]
