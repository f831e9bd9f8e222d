"""Networks over a window of the most recent events, with one item table for input and output."""

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.windows import Window, window_of
from segue.data.sessions import Prefixes
from segue.data.vocabulary import PADDING
from segue.nn.encoders.base import Encoder
from segue.nn.encoders.context import ContextEmbedding

_TOKENS = 16_384
"""Events that are encoded at once when scoring."""


class SequenceEncoder(Encoder):
    """A network that reads the last events of a session and says what comes next.

    Its items have one table: what a session is made of and what its state is compared with. Row 0 (padding) is zero
    and stays so.

    Args:
        n_items: number of items N.
        embedding_size: width D of the table.
        max_length: events of a session that are read, the most recent ones.
        init_std: standard deviation of the table's first values.
    """

    causal: ClassVar[bool] = False
    """True if the state at a position depends on no later event, so that all positions can be trained at once."""
    fixed_width: ClassVar[bool] = False
    """True if padding is part of the input, so that every window has ``max_length`` columns."""

    def __init__(self, *, n_items: int, embedding_size: int, max_length: int, init_std: float = 0.02) -> None:
        super().__init__()
        self.max_length = max_length
        self.input_size = embedding_size
        """Width of what is read of an event."""
        self.sparse_gradients = False
        """Whether the gradient of the table names the rows in use, for an optimiser that touches no others."""
        self.items = nn.Parameter(torch.empty(n_items + 1, embedding_size))
        nn.init.normal_(self.items, std=init_std)
        nn.init.zeros_(self.items.data[PADDING])
        self.normalised = False
        """Whether an item counts by the direction of its embedding alone, so that scores are cosines times a norm."""
        self.context: ContextEmbedding | None = None
        """What it reads besides items; set by whoever builds it."""

    @abstractmethod
    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each session."""

    def embed(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the embedding of each event, that of its item plus those of its context, zero at padding."""
        embedded = self._look_up(window.items)
        return embedded if self.context is None else embedded + self.context(window)

    def table(self) -> Float[Tensor, "M D"]:
        """Return the embedding of every item."""
        return self._direction(self.items)

    def rows(self, ids: Int64[Tensor, "K"]) -> Float[Tensor, "K W"]:
        """Return the embedding of some items."""
        return self._direction(self._look_up(ids))

    def _direction(self, embeddings: Float[Tensor, "*K D"]) -> Float[Tensor, "*K D"]:
        return functional.normalize(embeddings, dim=-1) if self.normalised else embeddings

    def _look_up(self, ids: Int64[Tensor, "*K"]) -> Float[Tensor, "*K D"]:
        return functional.embedding(ids, self.items, padding_idx=PADDING, sparse=self.sparse_gradients)

    def encode(self, prefixes: Prefixes) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each prefix, zero for an empty one.

        Prefixes of similar length are read together, whatever their order.
        """
        if len(prefixes) == 1 and prefixes.ends[0] > prefixes.starts[0]:
            return self.last(self.window(prefixes)).to(self.items.dtype)
        states = self.items.new_zeros(len(prefixes), self.items.shape[1])
        lengths = np.minimum(prefixes.lengths, self.max_length)
        order = np.argsort(lengths, kind="stable")[np.count_nonzero(lengths == 0) :]
        for rows in np.split(order, np.flatnonzero(np.diff(np.cumsum(lengths[order]) // _TOKENS)) + 1):
            if len(rows):
                states[torch.from_numpy(rows)] = self.last(self.window(prefixes[rows])).to(states.dtype)
        return states

    def window(self, prefixes: Prefixes) -> Window:
        """Return what the network reads of each prefix, on its device."""
        width = self.max_length if self.fixed_width else None
        if self.context is not None:
            # One event more, for the time between the oldest one that is kept and the one before.
            prefixes = prefixes.tail(self.max_length + 1)
            prefixes = replace(prefixes, context=self.context.reader.transform(prefixes))
        return window_of(prefixes, self.max_length, width=width).to(self.items.device)


class PositionwiseEncoder(SequenceEncoder):
    """A network with a state at every position of a window."""

    @abstractmethod
    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state at each position; what it is at padding has no meaning."""


class CausalEncoder(PositionwiseEncoder):
    """A network whose state at a position, that after its event, depends on the events up to it alone."""

    causal = True

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each session."""
        return self.states(window)[:, -1]
