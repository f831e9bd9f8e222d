"""SASRec: a causal transformer over the session's most recent events."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from segue.models.sequence import Heads, SequenceConfig, SequenceModel
from segue.nn.encoders.transformer import (
    Activation,
    Arrangement,
    Attention,
    FeedForward,
    TransformerBlock,
    TransformerEncoder,
    TransformerStack,
)
from segue.spaces import Around, Choice, Range, Space
from segue.training.config import SequenceTraining


class SASRecConfig(SequenceConfig):
    """Parameters of SASRec."""

    layers: int = Field(2, ge=1)
    """Transformer blocks."""
    heads: Heads = 1
    """Attention heads; must divide embedding_size."""
    inner_size: int = Field(64, ge=1)
    """Width of the feed-forward layer."""
    activation: Activation = "relu"
    """Activation of the feed-forward layer."""
    arrangement: Arrangement = "query"
    """Where a block normalises: as the authors do (query), before (pre) or after (post) its sub-layers, or gated."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the input, of the attention weights and of each layer's output that is dropped in training."""
    training: SequenceTraining = SequenceTraining(epochs=30, learning_rate=1e-3, metric="ndcg@10")
    """How it is trained."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "recbole": {
            "inner_size": 256,
            "heads": 2,
            "activation": "gelu",
            "arrangement": "post",
            "dropout": 0.5,
            "training": {"positions": "last"},
        },
        "authors": {
            "embedding_size": 50,
            "inner_size": 50,
            "max_length": 200,
            "training": {
                "windows": "recent",
                "epochs": 201,
                "loss": {"name": "bce", "n_samples": 1, "targets_per_draw": 1, "alpha": 0.0},
            },
        },
        "beauty": {
            "embedding_size": 128,
            "inner_size": 128,
            "dropout": 0.5,
            "training": {"epochs": 24, "patience": None, "schedule": "linear", "warmup": 0.05},
        },
        "sessions": {
            "embedding_size": 100,
            "inner_size": 100,
            "max_length": 10,
            "dropout": 0.3,
            "training": {
                "epochs": 4,
                "positions": "last",
                "schedule": "linear",
                "optimizer": "mixed",
                "loss": {"name": "sampled-softmax", "n_samples": 2048},
                "metric": "mrr@20",
            },
        },
        "ml-1m": {
            "embedding_size": 128,
            "inner_size": 256,
            "heads": 2,
            "max_length": 100,
            "training": {
                "epochs": 25,
                "patience": None,
                "learning_rate": 2e-3,
                "schedule": "linear",
                "warmup": 0.05,
            },
        },
    }

    search: ClassVar[Mapping[str, Space | Around]] = {
        **SequenceConfig.search,
        "layers": Range(1, 4),
        "heads": Choice((1, 2, 4)),
        "inner_size": Choice((64, 128, 256, 512)),
        "dropout": Range(0.0, 0.6),
    }


class SASRec(SequenceModel):
    """Causal self-attention over the session, the next item predicted at every position.

    Equal weights give the outputs of pmixer's PyTorch code, its queries normalised and its keys not, as in the
    authors'. Where we differ: positions count back from the end, padding is masked, and the default loss is the full
    cross-entropy instead of one negative per event. The preset ``recbole`` takes RecBole's sizes, blocks and training
    after the last event of every prefix; RecBole normalises the input as well, and not the output.
    """

    name = "sasrec"
    paper = "Kang and McAuley 2018, arXiv 1808.09781"
    Config = SASRecConfig
    Network = TransformerEncoder
    config: SASRecConfig

    def build(self, n_items: int) -> TransformerEncoder:
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
            )
            for _ in range(self.config.layers)
        ]
        stack = TransformerStack(
            max_length=length, width=width, blocks=blocks, final=nn.LayerNorm(width, 1e-8), dropout=dropout
        )
        return TransformerEncoder(
            n_items=n_items, embedding_size=width, max_length=length, stack=stack, scale=math.sqrt(width)
        )
