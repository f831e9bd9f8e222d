"""Dropout whose masks cost little on a CPU."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_CELLS = 256


class Dropout(nn.Module):
    """``torch.nn.Dropout``; on a CPU the rate is rounded to a multiple of 1/256.

    A random byte decides on each value, eight to a draw of the generator, which is several times as fast as a draw
    for each; the values that stay are scaled by the rounded rate, so that the mean is exact.

    Args:
        rate: share of the values that training sets to zero.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return the values with some set to zero, in training only."""
        if not self.training or self.rate == 0:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.rate)
        dropped = min(max(round(self.rate * _CELLS), 1), _CELLS - 1)
        draws = torch.empty((values.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.uint8)[: values.numel()].view(values.shape) >= dropped
        return values * kept.to(values.dtype).mul_(_CELLS / (_CELLS - dropped))

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate}"
