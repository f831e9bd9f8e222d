"""NARM: a recurrent network whose last state looks back at the states before it."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.session_attention import AttentiveGRU, SessionAttention
from segue.nn.losses.config import SampledSoftmax
from segue.spaces import Around, Range, Space
from segue.training.config import SequenceTraining


class NARMConfig(SequenceConfig):
    """Parameters of NARM."""

    embedding_size: int = Field(100, ge=1)
    """Width of the item embeddings."""
    max_length: int = Field(20, ge=1)
    """Events of a session that are read, the most recent ones."""
    hidden_size: int = Field(100, ge=1)
    """Units of each recurrent layer."""
    layers: int = Field(1, ge=1)
    """Recurrent layers."""
    attention: Literal["paper", "authors"] = "paper"
    """Weights of the attention: as in the paper, or those of the authors' code, a softmax of hard sigmoids."""
    dropout_embedding: float = Field(0.25, ge=0, lt=1)
    """Share of the embedded events that is dropped in training."""
    dropout_context: float = Field(0.5, ge=0, lt=1)
    """Share of the context, which the decoder takes, that is dropped in training."""
    training: SequenceTraining = SequenceTraining(
        loss=SampledSoftmax(n_samples=2048), optimizer="adagrad", learning_rate=0.07, batch_size=32, epochs=6
    )
    """How it is trained."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "recbole": {
            "embedding_size": 64,
            "hidden_size": 128,
            "max_length": 50,
            "dropout_embedding": 0.25,
            "dropout_context": 0.5,
            "training": {
                "positions": "last",
                "loss": "cross-entropy",
                "optimizer": "adamw",
                "batch_size": 2048,
                "learning_rate": 1e-3,
            },
        },
    }

    search: ClassVar[Mapping[str, Space | Around]] = {
        **SequenceConfig.search,
        "hidden_size": Range(50, 400, log=True),
        "dropout_embedding": Range(0.0, 0.6),
        "dropout_context": Range(0.0, 0.7),
    }


class NARM(SequenceModel):
    """Recurrent network with attention of its last state to all states of the session.

    The context after an event depends on no later event, so that one pass trains every prefix of a session. As in
    RecBole, and unlike the authors' code, the recurrent cell is that of ``torch.nn.GRU``: it resets after the matrix
    product and its gates are smooth.
    """

    name = "narm"
    paper = "Li et al. 2017, arXiv 1711.04725"
    Config = NARMConfig
    Network = AttentiveGRU
    config: NARMConfig

    def build(self, n_items: int) -> AttentiveGRU:
        """Return a network with fresh weights."""
        size = self.config.hidden_size
        return AttentiveGRU(
            n_items=n_items,
            embedding_size=self.config.embedding_size,
            max_length=self.config.max_length,
            hidden_size=size,
            layers=self.config.layers,
            attention=SessionAttention(
                query_size=size,
                event_size=size,
                hidden_size=size,
                bias=False,
                normalised=self.config.attention == "authors",
            ),
            dropout_embedding=self.config.dropout_embedding,
            dropout_context=self.config.dropout_context,
        )
