"""BERT4Rec: a transformer that looks both ways and fills in masked events."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from segue.data.batches.cloze import Cloze
from segue.data.batches.next_item import NextItemBatches
from segue.data.sessions import Sessions
from segue.models.sequence import Heads, SequenceConfig, SequenceModel
from segue.nn.encoders.transformer import (
    Activation,
    Arrangement,
    Attention,
    ClozeEncoder,
    FeedForward,
    TransformerBlock,
    TransformerStack,
)
from segue.spaces import Around, Choice, Range, Space
from segue.training.config import SequenceTraining


class BERT4RecTraining(SequenceTraining):
    """How BERT4Rec is trained: with masked events (positions 'auto'), or after every prefix (positions 'last')."""

    mask_ratio: float = Field(0.2, gt=0, lt=1)
    """Share of the events of a window that are masked, at least one of each; with positions 'auto'."""
    last_ratio: float = Field(0.1, ge=0, le=1)
    """Share of the windows in which the last event alone is masked; with positions 'auto'."""


class BERT4RecConfig(SequenceConfig):
    """Parameters of BERT4Rec."""

    max_length: int = Field(50, ge=2)
    """Events of a session that are read, the most recent ones; the mask that stands for the next one is among them."""
    layers: int = Field(2, ge=1)
    """Transformer blocks."""
    heads: Heads = 2
    """Attention heads; must divide embedding_size."""
    inner_size: int = Field(256, ge=1)
    """Width of the feed-forward layer."""
    activation: Activation = "gelu"
    """Activation of the feed-forward layer."""
    arrangement: Arrangement = "pre"
    """Where a block normalises: before (pre) its sub-layers, after them as in the paper (post), and further ways."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the input, of the attention weights and of each layer's output that is dropped in training."""
    training: BERT4RecTraining = BERT4RecTraining(epochs=100, patience=10, metric="ndcg@10")
    """How it is trained."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "ml-1m": {
            "embedding_size": 128,
            "max_length": 100,
            "training": {
                "epochs": 40,
                "patience": None,
                "batch_size": 32,
                "mask_ratio": 0.3,
                "schedule": "linear",
                "warmup": 0.02,
            },
        },
        "recbole": {
            "embedding_size": 64,
            "inner_size": 256,
            "layers": 2,
            "heads": 2,
            "activation": "gelu",
            "arrangement": "post",
            "dropout": 0.5,
            "max_length": 50,
            "training": {"mask_ratio": 0.2, "last_ratio": 0.5, "loss": "cross-entropy"},
        },
    }

    search: ClassVar[Mapping[str, Space | Around]] = {
        **SequenceConfig.search,
        "layers": Range(1, 4),
        "heads": Choice((1, 2, 4)),
        "inner_size": Choice((64, 128, 256, 512)),
        "dropout": Range(0.0, 0.6),
        "training.mask_ratio": Range(0.1, 0.6),
    }


class BERT4Rec(SequenceModel):
    """Bidirectional self-attention that learns to fill in masked events; the next event is one more mask at the end.

    Equal weights give the outputs of RecTools' code, whose blocks normalise before their sub-layers. Where we differ
    from the paper: so do ours by default; a state is compared with the item embeddings as it is, without a further
    layer and without item biases; positions count back from the end. Where we differ from RecTools: a masked event is
    always replaced by the mask, as in the paper, and some windows mask the last event alone. It needs long training.
    """

    name = "bert4rec"
    paper = "Sun et al. 2019, arXiv 1904.06690"
    Config = BERT4RecConfig
    Network = ClozeEncoder
    config: BERT4RecConfig

    def build(self, n_items: int) -> ClozeEncoder:
        """Return a network with fresh weights."""
        width, length, dropout = self.config.embedding_size, self.config.max_length, self.config.dropout
        inner, activation = self.config.inner_size, self.config.activation
        blocks = [
            TransformerBlock(
                attention=Attention(width=width, heads=self.config.heads, dropout=dropout),
                feed_forward=FeedForward(width=width, inner=inner, activation=activation, dropout=dropout),
                width=width,
                arrangement=self.config.arrangement,
                dropout=dropout,
                epsilon=1e-5,
            )
            for _ in range(self.config.layers)
        ]
        stack = TransformerStack(max_length=length, width=width, blocks=blocks, final=nn.Identity(), dropout=dropout)
        return ClozeEncoder(n_items=n_items, embedding_size=width, max_length=length, stack=stack)

    def _on_every_prefix(self) -> bool:
        return self.config.training.positions == "last"

    def batches(self, train: Sessions, seed: int) -> NextItemBatches:
        """Return masked windows, or every prefix where the positions are 'last'."""
        plan = self.config.training
        if self._on_every_prefix():
            return super().batches(train, seed)
        return Cloze(
            train,
            plan.batch_size,
            self.network.max_length,
            seed,
            mask_ratio=plan.mask_ratio,
            last_ratio=plan.last_ratio,
            recent_only=plan.windows == "recent",
        )
