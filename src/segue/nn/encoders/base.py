"""The contract of every network: running sessions in, states out, and the score of every item from a state."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from segue.data.sessions import Prefixes


class Encoder(nn.Module, ABC):
    """A network that says in one vector what a session wants next; it knows no loss, no sampler, no optimiser.

    The score of an item is the dot product of the state and the item's embedding, plus the item's bias where the
    network has one.
    """

    biased: ClassVar[bool] = False
    """Whether ``table`` has a column of biases, the last one."""

    @abstractmethod
    def encode(self, prefixes: Prefixes) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each prefix."""

    @abstractmethod
    def table(self) -> Float[Tensor, "M W"]:
        """Return the output embedding of every item and, in one more column, its bias where there are biases."""

    @abstractmethod
    def rows(self, ids: Int64[Tensor, "K"]) -> Float[Tensor, "K W"]:
        """Return some rows of ``table``."""

    def embeddings(self) -> Float[Tensor, "M D"]:
        """Return ``table`` without the biases: what states are compared with."""
        return self.table()[:, :-1] if self.biased else self.table()

    def logits(self, states: Float[Tensor, "B D"]) -> Float[Tensor, "B M"]:
        """Return the score of every item for each state; column 0 (padding) has no meaning."""
        table = self.table()
        return torch.addmm(table[:, -1], states, table[:, :-1].T) if self.biased else states @ table.T
