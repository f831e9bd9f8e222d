"""GRU4Rec's network: recurrent layers between an input and an output item table, one event at a time."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from segue.data.sessions import Prefixes
from segue.data.vocabulary import PADDING
from segue.nn.encoders.base import Encoder
from segue.nn.encoders.cells import GRUCell, LSTMCell, OneHotGRUCell, OneHotLSTMCell, State, glorot_
from segue.nn.encoders.layers import sparse_lookup


class GRU4RecEncoder(Encoder):
    """Recurrent layers over item embeddings, and a dot product with an output table.

    ``output`` holds the output embedding of each item and, in its last column, the item's bias; with a shared
    table its embeddings are also the input. Dropout acts on the embedded input (of one-hot items: on the output of
    the first layer) and on the output of each layer; what is dropped is dropped from the carried state as well, as
    in the authors' code.

    Args:
        n_items: number of items N.
        hidden_size: width H of each layer.
        layers: number of layers.
        cell: ``"gru"`` or ``"lstm"``.
        embedding: ``"shared"`` with the output table, ``"separate"``, or ``"one-hot"`` items into the first layer.
        embedding_size: width of a separate embedding.
        dropout_embedding: share of the embedded input that training drops.
        dropout_hidden: share of a layer's output that training drops.
    """

    biased = True

    def __init__(
        self,
        *,
        n_items: int,
        hidden_size: int,
        layers: int = 1,
        cell: Literal["gru", "lstm"] = "gru",
        embedding: Literal["shared", "separate", "one-hot"] = "shared",
        embedding_size: int = 0,
        dropout_embedding: float = 0.0,
        dropout_hidden: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.output = nn.Parameter(torch.zeros(n_items + 1, hidden_size + 1))
        glorot_(self.output.data[PADDING + 1 :, :-1], n_items, hidden_size)
        width = hidden_size
        if embedding == "separate":
            width = embedding_size
            self.input = nn.Parameter(torch.zeros(n_items + 1, width))
            glorot_(self.input.data[PADDING + 1 :], n_items, width)
        plain, one_hot = (GRUCell, OneHotGRUCell) if cell == "gru" else (LSTMCell, OneHotLSTMCell)
        cells: list[nn.Module] = [
            one_hot(n_items=n_items, hidden_size=hidden_size) if embedding == "one-hot" else plain(width, hidden_size)
        ]
        cells += [plain(hidden_size, hidden_size) for _ in range(layers - 1)]
        self.cells = nn.ModuleList(cells)
        self.dropout_embedding = dropout_embedding
        self.dropout_hidden = dropout_hidden
        self.hidden_size = hidden_size
        self._n_states = plain.n_states

    def initial_state(self, rows: int) -> State:
        """Return the state before the first event of ``rows`` sessions."""
        return [self.output.new_zeros(rows, self.hidden_size) for _ in range(self._n_states * len(self.cells))]

    def lookup(
        self, items: Int64[Tensor, "B"], candidates: Int64[Tensor, "M"] | None
    ) -> tuple[Float[Tensor, "B I"] | Int64[Tensor, "B"], Float[Tensor, "M W"] | None]:
        """Return the input of ``step`` for some items, and the output embeddings and biases of others, if any."""
        others = () if candidates is None else (candidates,)
        if self.embedding == "shared":
            inputs, *rows = sparse_lookup(self.output, items, *others)
            return self._dropped(inputs[:, :-1]), rows[0] if rows else None
        return self._input(items), None if candidates is None else self.rows(candidates)

    def step(
        self, inputs: Float[Tensor, "B I"] | Int64[Tensor, "B"], state: State
    ) -> tuple[Float[Tensor, "B H"], State]:
        """Take one event of each session.

        Args:
            inputs: the embedded items, or the items themselves where the first layer takes them one-hot.
            state: what ``initial_state`` or the previous step returned.

        Returns:
            The output of the last layer, and the state after the event.
        """
        flow = inputs
        after: State = []
        for cell in self.cells:
            new = cell(flow, state[len(after) : len(after) + self._n_states])
            rate = self.dropout_embedding if self.embedding == "one-hot" and not after else self.dropout_hidden
            flow = functional.dropout(new[0], rate) if self.training else new[0]
            after += [flow, *new[1:]]
        return flow, after

    def read(self, items: Int64[np.ndarray, "B"], state: State) -> tuple[Float[Tensor, "B H"], State]:
        """Take one event of each session, given by its item; see ``step``."""
        return self.step(self._input(torch.from_numpy(items).to(self.output.device)), state)

    def encode(self, prefixes: Prefixes) -> Float[Tensor, "B H"]:
        """Return the output after the last event of each prefix, zero for an empty one.

        Prefixes that start at the same event are one session seen at several moments: it is run once.
        """
        if len(prefixes) == 1:
            return self._encode_one(prefixes.items[prefixes.starts[0] : prefixes.ends[0]].astype(np.int64))
        starts, run = np.unique(prefixes.starts, return_inverse=True)
        longest = np.zeros(len(starts), dtype=np.int64)
        np.maximum.at(longest, run, prefixes.lengths)
        # Longest first, so that the sessions that still go on are the first rows at any step.
        order = np.argsort(-longest, kind="stable")
        row = np.argsort(order)[run]
        by_length = np.argsort(prefixes.lengths, kind="stable")
        bounds = np.searchsorted(prefixes.lengths[by_length], np.arange(longest.max(initial=0) + 2))
        state = self.initial_state(len(starts))
        outputs = self.output.new_zeros(len(prefixes), self.hidden_size)
        for into in range(longest.max(initial=0)):
            going = int((longest > into).sum())
            items = prefixes.items[starts[order[:going]] + into].astype(np.int64)
            flow, state = self.read(items, [part[:going] for part in state])
            ending = by_length[bounds[into + 1] : bounds[into + 2]]
            outputs[torch.from_numpy(ending)] = flow[torch.from_numpy(row[ending])]
        return outputs

    def _encode_one(self, items: Int64[np.ndarray, "n"]) -> Float[Tensor, "1 H"]:
        output, state = self.output.new_zeros(1, self.hidden_size), self.initial_state(1)
        inputs = self._input(torch.from_numpy(items).to(output.device))
        for event in range(len(items)):
            output, state = self.step(inputs[event : event + 1], state)
        return output

    def table(self) -> Float[Tensor, "M W"]:
        """Return output embedding and bias of every item."""
        return self.output

    def rows(self, ids: Int64[Tensor, "K"]) -> Float[Tensor, "K W"]:
        """Return output embedding and bias of some items."""
        return sparse_lookup(self.output, ids)[0]

    def _input(self, items: Int64[Tensor, "B"]) -> Float[Tensor, "B I"] | Int64[Tensor, "B"]:
        if self.embedding == "one-hot":
            return items
        table = self.output[:, :-1] if self.embedding == "shared" else self.input
        return self._dropped(sparse_lookup(table, items)[0])

    def _dropped(self, embedded: Float[Tensor, "B I"]) -> Float[Tensor, "B I"]:
        return functional.dropout(embedded, self.dropout_embedding, self.training)
