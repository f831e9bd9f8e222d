"""How a model is run, as opposed to what it is: device, precision, checkpoints, progress."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch

from segue.errors import ParameterError
from segue.progress import Progress
from segue.training.curve import EpochRecord, Observer

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Runtime:
    """Where and how a model is fitted; none of it changes what the model is.

    Attributes:
        device: ``"auto"`` takes a GPU where there is one, else any torch device name.
        precision: ``"bf16"`` runs the encoder under autocast, and the matrix products of a softmax over items in
            bf16; ``"auto"`` does so on a GPU that supports it. On a CPU autocast gains nothing, so that ``"auto"``
            takes bf16 for the products alone, where the CPU has instructions for them; weights stay fp32.
        checkpoint: file that training state is saved to, or None for no checkpoints.
        checkpoint_seconds: least time between two checkpoints inside an epoch.
        resume: go on from ``checkpoint`` if it exists.
        progress: who is told how far the work is.
        observe: who is told of each epoch, in order; one that resumes hears of the epochs before it, too. It is asked
            after the epoch's checkpoint, so that it may end the training by what it raises.
        stage: which training of a fit this is, for models that have several.
    """

    device: str = "auto"
    precision: Precision = "auto"
    checkpoint: Path | None = None
    checkpoint_seconds: float = 60.0
    resume: bool = False
    progress: Progress = field(default_factory=Progress)
    observe: Observer | None = None
    stage: str = "training"

    def part(self, name: str) -> Self:
        """Return the runtime of one training of several: a stage and a checkpoint of its own."""
        checkpoint = self.checkpoint and self.checkpoint.with_name(f"{self.checkpoint.name}.{name}")
        return replace(self, checkpoint=checkpoint, stage=name if self.stage == "training" else f"{self.stage}, {name}")

    def tell(self, record: EpochRecord) -> None:
        """Tell the observer of an epoch."""
        if self.observe is not None:
            self.observe(self.stage, record)

    def torch_device(self) -> torch.device:
        """Return the device to use.

        Raises:
            ParameterError: the device is unknown or not present on this machine.
        """
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            known = ["'auto'", "'cpu'", *(f"'cuda:{number}'" for number in range(torch.cuda.device_count()))]
            why = "" if torch.cuda.is_available() else ", which has no GPU that torch can use"
            raise ParameterError(
                f"device: must be {' or '.join(known)} on this machine{why}, got '{self.device}'"
            ) from error
        return device

    def arithmetic(self) -> str:
        """Name what decides how numbers are rounded: kind of device, precision asked for, precision of the products."""
        return f"{self.torch_device().type}, {self.precision}, {self.product_precision()}"

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context that the encoder's forward pass runs in."""
        device = self.torch_device()
        on_gpu = device.type == "cuda"
        if self.precision == "bf16" or (self.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported()):
            return torch.autocast(device.type, dtype=torch.bfloat16)
        return nullcontext()

    def product_precision(self) -> Literal["fp32", "bf16"]:
        """Return the precision of the matrix products of a softmax over items."""
        if self.precision != "auto":
            return self.precision
        on_gpu = self.torch_device().type == "cuda"
        fast = torch.cuda.is_bf16_supported() if on_gpu else _cpu_multiplies_bf16()
        return "bf16" if fast else "fp32"


def _cpu_multiplies_bf16() -> bool:
    """Say if the CPU has instructions for bf16 products; elsewhere they are slower than those of fp32."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
