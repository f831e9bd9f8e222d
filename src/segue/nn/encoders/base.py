"""The contracts of networks: an encoder of sessions, and an encoder of windows of the most recent events."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, TypedDict

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.windows import Window, window_of
from segue.data.sessions import Prefixes
from segue.data.vocabulary import PADDING
from segue.nn.encoders.layers import ContextEmbedding, VectorProjection
from segue.transfer import to_device


class Encoder(nn.Module, ABC):
    """A network that turns a session into a state: one vector that predicts the next item.

    The score of an item is the dot product of the state and the item's embedding, plus the item's bias where the
    network has one. It knows no loss, no sampler, no optimiser.
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


class WindowSizes(TypedDict):
    """The sizes that every ``SequenceEncoder`` has; its arguments say more."""

    n_items: int
    embedding_size: int
    max_length: int


class SequenceEncoder(Encoder):
    """A network that reads the most recent events of a session.

    Input and output share one item table. Its row 0 (padding) is zero and stays so.

    Args:
        n_items: number of items N.
        embedding_size: width D of the table.
        max_length: events of a session that are read, the most recent ones.
        init_std: standard deviation of the table's initial values.
    """

    causal: ClassVar[bool] = False
    """Whether the state at a position depends on no later event, so that all positions can be trained at once."""
    appended: ClassVar[int] = 0
    """Positions after the last event, such as a mask for the next one."""
    fixed_width: ClassVar[bool] = False
    """Whether padding is part of the input, so that every window has ``max_length`` columns."""
    events_per_batch: int = 16_384
    """Events that are encoded at once when scoring."""

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
        """Whether the item embeddings are normalised, so that scores are cosines times the norm of the state."""
        self.temperature: float | None = None
        """What divides states, after they are normalised; None leaves them as they are."""
        self.context: ContextEmbedding | None = None
        """Reads what is known of events besides items; set after construction."""
        self.upcoming: ContextEmbedding | None = None
        """Reads what is known of the event to predict, and adds it to the state; set after construction."""
        self.vectors: VectorProjection | None = None
        """Adds what the vectors of items say to their embeddings; set after construction."""

    @abstractmethod
    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each session, before it is scaled."""

    def scaled(self, states: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Return what items are compared with: states at length ``1 / temperature``, if there is a temperature."""
        return states if self.temperature is None else functional.normalize(states, dim=-1) / self.temperature

    def embed(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the embedding of each event, that of its item plus those of its context, zero at padding."""
        embedded = self.lookup(window.items)
        return embedded if self.context is None else embedded + self.context(window)

    def table(self) -> Float[Tensor, "M D"]:
        """Return the embedding of every item."""
        return self._normalise(self.item_table())

    def item_table(self) -> Float[Tensor, "M D"]:
        """Return the embedding of every item before it is normalised."""
        return self.items if self.vectors is None else self.items + self.vectors()

    def rows(self, ids: Int64[Tensor, "K"]) -> Float[Tensor, "K W"]:
        """Return the embedding of some items."""
        return self._normalise(self.lookup(ids))

    def _normalise(self, embeddings: Float[Tensor, "*K D"]) -> Float[Tensor, "*K D"]:
        return functional.normalize(embeddings, dim=-1) if self.normalised else embeddings

    def lookup(self, ids: Int64[Tensor, "*K"]) -> Float[Tensor, "*K D"]:
        """Return the embedding of some items before it is normalised; see ``sparse_gradients``."""
        rows = functional.embedding(ids, self.items, padding_idx=PADDING, sparse=self.sparse_gradients)
        return rows if self.vectors is None else rows + self.vectors(ids)

    @torch.no_grad()
    def set_embeddings(self, chosen: Bool[Tensor, "M"], values: Float[Tensor, "M K"]) -> None:
        """Set the first K columns of some rows of the table to values, scaled to the spread of those there."""
        spread = self.items[PADDING + 1 :].std(correction=0)
        size, scale = values.shape[1], values[chosen].square().mean().sqrt().clamp(min=torch.finfo(values.dtype).tiny)
        self.items[chosen, :size] = values[chosen] * (spread / scale)

    def encode(self, prefixes: Prefixes) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each prefix, zero for an empty one.

        What is known of the event to predict is added.
        """
        states = self._read(prefixes)
        if self.upcoming is None or prefixes.upcoming is None:
            return states
        known = self.upcoming.reader.transform(prefixes.upcoming.as_prefixes())
        return states + self.ahead({name: torch.tensor(values) for name, values in known.items()})

    def ahead(self, known: Mapping[str, Shaped[Tensor, "B"]]) -> Float[Tensor, "B D"]:
        """Return what is added to the states of B events to predict, given their encoded features."""
        assert self.upcoming is not None
        size, device = len(next(iter(known.values()))), self.items.device
        columns = {name: to_device(values, device).unsqueeze(1) for name, values in known.items()}
        one = torch.ones(size, 1, dtype=torch.int64, device=device)
        added: Tensor = self.upcoming(Window(one, context=columns))
        return added.squeeze(1)

    def _read(self, prefixes: Prefixes) -> Float[Tensor, "B D"]:
        """Return the state of what has happened. Prefixes of similar length are read together, whatever their order."""
        if len(prefixes) == 1 and prefixes.ends[0] > prefixes.starts[0]:
            return self.scaled(self.last(self.window(prefixes)).to(self.items.dtype))
        states = self.items.new_zeros(len(prefixes), self.items.shape[1])
        lengths = np.minimum(prefixes.lengths, self.max_length)
        order = np.argsort(lengths, kind="stable")[np.count_nonzero(lengths == 0) :]
        for rows in np.split(order, np.flatnonzero(np.diff(np.cumsum(lengths[order]) // self.events_per_batch)) + 1):
            if len(rows):
                states[torch.from_numpy(rows)] = self.last(self.window(prefixes[rows])).to(states.dtype)
        return self.scaled(states)

    def window(self, prefixes: Prefixes) -> Window:
        """Return the events of each prefix that the network reads, on its device."""
        width = self.max_length if self.fixed_width else None
        if self.context is not None:
            # One more event gives the time before the oldest one that is kept.
            prefixes = prefixes.tail(self.max_length + 1)
            prefixes = replace(prefixes, context=self.context.reader.transform(prefixes))
        return window_of(prefixes, self.max_length, width=width).to(self.items.device)


class PositionwiseEncoder(SequenceEncoder):
    """A network with a state at every position of a window."""

    @abstractmethod
    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state at each position, before it is scaled; undefined at padding."""


class CausalEncoder(PositionwiseEncoder):
    """A network whose state at a position depends on no later event."""

    causal = True

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each session."""
        return self.states(window)[:, -1]
