"""NARM: a recurrent network whose last state attends to the states before it."""

from typing import Literal, Unpack

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.data.vocabulary import PADDING
from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.attention import SessionAttention, attention_mask
from segue.nn.encoders.base import CausalEncoder, WindowSizes
from segue.nn.encoders.layers import Dropout
from segue.nn.losses.config import SampledSoftmax
from segue.spaces import Range
from segue.training.config import SequenceTraining


class NARMConfig(SequenceConfig):
    """Parameters of NARM."""

    embedding_size: int = Field(100, ge=1)
    """Width of the item embeddings."""
    max_length: int = Field(20, ge=1, le=100_000)
    """Number of most recent events of a session to use."""
    hidden_size: int = Field(100, ge=1)
    """Number of units of each recurrent layer."""
    layers: int = Field(1, ge=1, le=100)
    """Number of recurrent layers."""
    attention: Literal["paper", "authors"] = "paper"
    """Attention weights: as in the paper, or as in the authors' code (a softmax of hard sigmoids)."""
    dropout_embedding: float = Field(0.25, ge=0, lt=1)
    """Dropout rate of the embedded events."""
    dropout_context: float = Field(0.5, ge=0, lt=1)
    """Dropout rate of the decoder input: the last state and the attended states."""
    training: SequenceTraining = SequenceTraining(
        loss=SampledSoftmax(n_samples=2048), optimizer="adagrad", learning_rate=0.07, batch_size=32, epochs=6
    )
    """Training parameters."""

    presets = {
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

    search = {
        **SequenceConfig.search,
        "hidden_size": Range(50, 400, log=True),
        "dropout_embedding": Range(0.0, 0.6),
        "dropout_context": Range(0.0, 0.7),
    }


class AttentiveGRU(CausalEncoder):
    """A recurrent layer, attention over its states, and a bilinear decoder.

    The recurrent layers have no biases, as in the paper's equations: over padding, where the input is zero, a state of
    zero stays zero. The item table starts wider than that of other networks, at ``1 / sqrt(D)``: a state is small
    where its inputs are, and learning starts slowly.

    Args:
        hidden_size: width H of the recurrent layers.
        layers: recurrent layers.
        attention: attention of width H.
        dropout_embedding: dropout rate of the embedded events.
        dropout_context: dropout rate of the input of the decoder.
        **sizes: see ``SequenceEncoder``.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        layers: int,
        attention: SessionAttention,
        dropout_embedding: float,
        dropout_context: float,
        **sizes: Unpack[WindowSizes],
    ) -> None:
        embedding_size = sizes["embedding_size"]
        super().__init__(**sizes, init_std=embedding_size**-0.5)
        self.gru = nn.GRU(embedding_size, hidden_size, layers, bias=False, batch_first=True)
        self.attention = attention
        self.decoder = nn.Linear(2 * hidden_size, embedding_size, bias=False)
        self.dropout_embedding = Dropout(dropout_embedding)
        self.dropout_context = Dropout(dropout_context)

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the decoded context after each event."""
        hidden = self._hidden(window)
        return self._decode(hidden, hidden, attention_mask(window.items, causal=True).squeeze(1))

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the decoded context after the last event of each session."""
        hidden = self._hidden(window)
        return self._decode(hidden[:, -1:], hidden, (window.items != PADDING).unsqueeze(1)).squeeze(1)

    def _hidden(self, window: Window) -> Float[Tensor, "B L H"]:
        hidden: Tensor = self.gru(self.dropout_embedding(self.embed(window)))[0]
        return hidden

    def _decode(
        self, current: Float[Tensor, "B Q H"], hidden: Float[Tensor, "B L H"], mask: Bool[Tensor, "B Q L"]
    ) -> Float[Tensor, "B Q D"]:
        context = torch.cat((current, self.attention(current, hidden, mask)), dim=2)
        decoded: Tensor = self.decoder(self.dropout_context(context))
        return decoded


class NARM(SequenceModel):
    """Recurrent network whose last state attends to all states of the session.

    The context after an event does not depend on later events, so one pass trains every prefix of a session. As in
    RecBole, and unlike in the authors' code, the recurrent cell is ``torch.nn.GRU``: it resets after the matrix product
    and its gates are smooth.
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
            **self.sizes(n_items),
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
