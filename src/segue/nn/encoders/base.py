"""The contract of every network: running sessions in, states out, and the score of every item from a state."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from segue.data.sessions import Prefixes


class Encoder(nn.Module, ABC):
    """A network that says in one vector what a session wants next; it knows no loss, no sampler, no optimiser.

    The score of an item is the dot product of the state and the item's embedding, plus the item's bias where the
    network has one.
    """

    @abstractmethod
    def encode(self, prefixes: Prefixes) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each prefix."""

    @abstractmethod
    def table(self) -> Float[Tensor, "M W"]:
        """Return the output embedding of every item and, in one more column, its bias where there are biases."""

    @abstractmethod
    def rows(self, ids: Int64[Tensor, "K"]) -> Float[Tensor, "K W"]:
        """Return some rows of ``table``."""

    def logits(self, states: Float[Tensor, "B D"]) -> Float[Tensor, "B M"]:
        """Return the score of every item for each state; column 0 (padding) has no meaning."""
        table, width = self.table(), states.shape[1]
        if table.shape[1] == width:
            return states @ table.T
        return torch.addmm(table[:, -1], states, table[:, :-1].T)
