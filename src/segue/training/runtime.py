"""How a model is run, as opposed to what it is: device, precision, checkpoints, progress."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from segue.errors import ParameterError
from segue.progress import Progress

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Runtime:
    """Where and how a model is fitted; none of it changes what the model is.

    Attributes:
        device: ``"auto"`` takes a GPU where there is one, else any torch device name.
        precision: ``"bf16"`` runs the encoder under autocast; ``"auto"`` does so on a GPU that supports it and
            keeps fp32 on a CPU, where autocast gains nothing.
        checkpoint: file that training state is saved to, or None for no checkpoints.
        checkpoint_seconds: least time between two checkpoints inside an epoch.
        resume: go on from ``checkpoint`` if it exists.
        progress: who is told how far the work is.
    """

    device: str = "auto"
    precision: Precision = "auto"
    checkpoint: Path | None = None
    checkpoint_seconds: float = 60.0
    resume: bool = False
    progress: Progress = field(default_factory=Progress)

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
            raise ParameterError(
                f"device: must be 'auto', 'cpu' or a device of this machine such as 'cuda', got '{self.device}'"
            ) from error
        return device

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context that the encoder's forward pass runs in."""
        device = self.torch_device()
        bf16_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported()
        if self.precision == "bf16" or (self.precision == "auto" and bf16_gpu):
            return torch.autocast(device.type, dtype=torch.bfloat16)
        return nullcontext()
