"""The attention-clustering network: gated attention, clusters of a session's events, attention over the clusters."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Int64
from pydantic import Field
from torch import Tensor

from segue.data.sessions import Sessions
from segue.errors import ParameterError
from segue.models.persistence import ModelConfig
from segue.models.requests import EventContext, Session, encode_sessions, event_context, session_lists
from segue.models.sequence import SequenceConfig, SequenceModel
from segue.models.session_attention import SessionAttention
from segue.nn.encoders.attention import GatedAttention, GateInput
from segue.nn.encoders.clustering import Assignment, ClusterAttention, ClusteringEncoder
from segue.nn.losses.config import NCE
from segue.spaces import Range
from segue.training.config import SequenceTraining


class AttentionClusteringConfig(SequenceConfig):
    """Parameters of the attention-clustering network."""

    gate_input: GateInput = "hidden"
    """What the gate of an event is computed from: the product of the importance vector with its hidden vector or with
    its embedding, or a linear layer of its embedding. The linear layer gates each component, and the attention then
    scores the gated vector."""
    clustering: bool = True
    """Whether events form clusters; without clusters, the session state is the attention-weighted sum of the events."""
    clusters: int = Field(32, ge=1)
    """Number of clusters K."""
    assignment: Literal["annealed", "straight-through"] = "annealed"
    """Assignment of events to clusters: a softmax whose temperature decreases in training (annealed), or one-hot with
    the gradient of a softmax (straight-through)."""
    temperature: float = Field(0.1, gt=0, le=1)
    """Temperature of the assignment at the end of the annealing and in every prediction; the annealing starts at 1."""
    anneal: float = Field(0.5, gt=0, le=1)
    """Share of the planned training in which the temperature decreases."""
    vectors: Literal["pooled", "trained"] = "pooled"
    """Cluster vectors: attention-weighted means of their events in the session, or a trained table."""
    combination: Literal["product", "sum"] = "product"
    """Session state, for clusters c_k with attention a_k and events e_t with attention b_t. product: sum_k w_k c_k with
    w_k proportional to a_k sum_t b_t z_tk, where z_tk assigns event t to cluster k. sum: sum_k a_k c_k + sum_t b_t
    e_t."""
    importance: Literal["shared", "own"] = "shared"
    """Importance vector of the events in the final attention: shared with the clusters, or separate (own)."""
    recency: bool = True
    """Whether the attention weights of events depend on their distance from the end of the session, by a learned bias;
    if false, the order of events has no effect."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout rate of the embedded events."""
    training: SequenceTraining = SequenceTraining(
        epochs=16, batch_size=256, learning_rate=0.004, schedule="linear", loss=NCE(n_samples=512, alpha=0.75)
    )
    """Training parameters."""

    presets = {
        "described": {
            "gate_input": "linear",
            "assignment": "straight-through",
            "combination": "sum",
            "recency": False,
        },
    }

    search = {**SequenceConfig.search, "clusters": Range(4, 64, log=True), "dropout": Range(0.0, 0.6)}


