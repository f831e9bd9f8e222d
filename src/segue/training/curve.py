"""What is known of each epoch of a training."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a training.

    Attributes:
        epoch: its number, from 0.
        loss: mean training loss.
        validation: value of the validation metric, None without validation.
        seconds: wall time.
        kept: whether its weights were kept: validation found nothing better before; always without validation.
    """

    epoch: int
    loss: float
    validation: float | None
    seconds: float
    kept: bool = True


Observer = Callable[[str, EpochRecord], None]
"""Is told the stage of a fit and each of its epochs; what it raises ends the fit."""
