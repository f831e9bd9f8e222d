"""STAMP: attention over the session's items, led by its last item and by their mean."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.session_attention import AttentionMemory
from segue.nn.losses.config import SampledSoftmax
from segue.spaces import Around, Range, Space
from segue.training.config import SequenceTraining


class STAMPConfig(SequenceConfig):
    """Parameters of STAMP."""

    embedding_size: int = Field(100, ge=1)
    """Width of the item embeddings and of all layers."""
    attention: Literal["paper", "authors"] = "authors"
    """What the attention gives: the weighted sum of the events, or that plus their mean, as in the authors' code."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the embedded events that is dropped in training; the paper drops none."""
    training: SequenceTraining = SequenceTraining(
        loss=SampledSoftmax(n_samples=2048), optimizer="adagrad", learning_rate=0.07, batch_size=32, epochs=5
    )
    """How it is trained."""

    search: ClassVar[Mapping[str, Space | Around]] = {
        **SequenceConfig.search,
        "dropout": Range(0.0, 0.6),
    }


class STAMP(SequenceModel):
    """Product of the session's memory, found by attention, and of its last item.

    What comes out after an event depends on no later event, so that one pass trains every prefix of a session. Three
    details of the authors' code are not followed: their layers have no biases, they cut the embeddings of the events
    to a norm of 1, and they start from narrower weights.
    """

    name = "stamp"
    paper = "Liu et al. 2018, doi 10.1145/3219819.3219950"
    Config = STAMPConfig
    Network = AttentionMemory
    config: STAMPConfig

    def build(self, n_items: int) -> AttentionMemory:
        """Return a network with fresh weights."""
        return AttentionMemory(
            n_items=n_items,
            embedding_size=self.config.embedding_size,
            max_length=self.config.max_length,
            attention=self.config.attention,
            dropout=self.config.dropout,
        )