class AttentionClustering(SequenceModel):
    """Gated attention that assigns the events of a session to clusters, and attention over clusters and events.

    The state after an event does not depend on later events, so one pass trains every prefix of a session.
    """

    name = "attention-clustering"
    paper = "segue's own; trained by noise-contrastive estimation: Gutmann and Hyvarinen 2010, Mnih and Teh 2012"
    Config = AttentionClusteringConfig
    Network = ClusteringEncoder
    config: AttentionClusteringConfig
    network: ClusteringEncoder

    def __init__(self, config: ModelConfig | None = None, *, preset: str | None = None, **parameters: object) -> None:
        super().__init__(config, preset=preset, **parameters)
        if (self.config.vectors, self.config.combination) == ("trained", "sum"):
            raise ParameterError(
                f"{self.name}.combination: must be 'product' with vectors 'trained', got 'sum': the weight of a "
                "cluster would not depend on its events, and the assignment would learn nothing"
            )

    @property
    def temperature(self) -> None:
        """None: states are left as they are, and the temperature of the configuration is that of the clusters."""
        return None

    def build(self, n_items: int) -> ClusteringEncoder:
        """Return a network with fresh weights."""
        size = self.config.embedding_size
        return ClusteringEncoder(
            **self.sizes(n_items),
            attention=GatedAttention(hidden_size=size, gate_input=self.config.gate_input),
            clusters=self._clusters(size) if self.config.clustering else None,
            recency=self.config.recency,
            dropout=self.config.dropout,
        )

    def _clusters(self, hidden_size: int) -> ClusterAttention:
        return ClusterAttention(
            assignment=Assignment(
                hidden_size=hidden_size,
                clusters=self.config.clusters,
                straight_through=self.config.assignment == "straight-through",
                final_temperature=self.config.temperature,
                anneal=self.config.anneal,
            ),
            hidden_size=hidden_size,
            clusters=self.config.clusters,
            trained=self.config.vectors == "trained",
            combination=self.config.combination,
            own_importance=self.config.importance == "own",
        )

    def remarks(self, train: Sessions) -> Iterator[str]:
        """Yield a note on the number of clusters in use."""
        yield from super().remarks(train)
        if self.config.clustering:
            yield f"{self.share_in_use():.0%} of {self.config.clusters} clusters contain items"

    def clusters(self) -> Int64[np.ndarray, "N"]:
        """Return the cluster, 0..K-1, with the largest membership of each item of the vocabulary.

        Raises:
            ParameterError: the network has no clusters.
        """
        if not self.config.clustering:
            raise ParameterError(f"{self.name}.clustering: must be true for a network with clusters, got false")
        chosen: np.ndarray = self.network.members()[1:].argmax(1).cpu().numpy()
        return chosen

    def attention(self, session: Session, *, context: EventContext | None = None) -> SessionAttention:
        """Return how the network reads one session: gates, attention weights and clusters of its events.

        Args:
            session: item ids or unique item names, oldest first.
            context: further values of each event; see ``Model.recommend``.

        Raises:
            ParameterError: it is not one session, or contains no item that the model knows.
        """
        self._require_fitted()
        lists, several = session_lists(session)
        if several:
            raise ParameterError(f"session: must be the item ids of one session, got {session!r}")
        indices = self.vocabulary.index(lists[0])
        columns = event_context(context, several=False, model=self.name, known=self.context_columns)
        prefixes = encode_sessions([indices], self.vocabulary, columns)
        if not prefixes.lengths[0]:
            raise ParameterError(f"session: must contain an item that the model knows, got {list(lists[0])!r}")
        window = self.network.window(prefixes)
        gated, weights, final = self.network.explain(window)
        rows = window.items[0].cpu().numpy() - 1
        names = {"name": pl.Series(self.vocabulary.names.names[1:])} if self.vocabulary.names.column else {}
        events = pl.DataFrame({"item": self.vocabulary.ids, **names})[rows].with_columns(
            gate=_column(gated.gates[0].mean(-1)), attention=_column(weights[0, -1])
        )
        clusters = None
        if final is not None:
            members = final.members[0]
            events = events.with_columns(
                cluster=_column(members.argmax(-1)),
                membership=_column(members.amax(-1)),
                final_attention=_column(final.events[0, -1]),
            )
            clusters = pl.DataFrame({"share": _column(final.shares[0, -1]), "weight": _column(final.clusters[0, -1])})
            clusters = clusters.with_row_index("cluster").filter(pl.col("weight") > 0).cast({"cluster": pl.Int64})
            clusters = clusters.sort("weight", descending=True, maintain_order=True)
        unknown = (raw for raw, index in zip(lists[0], indices, strict=True) if not self.vocabulary.is_known(index))
        return SessionAttention(events, clusters, tuple(unknown))

    def share_in_use(self) -> float:
        """Return the share of the clusters that contain at least one item."""
        return len(np.unique(self.clusters())) / self.config.clusters


def _column(values: Tensor) -> pl.Series:
    return pl.Series(values.cpu().numpy())
