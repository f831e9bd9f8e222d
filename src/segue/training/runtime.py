"""Runtime settings, which are not parameters of a model: device, precision, checkpoints, progress."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor

from segue.errors import ParameterError
from segue.progress import Progress
from segue.training.parallel import ALONE, Group

Precision = Literal["auto", "fp32", "bf16"]

_SLOWER = 1.2
"""bf16 is refused on a CPU if it is slower than fp32 by more than this factor; less may be noise."""
_ROWS, _ITEMS, _WIDTH = 128, 2048, 68
"""Part of a chunk of the softmax over items, with the columns that are added to an embedding of 64."""
_REPEATS = 3

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""Variable that torch wants set for deterministic products on a GPU."""


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a training.

    Attributes:
        epoch: its number, from 0.
        loss: mean training loss; NaN where the training does not know it.
        validation: value of the validation metric, None without validation.
        seconds: wall time.
        kept: whether its weights were kept: validation found nothing better before; always without validation.
        train_auc: share of the sampled triples of training that a factorisation ranks right; None for other models.
        skipped: share of its triples that BPR skipped, because the negative is in the session; None for other models.
    """

    epoch: int
    loss: float
    validation: float | None
    seconds: float
    kept: bool = True
    train_auc: float | None = None
    skipped: float | None = None


def curve_notes(curve: list[EpochRecord], epochs: int) -> Iterator[str]:
    """Yield remarks on the epochs of a training that may have at most so many."""
    values = [record.validation for record in curve if record.validation is not None]
    if values and values.index(max(values)) == epochs - 1 > 0:
        yield f"the last of {epochs} epochs was the best one: a higher training.epochs may give more"


EpochCallback = Callable[[str, EpochRecord], None]
"""Called with the stage of a fit and each of its epochs; an error that it raises ends the fit."""


@dataclass(frozen=True)
class Runtime:
    """Where and how a model is fitted; none of it changes what the model is.

    On a CPU equal seeds give equal models, in equal numbers of threads on machines of one kind: what it computes with
    by default does not depend on its instructions. On a GPU they do with ``deterministic``.

    Attributes:
        device: ``"auto"`` takes a GPU where there is one, else any torch device name.
        precision: ``"fp32"``, ``"bf16"`` or ``"auto"``. ``"bf16"`` computes the matrix products of a softmax over items
            in bf16, whose gradient is off by 0.2-2%, and on a GPU runs the encoder under autocast, too, except with
            session-parallel batches, whose state is carried in fp32. On a CPU, where autocast gains nothing, it is the
            products alone, so it changes nothing for losses without them; a CPU on which they are slower than in fp32
            is refused. ``"auto"`` is fp32 on a CPU, and bf16 on a GPU that has instructions for it. Weights, their
            gradients, the optimiser's state and losses are kept in fp32.
        deterministic: fit with torch's deterministic algorithms, which may be slower; without them, two fits on a GPU
            differ slightly. On a CPU the results are the same either way.
        checkpoint: file that training state is saved to, or None for no checkpoints.
        checkpoint_seconds: least time between two checkpoints inside an epoch.
        resume: continue from ``checkpoint`` if it exists.
        progress: receives progress updates.
        on_epoch_end: called after each epoch, in order; a resumed training calls it for the epochs before, too. It runs
            after the checkpoint of the epoch, so that it may end the training by raising an error.
        stop: asked after each step and each epoch of a network; True ends the training with what it has learnt. An
            epoch that it cuts short counts like any other. It must decide alike when a training is resumed, or the
            result may differ.
        stage: which training of a fit this is, for models that have several.
        group: the processes that share the work of each step; see ``segue.training.processes``. The result does not
            depend on their number.
    """

    device: str = "auto"
    precision: Precision = "auto"
    deterministic: bool = False
    checkpoint: Path | None = None
    checkpoint_seconds: float = 60.0
    resume: bool = False
    progress: Progress = field(default_factory=Progress)
    on_epoch_end: EpochCallback | None = None
    stop: Callable[[], bool] | None = None
    stage: str = "training"
    group: Group = ALONE

    def part(self, name: str) -> Self:
        """Return the runtime of one training of several: a stage and a checkpoint of its own."""
        checkpoint = self.checkpoint and self.checkpoint.with_name(f"{self.checkpoint.name}.{name}")
        return replace(self, checkpoint=checkpoint, stage=name if self.stage == "training" else f"{self.stage}, {name}")

    def end_epoch(self, record: EpochRecord) -> None:
        """Call ``on_epoch_end``, in one process of a group."""
        if self.on_epoch_end is not None and self.group.leads:
            self.on_epoch_end(self.stage, record)

    def torch_device(self) -> torch.device:
        """Return the device to use.

        Raises:
            ParameterError: the device is unknown or not present on this machine.
        """
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.zeros(1, device=device).item()  # The device meta has no values.
        except (RuntimeError, AssertionError) as error:
            known = ["'auto'", "'cpu'", *(f"'cuda:{number}'" for number in range(torch.cuda.device_count()))]
            why = "" if torch.cuda.is_available() else ", which has no GPU that torch can use"
            raise ParameterError(
                f"device: must be {' or '.join(known)} on this machine{why}, got '{self.device}'"
            ) from error
        return device

    def check(self) -> None:
        """Refuse what this machine cannot do, or only slowly.

        Raises:
            ParameterError: the device is not present, or bf16 is slower than fp32 on it.
        """
        self.product_precision()

    def arithmetic(self) -> str:
        """Name what decides how numbers are rounded: the kind of device, the precision, and the algorithms of a GPU."""
        kind = self.torch_device().type
        algorithms = ", deterministic" if self.deterministic and kind != "cpu" else ""
        return f"{kind}, {self.product_precision()}{algorithms}"

    @contextmanager
    def algorithms(self) -> Iterator[None]:
        """Let torch sum bf16 products in fp32, and use only deterministic algorithms if requested.

        Its settings are restored at the end.

        Raises:
            ParameterError: the model needs an operation that has no deterministic algorithm.
        """
        products = torch.backends.cuda.matmul
        reduced = products.allow_bf16_reduced_precision_reduction
        products.allow_bf16_reduced_precision_reduction = False
        try:
            with self._deterministic_algorithms():
                yield
        finally:
            products.allow_bf16_reduced_precision_reduction = reduced

    @contextmanager
    def _deterministic_algorithms(self) -> Iterator[None]:
        if not self.deterministic:
            yield
            return
        with _deterministic():
            try:
                yield
            except RuntimeError as error:
                reason = str(error).partition(",")[0]
                if "deterministic" not in reason:
                    raise
                raise ParameterError(
                    f"deterministic: {reason} on '{self.torch_device()}'; leave it out, or train on a CPU"
                ) from error

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context that the encoder's forward pass runs in: on a CPU nothing but fp32."""
        kind, precision = self.torch_device().type, self.product_precision()
        return torch.autocast(kind, dtype=torch.bfloat16) if precision == "bf16" and kind != "cpu" else nullcontext()

    def product_precision(self) -> Literal["fp32", "bf16"]:
        """Return the precision of the matrix products of a softmax over items.

        Raises:
            ParameterError: the device is not present, or bf16 is slower than fp32 on it.
        """
        kind = self.torch_device().type
        if self.precision == "auto":
            on_gpu = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            return "bf16" if on_gpu else "fp32"
        if self.precision == "bf16" and kind == "cpu" and (slowdown := bf16_slowdown()) > _SLOWER:
            raise ParameterError(
                f"precision: bf16 products take {slowdown:.1f} times as long as fp32 on this processor; use fp32"
            )
        return self.precision


