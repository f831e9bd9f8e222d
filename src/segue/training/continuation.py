"""What a later training needs of Adagrad to go on: the sum of squared gradients, as one number per row of a weight.

Adagrad divides a step by the root of this sum. Without it, the first steps of an update are as large as those of a
training, and the network forgets. The mean of a row serves as well as the sums themselves.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from segue.errors import ParameterError
from segue.training.optimizers import Optimizer

SUM = "sum"
"""Entry of the state of Adagrad."""

Squares = Mapping[str, Float32[np.ndarray, "R"]]
"""Mean of the sums of squared gradients in each row of a weight, by its name."""


def squares_of(optimizer: Optimizer, network: nn.Module) -> dict[str, Float32[np.ndarray, "R"]]:
    """Return what Adagrad has summed up over its steps; empty for an optimizer without it."""
    return {
        name: state[SUM].reshape(len(state[SUM]), -1).mean(dim=1).float().cpu().numpy()
        for name, state in _states(optimizer, network)
        if SUM in state
    }


def resume(optimizer: Optimizer, network: nn.Module, squares: Squares) -> None:
    """Let Adagrad go on where a training ended, if there are squares; rows that it did not have begin at zero."""
    for name, state in _states(optimizer, network):
        if name in squares:
            rows = torch.from_numpy(squares[name].copy()).to(state[SUM])
            state[SUM][: len(rows)] = rows.reshape(-1, *[1] * (state[SUM].dim() - 1))


def check_squares(squares: Squares, network: nn.Module, names: Callable[[], Set[str]], place: str) -> None:
    """Refuse squares that are not those of some weights.

    Args:
        squares: the squares; none at all are allowed.
        network: the network.
        names: returns the names of the weights that Adagrad learns.
        place: beginning of a message.

    Raises:
        ParameterError: the first rule that is broken.
    """
    if not squares:
        return
    weights, learnt = dict(network.named_parameters()), names()
    for name in sorted(learnt | squares.keys()):
        if name not in squares or name not in learnt:
            raise ParameterError(f"{place}.{name}: is {'unknown' if name in squares else 'missing'}")
        found, rows = squares[name], len(weights[name])
        if found.dtype != np.float32 or found.shape != (rows,):
            raise ParameterError(f"{place}.{name}: must be float32 ({rows},), got {found.dtype} {found.shape}")
        if not (np.isfinite(found) & (found >= 0)).all():
            raise ParameterError(f"{place}.{name}: must be finite and not negative")


def _states(optimizer: Optimizer, network: nn.Module) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the name of each weight with its entries of the state, which may be changed in place."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    for index, entries in state.items():
        yield names[id(ordered[index])], entries
