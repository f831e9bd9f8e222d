"""GCE-GNN: the session as a graph, and each of its items among its neighbours in all training sessions."""

from collections.abc import Mapping
from typing import Self, Unpack

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor, nn

from segue.data.arrays import read_only
from segue.data.batches.windows import Window
from segue.data.sessions import Sessions
from segue.data.vocabulary import PADDING, Vocabulary
from segue.models.global_graph import GlobalGraph
from segue.models.sequence import SESSIONS, SequenceConfig, SequenceModel
from segue.nn.encoders.attention import Watched, watched
from segue.nn.encoders.base import SequenceEncoder, WindowSizes
from segue.nn.encoders.graphs import GlobalAggregator, LocalAggregator, session_relations
from segue.nn.encoders.layers import Dropout, Positions
from segue.nn.losses.config import SampledSoftmax
from segue.spaces import Choice, Range
from segue.training.config import SequenceTraining

_GRAPH = "graph/"
"""Prefix of the names of the arrays of the global graph."""


class GCEGNNConfig(SequenceConfig):
    """Parameters of GCE-GNN."""

    embedding_size: int = Field(100, ge=1)
    """Width of the item embeddings and of all layers."""
    max_length: int = Field(20, ge=1, le=100_000)
    """Number of most recent events of a session to use."""
    window: int = Field(3, ge=1, le=1_000)
    """Items at most this many events apart in a training session are neighbours in the global graph."""
    n_neighbours: int = Field(12, ge=1, le=1_000)
    """Number of most frequent neighbours to keep per item."""
    hops: int = Field(1, ge=1, le=3)
    """Number of steps in the global graph. Time and memory of a training step grow with n_neighbours ** hops."""
    dropout_local: float = Field(0.0, ge=0, lt=1)
    """Dropout rate of what the session graph says of an item."""
    dropout_global: float = Field(0.5, ge=0, lt=1)
    """Dropout rate of what the global graph says of an item."""
    dropout_neighbours: float = Field(0.2, ge=0, lt=1)
    """Dropout rate of an item and its neighbours in each step in the global graph."""
    training: SequenceTraining = SequenceTraining(
        loss=SampledSoftmax(n_samples=2048), optimizer="mixed", learning_rate=1e-3, epochs=5
    )
    """Training parameters."""

    presets = {
        "sessions": {
            "embedding_size": 200,
            "similarity": "cosine",
            "temperature": 0.07,
            "training": {**SESSIONS, "batch_size": 256, "learning_rate": 1.5e-3},
        },
        "beauty": {
            "embedding_size": 200,
            "similarity": "cosine",
            "temperature": 0.07,
            "training": {
                **SESSIONS,
                "epochs": 10,
                "patience": None,
                "batch_size": 512,
                "learning_rate": 2e-3,
                "metric": "ndcg@10",
            },
        },
        "authors": {
            "hops": 2,
            "dropout_neighbours": 0.2,
            "training": {
                "loss": "cross-entropy",
                "optimizer": "adamw",
                "learning_rate": 1e-3,
                "batch_size": 100,
                "epochs": 20,
            },
        },
    }

    search = {
        **SequenceConfig.search,
        "n_neighbours": Choice((4, 8, 12, 16, 20)),
        "dropout_global": Range(0.0, 0.8),
        "dropout_local": Range(0.0, 0.6),
        "dropout_neighbours": Range(0.0, 0.6),
    }


