"""The contract of every network: running sessions in, states out, and the score of every item from a state."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from segue.data.sessions import Prefixes


class Encoder(nn.Module, ABC):
    """A network that says in one vector what a session wants next; it knows no loss, no sampler, no optimiser."""

    @abstractmethod
    def encode(self, prefixes: Prefixes) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each prefix."""

    @abstractmethod
    def logits(self, states: Float[Tensor, "B D"]) -> Float[Tensor, "B M"]:
        """Return the score of every item for each state; column 0 (padding) has no meaning."""
