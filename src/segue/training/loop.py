"""The training loop, the only one.

It repeats itself exactly: the batch and the dropout of a step depend on (seed, epoch, step) alone, and on the number of
the micro-batch if there are several. A checkpoint holds everything else, so that a run that was killed and resumed
equals one that was not: bit for bit on a CPU, and on a GPU with ``Runtime.deterministic``. The number of processes that
share the micro-batches changes nothing either: see ``parallel``.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from segue.errors import DivergedError
from segue.rng import derive
from segue.training.checkpoint import (
    Position,
    all_finite,
    damage,
    found,
    load_checkpoint,
    optimizer_tensors,
    require_like,
    require_same_training,
    require_squares,
    restore_optimizer,
    save_checkpoint,
    section,
    weights_hash,
)
from segue.training.config import TrainingConfig
from segue.training.objectives import Annealed, Objective
from segue.training.optimizers import Optimizer, clip_gradients
from segue.training.parallel import Gradients, Part, tree_sum
from segue.training.runtime import EpochRecord, Runtime, forked_random

logger = logging.getLogger(__name__)

_REPORT_STEPS = 50
"""Steps between two looks at the loss; each look waits for a GPU to catch up."""


class Trainer:
    """Runs one training.

    Args:
        objective: what to minimise.
        optimizer: made over the parameters of ``objective.module``.
        plan: epochs, schedule, clipping and patience.
        validate: returns the validation metric of the module as it is now, higher is better; None keeps the last
            epoch.
        seed: seed of the dropout masks.
        identity: values that tell this training from others, by name; a checkpoint of another one is refused.
        runtime: checkpoints and progress.
        warm_start: the module has been trained before: what anneals stays as at the end of a training, an epoch has to
            beat the weights of before on validation, or these are kept, and they are part of the identity.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer,
        plan: TrainingConfig,
        *,
        validate: Callable[[], float] | None,
        seed: int,
        identity: Mapping[str, str],
        runtime: Runtime,
        warm_start: bool = False,
    ) -> None:
        self._objective = objective
        self._module = objective.module
        self._parameters = list(objective.module.parameters())
        self._device = runtime.torch_device()
        self._optimizer = optimizer
        self._plan = plan
        self._validate = validate
        self._seed = seed
        self._identity = {**identity, "first weights": weights_hash(self._module)} if warm_start else dict(identity)
        self._runtime = runtime
        self._group = runtime.group
        self._warm_start = warm_start
        self._position = Position()
        self._best_value = -math.inf
        self._best: dict[str, Tensor] = {}
        self._curve: list[EpochRecord] = []
        self._carried: dict[str, Tensor] = {}
        self._saved = time.monotonic()

    def run(self) -> list[EpochRecord]:
        """Train; the module is left with its best weights. Return the curve.

        Raises:
            DivergedError: the loss, or a weight at the end, is no longer finite.
            ArtifactError: the checkpoint to resume from is damaged, or belongs to another training.
            StorageError: a checkpoint cannot be written.
        """
        if self._runtime.resume and self._runtime.checkpoint and found(self._runtime.checkpoint, self._group):
            self._restore()
            for record in self._curve:
                self._runtime.end_epoch(record)
        elif self._warm_start and self._validate is not None:
            self._keep(self._validated())
        while self._position.epoch < self._plan.epochs and not self._out_of_patience() and not self._stopped():
            self._run_epoch()
        if self._best:
            self._module.load_state_dict(self._best)
        if not all(map(all_finite, self._module.state_dict().values())):
            raise DivergedError(f"weights are not finite after the last step: {self._remedy}")
        return self._curve

    def _stopped(self) -> bool:
        stop = self._runtime.stop
        return stop is not None and bool(self._group.agree(stop() if self._group.leads else 0.0))

    def _out_of_patience(self) -> bool:
        waited = self._position.epoch - 1 - self._position.best_epoch
        return self._validate is not None and self._plan.patience is not None and waited >= self._plan.patience

    def _run_epoch(self) -> None:
        position = self._position
        # Processors of several kinds may round differently; where all are alike, this changes nothing.
        self._group.broadcast(self._module.state_dict().values())
        steps = self._objective.begin_epoch(position.epoch)
        self._restore_carried(steps)
        loss_sum = torch.tensor(position.loss_sum, dtype=torch.float64, device=self._device)
        started = time.monotonic() - position.seconds
        self._module.train()
        name = f"epoch {position.epoch + 1}/{self._plan.epochs}"
        with self._runtime.progress.task(name, steps) as task, forked_random(self._device) as reseed:
            reported = 0
            while position.step < steps:
                loss_sum += self._step(position, steps, reseed)
                position.step += 1
                position.seconds = time.monotonic() - started
                stopped = self._stopped()
                if position.step % _REPORT_STEPS == 0 or position.step == steps or stopped:
                    position.loss_sum = self._finite(loss_sum, position)
                    task.advance(position.step - reported, f"loss {position.loss_sum / position.step:.4f}")
                    reported = position.step
                    if position.step < steps and not stopped and self._checkpoint_due():
                        self._save()
                if stopped:
                    break
        self._end_epoch(position.loss_sum / position.step, position.seconds)

    def _step(self, position: Position, steps: int, reseed: Callable[[int], object]) -> Tensor:
        progress = (position.epoch * steps + position.step) / (self._plan.epochs * steps)
        self._set_learning_rate(progress)
        if isinstance(self._module, Annealed):
            self._module.anneal(1.0 if self._warm_start else progress)

        def gradients(part: Part) -> Gradients:
            number = (part.index,) if part.count > 1 else ()
            reseed(derive(self._seed, "dropout", position.epoch, position.step, *number))
            return self._gradients(position.step, part)

        own = tree_sum(gradients, self._group.parts(self._plan.micro_batches))
        loss, *summed = self._group.sum_gradients(own, [torch.zeros(()), *self._parameters])
        for parameter, gradient in zip(self._parameters, summed, strict=True):
            parameter.grad = gradient
        if self._plan.clip_norm is not None:
            clip_gradients(self._parameters, self._plan.clip_norm)
        self._optimizer.step()
        assert loss is not None
        return loss

    def _gradients(self, step: int, part: Part) -> Gradients:
        """Return the loss of a part of a step, and its gradient by each parameter."""
        for parameter in self._parameters:
            parameter.grad = None
        loss = self._objective.loss(step, part)
        if loss is None:
            return [None] * (1 + len(self._parameters))
        loss.backward()  # type: ignore[no-untyped-call]
        return [loss.detach(), *(parameter.grad for parameter in self._parameters)]

    def _finite(self, loss_sum: Tensor, position: Position) -> float:
        value = loss_sum.item()
        if not math.isfinite(value):
            raise DivergedError(
                f"the loss became {value} in epoch {position.epoch + 1} before step {position.step + 1}: {self._remedy}"
            )
        return value

    @property
    def _remedy(self) -> str:
        return f"lower training.learning_rate (now {self._plan.learning_rate}) or set training.clip_norm"

    def _set_learning_rate(self, progress: float) -> None:
        rate = self._plan.learning_rate * learning_rate_factor(self._plan.schedule, self._plan.warmup, progress)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)

    def _end_epoch(self, loss: float, seconds: float) -> None:
        position = self._position
        value, kept = None, True
        if self._validate is not None:
            value = self._validated()
            kept = value > self._best_value
            if kept:
                position.best_epoch = position.epoch
                self._keep(value)
        self._curve.append(EpochRecord(position.epoch, loss, value, seconds, kept))
        tail = "" if value is None else f"  validation {self._plan.metric} {value:.4f}"
        epoch = f"epoch {position.epoch + 1}/{self._plan.epochs}"
        if self._group.leads:
            logger.info("%s  loss %.4f%s  %.1f s", epoch, loss, tail, seconds)
        self._position = Position(epoch=position.epoch + 1, best_epoch=position.best_epoch)
        if self._runtime.checkpoint is not None:
            self._save()
        self._runtime.end_epoch(self._curve[-1])

    def _validated(self) -> float:
        assert self._validate is not None
        self._module.eval()
        return self._group.agree(self._validate() if self._group.leads else 0.0)

    def _keep(self, value: float) -> None:
        self._best_value = value
        self._best = {name: tensor.detach().clone() for name, tensor in self._module.state_dict().items()}

    def _checkpoint_due(self) -> bool:
        elapsed = time.monotonic() - self._saved
        due = elapsed >= self._runtime.checkpoint_seconds
        return self._runtime.checkpoint is not None and bool(self._group.agree(due))

    def _save(self) -> None:
        assert self._runtime.checkpoint is not None
        tensors = {f"module.{name}": tensor for name, tensor in self._module.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self._best.items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in optimizer_tensors(self._optimizer).items()}
        if self._position.step:
            tensors |= {f"carried.{name}": tensor for name, tensor in self._objective.carried().items()}
        self._saved = time.monotonic()
        if not self._group.leads:
            return
        state = {
            "identity": self._identity,
            "position": asdict(self._position),
            "best": self._best_value if self._best else None,
            "curve": [asdict(record) for record in self._curve],
        }
        save_checkpoint(self._runtime.checkpoint, tensors, state)
        self._saved = time.monotonic()

    def _restore(self) -> None:
        path = self._runtime.checkpoint
        assert path is not None
        tensors, state = load_checkpoint(path)
        require_same_training(path, state.identity, self._identity)
        weights = self._module.state_dict()
        parts = {
            "module": weights,
            "best": {} if state.best is None else weights,
            "optimizer": optimizer_tensors(self._optimizer),
        }
        with damage(path):
            state.require_possible(self._plan.epochs)
            for name, expected in parts.items():
                require_like(section(tensors, name), expected, name)
            require_squares(section(tensors, "optimizer"), "optimizer")
        self._position = state.position
        self._curve = state.curve
        self._module.load_state_dict(section(tensors, "module"))
        self._best = section(tensors, "best")
        self._best_value = -math.inf if state.best is None else state.best
        restore_optimizer(self._optimizer, section(tensors, "optimizer"))
        self._carried = section(tensors, "carried")

    def _restore_carried(self, steps: int) -> None:
        """Take back what is carried from step to step, in the middle of an epoch of so many steps."""
        step = self._position.step
        if self._runtime.checkpoint is None or step == 0:
            return
        with damage(self._runtime.checkpoint):
            if step >= steps:
                raise ValueError(f"position.step: must be below {steps}, the steps of an epoch, got {step}")
            self._objective.restore_carried(self._carried, step)


def learning_rate_factor(schedule: str, warmup: float, progress: float) -> float:
    """Return the factor on the learning rate when a share ``progress`` of the training is done."""
    if progress < warmup:
        return progress / warmup
    rest = (progress - warmup) / (1 - warmup)
    return {"constant": 1.0, "linear": 1.0 - rest, "cosine": 0.5 * (1 + math.cos(math.pi * rest))}[schedule]
