"""eSASRec: SASRec with gated blocks and a sampled softmax."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from segue.models.sequence import Heads, SequenceConfig, SequenceModel
from segue.nn.encoders.transformer import Attention, SwiGLU, TransformerBlock, TransformerEncoder, TransformerStack
from segue.nn.losses.config import SampledSoftmax
from segue.spaces import Around, Choice, Range, Space
from segue.training.config import SequenceTraining


class ESASRecConfig(SequenceConfig):
    """Parameters of eSASRec."""

    layers: int = Field(2, ge=1)
    """Transformer blocks."""
    heads: Heads = 2
    """Attention heads; must divide embedding_size."""
    inner_size: int = Field(256, ge=1)
    """Width of the feed-forward layer."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the input, of the attention weights and of each layer's output that is dropped in training."""
    training: SequenceTraining = SequenceTraining(
        epochs=30, batch_size=32, metric="ndcg@10", loss=SampledSoftmax(n_samples=512, alpha=0.0)
    )
    """How it is trained."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "ml-1m": {
            "embedding_size": 128,
            "max_length": 100,
            "training": {
                "epochs": 16,
                "patience": None,
                "learning_rate": 1.5e-3,
                "schedule": "linear",
                "warmup": 0.02,
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


class ESASRec(SequenceModel):
    """SASRec with LiGR layers: a gate decides how much of each sub-layer is added, and the feed-forward is a SwiGLU.

    Equal weights give the outputs of RecTools' code where padding is masked; as published, its padding is attended to.
    Where we differ: the negatives of a step, uniform as theirs, are shared by its targets, and the logQ correction says
    how often each was expected.
    """

    name = "esasrec"
    paper = "Tikhonovich et al. 2025, arXiv 2508.06450"
    Config = ESASRecConfig
    Network = TransformerEncoder
    config: ESASRecConfig

    def build(self, n_items: int) -> TransformerEncoder:
        """Return a network with fresh weights."""
        width, length, dropout = self.config.embedding_size, self.config.max_length, self.config.dropout
        blocks = [
            TransformerBlock(
                attention=Attention(width=width, heads=self.config.heads, dropout=dropout),
                feed_forward=SwiGLU(width=width, inner=self.config.inner_size, dropout=dropout),
                width=width,
                arrangement="gated",
                dropout=dropout,
                epsilon=1e-5,
            )
            for _ in range(self.config.layers)
        ]
        stack = TransformerStack(max_length=length, width=width, blocks=blocks, final=nn.Identity(), dropout=dropout)
        return TransformerEncoder(n_items=n_items, embedding_size=width, max_length=length, stack=stack)
