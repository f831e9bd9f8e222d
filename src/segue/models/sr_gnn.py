"""SR-GNN: the session as a graph of its items, read by a graph neural network."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.session_graph import SessionGraphNetwork
from segue.nn.losses.config import SampledSoftmax
from segue.spaces import Around, Range, Space
from segue.training.config import SequenceTraining


class SRGNNConfig(SequenceConfig):
    """Parameters of SR-GNN."""

    embedding_size: int = Field(100, ge=1)
    """Width of the item embeddings and of all layers."""
    max_length: int = Field(20, ge=1)
    """Events of a session that are read, the most recent ones."""
    steps: int = Field(1, ge=1)
    """Steps in which the items of a session read from their neighbours."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the embedded items that is dropped in training; the paper drops none."""
    training: SequenceTraining = SequenceTraining(
        loss=SampledSoftmax(n_samples=2048), optimizer="adagrad", learning_rate=0.05, epochs=5
    )
    """How it is trained."""

    search: ClassVar[Mapping[str, Space | Around]] = {
        **SequenceConfig.search,
        "steps": Range(1, 3),
        "dropout": Range(0.0, 0.6),
    }


class SRGNN(SequenceModel):
    """Gated graph network over the items of the session, and attention of the last one to all.

    An item's state depends on what follows it, so that every prefix is read on its own. Where code and paper differ,
    this follows the authors' code: a transition that occurs twice counts once, and the gated step is that of
    ``torch.nn.GRUCell``, which resets after the matrix product, and whose update gate keeps the old state where it is
    1 (with the paper's convention its weights have the other sign). The code's biases behind the neighbours' means
    are left out, since those of the cell's input do the same.
    """

    name = "sr-gnn"
    paper = "Wu et al. 2019, arXiv 1811.00855"
    Config = SRGNNConfig
    Network = SessionGraphNetwork
    config: SRGNNConfig

    def build(self, n_items: int) -> SessionGraphNetwork:
        """Return a network with fresh weights."""
        return SessionGraphNetwork(
            n_items=n_items,
            embedding_size=self.config.embedding_size,
            max_length=self.config.max_length,
            steps=self.config.steps,
            dropout=self.config.dropout,
        )
