"""What is known of each epoch of a training."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: its number from 0, mean loss, validation value (None without validation), seconds."""

    epoch: int
    loss: float
    validation: float | None
    seconds: float


Observer = Callable[[str, EpochRecord], None]
"""Is told the stage of a fit and each of its epochs; what it raises ends the fit."""