@contextmanager
def _deterministic() -> Iterator[None]:
    cudnn, workspace = torch.backends.cudnn, os.environ.get(_WORKSPACE)
    mode, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    flags = cudnn.deterministic, cudnn.benchmark
    os.environ[_WORKSPACE] = workspace or ":4096:8"
    torch.use_deterministic_algorithms(True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = flags
        torch.use_deterministic_algorithms(mode, warn_only=warn_only)
        if workspace is None:
            del os.environ[_WORKSPACE]


@cache
def bf16_slowdown() -> float:
    """Return how many times as long as in fp32 the products of a softmax take in bf16 on this CPU; measured once.

    The products are the three of a training step: the scores, and the gradients of both factors. The two precisions
    take turns and the fastest of a few repeats counts, so that other work on the machine matters little. It takes some
    milliseconds, more where bf16 is slow.
    """
    states, items = torch.ones(_ROWS, _WIDTH), torch.ones(_ITEMS, _WIDTH)
    works = [_products(states.to(kind), items.to(kind)) for kind in (torch.float32, torch.bfloat16)]
    for work in works:
        work()  # The first call chooses the kernels.
    fp32: tuple[float, ...]
    bf16: tuple[float, ...]
    fp32, bf16 = zip(*([_seconds(work) for work in works] for _ in range(_REPEATS)), strict=True)
    return min(bf16) / min(fp32)


def _products(states: Tensor, items: Tensor) -> Callable[[], None]:
    scores = states @ items.T
    gradient = torch.empty_like(items.T)

    def work() -> None:
        torch.mm(states, items.T, out=scores)
        torch.mm(scores, items)
        torch.mm(states.T, scores, out=gradient)

    return work


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def forked_random(device: torch.device) -> Iterator[Callable[[int], object]]:
    """Let dropout draw from torch's global generator of the device, and put its state back afterwards.

    Yields a function that seeds it; ``torch.manual_seed`` would seed every device, at several times the cost.
    """
    seeds: dict[str, Callable[[int], object]] = {"cpu": torch.default_generator.manual_seed}
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        seeds["cuda"] = torch.cuda.default_generators[index].manual_seed
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield seeds.get(device.type, torch.manual_seed)