class GlobalContextNetwork(SequenceEncoder):
    """Each item as its session and the global graph describe it, and attention to all items by position.

    Args:
        n_neighbours: neighbours of an item in the global graph, which ``set_graph`` gives.
        hops: steps in the global graph.
        dropout_local: dropout rate of what the session says.
        dropout_global: dropout rate of what the global graph says.
        dropout_neighbours: dropout rate inside of each step in the global graph.
        **sizes: see ``SequenceEncoder``.
    """

    neighbours: Int64[Tensor, "M S"]
    weights: Float[Tensor, "M S"]

    def __init__(
        self,
        *,
        n_neighbours: int,
        hops: int,
        dropout_local: float,
        dropout_global: float,
        dropout_neighbours: float,
        **sizes: Unpack[WindowSizes],
    ) -> None:
        size, shape = sizes["embedding_size"], (sizes["n_items"] + 1, n_neighbours)
        super().__init__(**sizes, init_std=(3 * size) ** -0.5)
        self.events_per_batch = max(1, type(self).events_per_batch // n_neighbours**hops)
        self.register_buffer("neighbours", torch.zeros(shape, dtype=torch.int64), persistent=False)
        self.register_buffer("weights", torch.zeros(shape), persistent=False)
        self.local = LocalAggregator(hidden_size=size)
        self.steps = nn.ModuleList(GlobalAggregator(hidden_size=size, dropout=dropout_neighbours) for _ in range(hops))
        self.dropout_local = Dropout(dropout_local)
        self.dropout_global = Dropout(dropout_global)
        self.place = nn.Linear(size, size, bias=False)
        self.positions = Positions(max_length=sizes["max_length"], hidden_size=size)
        self.key = nn.Linear(size, size)
        self.session = nn.Linear(size, size, bias=False)
        self.importance = nn.Linear(size, 1, bias=False)
        # Weights of events may be negative. Where some start so, the training may end in a poor optimum.
        nn.init.uniform_(self.importance.weight, 0.0, size**-0.5)

    def set_graph(self, graph: GlobalGraph) -> None:
        """Set the neighbours of the items, which are not trained; at first, there are none."""
        self.neighbours, self.weights = torch.tensor(graph.neighbours).long(), torch.tensor(graph.weights)

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each session."""
        real, events = window.items != PADDING, self.embed(window)
        local = self.local(events, session_relations(window.items))
        nodes = self.dropout_local(local) + self.dropout_global(self._among_neighbours(window.items, events, real))
        hidden = torch.tanh(self.positions(self.place(nodes)))
        compared = self.key(hidden) + self.session(_mean(nodes, real)).unsqueeze(1)
        weights = self.importance(compared.sigmoid()).masked_fill(~real.unsqueeze(2), 0.0).mT  # [B, 1, L]
        if (found := watched()) is not None:
            found.append(Watched("attention", weights))
        state: Tensor = weights @ nodes
        return state.squeeze(1)

    def _among_neighbours(
        self, items: Int64[Tensor, "B L"], events: Float[Tensor, "B L D"], real: Bool[Tensor, "B L"]
    ) -> Float[Tensor, "B L D"]:
        """Return each event as the global graph describes it, given the mean of the session."""
        batch, length, size = events.shape
        rows = torch.arange(batch * length, device=items.device)
        if self.training:  # Sessions of all lengths are together, and most of a window is padding.
            rows = rows[real.flatten()]
        session = _mean(events, real)[rows // length]  # [M, D]
        levels, vectors = [items.flatten()[rows]], [events.flatten(0, 1)[rows]]
        for _ in self.steps:
            levels.append(self.neighbours[levels[-1]].flatten())  # [M S], [M S S], ...
            vectors.append(self.lookup(levels[-1]))
        for step in self.steps:
            for level in range(len(vectors) - 1):
                weights = self.weights[levels[level]]
                around = vectors[level + 1].view(*weights.shape, size)
                of_nodes = session.repeat_interleave(len(weights) // max(len(session), 1), dim=0)
                vectors[level] = step(vectors[level], around, weights, of_nodes)
            vectors.pop()
        found = vectors[0].to(events.dtype)  # Autocast may have changed it.
        return torch.zeros_like(events).flatten(0, 1).index_copy(0, rows, found).view(batch, length, size)


def _mean(events: Float[Tensor, "B L D"], real: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
    """Return the mean of the events that are no padding."""
    mask = real.to(events.dtype).unsqueeze(1)
    return (mask @ events).squeeze(1) / mask.sum(dim=2).clamp(min=1)


class GCEGNN(SequenceModel):
    """Graph attention over the items of the session, plus their neighbours in a graph of all training sessions.

    An item's vector depends on later items of the session, so every prefix is a separate training example. The global
    graph is counted from the training sessions; an update adds the recent sessions to it, and an item that was added
    without training has no neighbours. Where code and paper differ, the model follows the authors' code: the layer
    before the position-aware attention has no bias. The product of a position and its weight matrix is one learnt
    vector here, which has the same effect. The authors fill the row of an item with few neighbours by drawing them
    again at random; here each neighbour counts once.
    """

    name = "gce-gnn"
    paper = "Wang et al. 2020, SIGIR, arXiv 2106.05081"
    Config = GCEGNNConfig
    Network = GlobalContextNetwork
    config: GCEGNNConfig
    network: GlobalContextNetwork
    graph: GlobalGraph
    """The global graph of the training items."""

    def build(self, n_items: int) -> GlobalContextNetwork:
        """Return a network with fresh weights and an empty graph."""
        config = self.config
        return GlobalContextNetwork(
            **self.sizes(n_items),
            n_neighbours=config.n_neighbours,
            hops=config.hops,
            dropout_local=config.dropout_local,
            dropout_global=config.dropout_global,
            dropout_neighbours=config.dropout_neighbours,
        )

    def assemble(self) -> GlobalContextNetwork:
        """Return a network with fresh weights that reads the features and the graph."""
        network = super().assemble()
        assert isinstance(network, GlobalContextNetwork)
        network.set_graph(self.graph.extended(len(self.vocabulary)))
        return network

    def fit_preprocessing(self, train: Sessions) -> None:
        """Learn the vocabulary, the features and the global graph."""
        super().fit_preprocessing(train)
        self.graph = self._count(train)

    def _count(self, train: Sessions, before: GlobalGraph | None = None) -> GlobalGraph:
        return GlobalGraph.of(train, self.config.n_neighbours, self.config.window, before)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights, and the global graph."""
        return super().arrays() | {f"{_GRAPH}{name}": read_only(one) for name, one in self.graph._asdict().items()}

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take both back."""
        graph = {name.removeprefix(_GRAPH): one for name, one in arrays.items() if name.startswith(_GRAPH)}
        size, place = self.config.n_neighbours, f"{self.name}.{_GRAPH[:-1]}"
        self.graph = GlobalGraph.restore(graph, vocabulary.n_trained, size, place)
        return super().restore({name: one for name, one in arrays.items() if not name.startswith(_GRAPH)}, vocabulary)

    def _grown(self, before: Self, fresh: Mapping[str, Tensor], recent: Sessions) -> dict[str, np.ndarray]:
        """Return the weights to start from, and the graph with the recent sessions."""
        graph = self._count(recent, before.graph)._asdict()
        return super()._grown(before, fresh, recent) | {f"{_GRAPH}{name}": one for name, one in graph.items()}
