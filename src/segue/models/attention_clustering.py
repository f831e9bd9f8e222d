"""The attention-clustering network: gated attention, clusters of a session's events, attention over the clusters."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from segue.data.sessions import Sessions
from segue.errors import ParameterError
from segue.models.persistence import ModelConfig
from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.clustering import Assignment, ClusterAttention, ClusteringEncoder, GatedAttention
from segue.nn.losses.config import NCE
from segue.spaces import Range
from segue.training.config import SequenceTraining


class AttentionClusteringConfig(SequenceConfig):
    """Parameters of the attention-clustering network."""

    gate_input: Literal["hidden", "embedding"] = "hidden"
    """Input of the gate of an event: its hidden vector, or its embedding."""
    clustering: bool = True
    """Whether events form clusters; without them the session is the attention's weighted sum of its events."""
    clusters: int = Field(32, ge=1)
    """Number of clusters K."""
    assignment: Literal["annealed", "straight-through"] = "annealed"
    """How an event is given to a cluster: by a softmax whose temperature falls in training, or one-hot with the
    gradient of a softmax."""
    temperature: float = Field(0.1, gt=0, le=1)
    """Temperature at the end of the annealing, and of every prediction; it begins with 1."""
    anneal: float = Field(0.5, gt=0, le=1)
    """Share of the planned training over which the temperature falls."""
    vectors: Literal["pooled", "trained"] = "pooled"
    """Vectors of the clusters: means of their events in the session, weighted by attention, or a trained table."""
    combination: Literal["product", "sum"] = "product"
    """What the session is: the clusters' vectors, each weighted by its own attention times that of its events,
    renormalised, or the sum of the clusters weighted by their attention and the events weighted by theirs."""
    importance: Literal["shared", "own"] = "shared"
    """Importance vector of the events in the final attention: that of the clusters, or their own."""
    recency: bool = True
    """Whether both attentions to events learn how much an event's distance from the end of the session counts; the
    network as first described knows no order."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout rate of the embedded events."""
    training: SequenceTraining = SequenceTraining(
        epochs=16, batch_size=256, learning_rate=0.004, schedule="linear", loss=NCE(n_samples=512, alpha=0.75)
    )
    """How it is trained."""

    search = {**SequenceConfig.search, "clusters": Range(4, 64, log=True), "dropout": Range(0.0, 0.6)}


class AttentionClustering(SequenceModel):
    """Gated attention over the session, its events gathered in clusters, attention over clusters and events.

    The state after an event depends on no later event, so that one pass trains every prefix of a session.
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
                f"{self.name}.combination: must be 'product' with vectors 'trained', got 'sum': a cluster would count "
                "the same whatever its events are, and the assignment would learn nothing"
            )

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
        """Say how many clusters are in use."""
        yield from super().remarks(train)
        if self.config.clustering:
            yield f"{self.share_in_use():.0%} of {self.config.clusters} clusters hold items"

    def clusters(self) -> Int64[np.ndarray, "N"]:
        """Return the cluster, 0..K-1, that each item of the vocabulary belongs to most.

        Raises:
            ParameterError: the network has no clusters.
        """
        if not self.config.clustering:
            raise ParameterError(f"{self.name}.clustering: must be true for a network with clusters, got false")
        chosen: np.ndarray = self.network.members()[1:].argmax(1).cpu().numpy()
        return chosen

    def share_in_use(self) -> float:
        """Return the share of the clusters that hold at least one item."""
        return len(np.unique(self.clusters())) / self.config.clusters
