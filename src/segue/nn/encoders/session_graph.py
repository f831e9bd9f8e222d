"""SR-GNN's network: a session as a graph of its items, whose states are updated by their neighbours."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.data.vocabulary import PADDING
from segue.nn.encoders.dropout import Dropout
from segue.nn.encoders.recurrent import GRUCell
from segue.nn.encoders.sequence import SequenceEncoder
from segue.nn.encoders.session_attention import SessionAttention


class SessionGraph(NamedTuple):
    """Who is whose neighbour in B sessions; the rows of a matrix sum to 1, or to 0 where there is no neighbour.

    Attributes:
        before: for the item of each event (row), its share in each item that came directly before it somewhere.
        after: the same of the items that came directly after it.
    """

    before: Float[Tensor, "B L L"]
    after: Float[Tensor, "B L L"]


def session_graph(items: Int64[Tensor, "B L"]) -> SessionGraph:
    """Return the graph of each session.

    A node of the graph is an item, but here it stands at all events of the item, which have the same row. Their states
    differ by what is an event's own: its context and, in training, what dropout takes from it. As a neighbour the node
    counts once, with the state of its first event, so that only that column is filled.
    """
    real = (items != PADDING).unsqueeze(2)
    same = (items.unsqueeze(2) == items.unsqueeze(1)) & real
    first = ~same.tril(-1).any(dim=2, keepdim=True) & real  # [B, L, 1]
    copies = same.float()
    follows = (copies[:, :, :-1] @ copies[:, 1:]) > 0  # [B, L, L]: the row's item is followed by the column's
    return SessionGraph(_shares(follows.mT & first.mT), _shares(follows & first.mT))


def _shares(neighbours: Tensor) -> Float[Tensor, "B L L"]:
    return neighbours / neighbours.sum(dim=2, keepdim=True).clamp(min=1)


class GraphStep(nn.Module):
    """A gated step: each node reads the means of its neighbours before and after it, as the input of a GRU cell.

    Args:
        width: width D of the states.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.messages = nn.Linear(width, 2 * width)
        self.cell = GRUCell(2 * width, width)

    def forward(self, nodes: Float[Tensor, "B L D"], graph: SessionGraph) -> Float[Tensor, "B L D"]:
        """Return the next state of each node."""
        of_before, of_after = self.messages(nodes).chunk(2, dim=2)
        read = torch.cat((graph.before @ of_before, graph.after @ of_after), dim=2)
        state: Tensor = self.cell(read.flatten(0, 1), [nodes.flatten(0, 1)])[0]
        return state.view_as(nodes)


class SessionGraphNetwork(SequenceEncoder):
    """Graph steps over the embedded items of a session, and attention of its last item to all its events.

    Args:
        n_items: number of items N.
        embedding_size: width D of all layers.
        max_length: events of a session that are read.
        steps: graph steps, all with the same weights.
        dropout: share of the embedded items that training drops.
    """

    def __init__(self, *, n_items: int, embedding_size: int, max_length: int, steps: int, dropout: float) -> None:
        super().__init__(n_items=n_items, embedding_size=embedding_size, max_length=max_length)
        width = embedding_size
        self.steps = steps
        self.step = GraphStep(width=width)
        self.attention = SessionAttention(query_size=width, event_size=width, hidden_size=width, bias=True)
        self.output = nn.Linear(2 * width, width)
        self.dropout = Dropout(dropout)

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each session."""
        graph = session_graph(window.items)
        nodes = self.dropout(self.embed(window))
        for _ in range(self.steps):
            nodes = self.step(nodes, graph)
        newest, real = nodes[:, -1:], (window.items != PADDING).unsqueeze(1)
        state: Tensor = self.output(torch.cat((newest, self.attention(newest, nodes, real)), dim=2))
        return state.squeeze(1)
