"""SR-GNN: the session as a graph of its items, read by a graph neural network."""

from typing import NamedTuple, Unpack

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.data.vocabulary import PADDING
from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.attention import SessionAttention
from segue.nn.encoders.base import SequenceEncoder, WindowSizes
from segue.nn.encoders.cells import GRUCell
from segue.nn.encoders.graphs import transitions
from segue.nn.encoders.layers import Dropout
from segue.nn.losses.config import SampledSoftmax
from segue.spaces import Range
from segue.training.config import SequenceTraining


class SRGNNConfig(SequenceConfig):
    """Parameters of SR-GNN."""

    embedding_size: int = Field(100, ge=1)
    """Width of the item embeddings and of all layers."""
    max_length: int = Field(20, ge=1, le=100_000)
    """Number of most recent events of a session to use."""
    steps: int = Field(1, ge=1, le=100)
    """Number of message-passing steps."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout rate of the embedded items; the paper has none."""
    training: SequenceTraining = SequenceTraining(
        loss=SampledSoftmax(n_samples=2048), optimizer="adagrad", learning_rate=0.05, epochs=5
    )
    """Training parameters."""

    search = {**SequenceConfig.search, "steps": Range(1, 3), "dropout": Range(0.0, 0.6)}


class SessionGraph(NamedTuple):
    """The normalised adjacency of B sessions; a row sums to 1, or to 0 where an item has no neighbour.

    Attributes:
        before: for the item of each event (row), the weights of the items that came directly before it somewhere.
        after: those of the items that came directly after it.
    """

    before: Float[Tensor, "B L L"]
    after: Float[Tensor, "B L L"]


def session_graph(items: Int64[Tensor, "B L"]) -> SessionGraph:
    """Return the graph of each session."""
    before, after = transitions(items)
    return SessionGraph(_normalised(before), _normalised(after))


def _normalised(neighbours: Tensor) -> Float[Tensor, "B L L"]:
    return neighbours / neighbours.sum(dim=2, keepdim=True).clamp(min=1)


class GraphStep(nn.Module):
    """A gated step: each node reads the means of its neighbours before and after it, as the input of a GRU cell.

    Args:
        hidden_size: width D of the states.
    """

    def __init__(self, *, hidden_size: int) -> None:
        super().__init__()
        self.messages = nn.Linear(hidden_size, 2 * hidden_size)
        self.cell = GRUCell(2 * hidden_size, hidden_size)

    def forward(self, nodes: Float[Tensor, "B L D"], graph: SessionGraph) -> Float[Tensor, "B L D"]:
        """Return the next state of each node."""
        from_before, from_after = self.messages(nodes).chunk(2, dim=2)
        messages = torch.cat((graph.before @ from_before, graph.after @ from_after), dim=2)
        state: Tensor = self.cell(messages.flatten(0, 1), [nodes.flatten(0, 1)])[0]
        return state.view_as(nodes)


class SessionGraphNetwork(SequenceEncoder):
    """Graph steps over the embedded items of a session, and attention of its last item to all its events.

    Args:
        steps: graph steps, all with the same weights.
        dropout: dropout rate of the embedded items.
        **sizes: see ``SequenceEncoder``.
    """

    def __init__(self, *, steps: int, dropout: float, **sizes: Unpack[WindowSizes]) -> None:
        super().__init__(**sizes)
        size = self.input_size
        self.steps = steps
        self.step = GraphStep(hidden_size=size)
        self.attention = SessionAttention(query_size=size, event_size=size, hidden_size=size, bias=True)
        self.output = nn.Linear(2 * size, size)
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


class SRGNN(SequenceModel):
    """Gated graph network over the items of the session; the last item attends to all items.

    An item's state depends on later items, so every prefix is a separate training example. Where code and paper differ,
    the model follows the authors' code: a transition that occurs twice counts once, and the gated step is
    ``torch.nn.GRUCell``, which resets after the matrix product and whose update gate keeps the old state where it is 1
    (with the paper's convention, its weights have the opposite sign). The code's biases after the means of the
    neighbours are omitted, because the biases of the cell's input have the same effect.
    """

    name = "sr-gnn"
    paper = "Wu et al. 2019, arXiv 1811.00855"
    Config = SRGNNConfig
    Network = SessionGraphNetwork
    config: SRGNNConfig

    def build(self, n_items: int) -> SessionGraphNetwork:
        """Return a network with fresh weights."""
        return SessionGraphNetwork(**self.sizes(n_items), steps=self.config.steps, dropout=self.config.dropout)
