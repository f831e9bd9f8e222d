"""gSASRec: SASRec against the overconfidence that negative sampling brings."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from segue.models.sequence import Heads, SequenceConfig, SequenceModel
from segue.nn.encoders.transformer import Attention, FeedForward, TransformerBlock, TransformerEncoder, TransformerStack
from segue.nn.losses.config import GBCE
from segue.spaces import Around, Choice, Range, Space
from segue.training.config import SequenceTraining


class GSASRecConfig(SequenceConfig):
    """Parameters of gSASRec."""

    layers: int = Field(2, ge=1)
    """Transformer blocks."""
    heads: Heads = 1
    """Attention heads; must divide embedding_size."""
    inner_size: int = Field(64, ge=1)
    """Width of the feed-forward layer."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the input, of the attention weights and of each layer's output that is dropped in training."""
    training: SequenceTraining = SequenceTraining(
        epochs=30,
        batch_size=32,
        metric="ndcg@10",
        loss=GBCE(n_samples=256, targets_per_draw=20, alpha=0.0, gbce_t=0.75),
    )
    """How it is trained."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "ml-1m": {
            "embedding_size": 128,
            "inner_size": 128,
            "max_length": 100,
            "training": {
                "epochs": 24,
                "patience": None,
                "learning_rate": 1.5e-3,
                "schedule": "linear",
                "warmup": 0.02,
            },
        },
        "authors": {
            "embedding_size": 128,
            "inner_size": 128,
            "max_length": 200,
            "dropout": 0.5,
            "training": {"windows": "recent", "batch_size": 128, "epochs": 10000, "patience": 200},
        },
    }

    search: ClassVar[Mapping[str, Space | Around]] = {
        **SequenceConfig.search,
        "layers": Range(1, 4),
        "heads": Choice((1, 2, 4)),
        "inner_size": Choice((64, 128, 256, 512)),
        "dropout": Range(0.0, 0.6),
        "training.loss.gbce_t": Range(0.0, 1.0),
    }


class GSASRec(SequenceModel):
    """SASRec trained with generalised binary cross-entropy and many negatives.

    Equal weights give the outputs of the authors' code where input and output share their item table, as in the
    paper; as published, that code keeps two. Its transformer differs from SASRec's in three details, which are
    followed: the item embeddings are not scaled, no projection mixes the heads, and the layer normalisations add 1e-5.
    Where we differ: positions count back from the end; negatives are drawn for every 20 targets
    (``targets_per_draw``) and not for each, which learns as well at a fraction of the cost; and one that is the target
    itself is left out. Small batches matter: this loss needs some thousand steps before it learns anything but
    popularity.
    """

    name = "gsasrec"
    paper = "Petrov and Macdonald 2023, arXiv 2308.07192"
    Config = GSASRecConfig
    Network = TransformerEncoder
    config: GSASRecConfig

    def build(self, n_items: int) -> TransformerEncoder:
        """Return a network with fresh weights."""
        width, length, dropout = self.config.embedding_size, self.config.max_length, self.config.dropout
        inner = self.config.inner_size
        blocks = [
            TransformerBlock(
                attention=Attention(width=width, heads=self.config.heads, dropout=dropout, mixed=False),
                feed_forward=FeedForward(width=width, inner=inner, activation="relu", dropout=dropout),
                width=width,
                arrangement="query",
                dropout=dropout,
                epsilon=1e-5,
            )
            for _ in range(self.config.layers)
        ]
        stack = TransformerStack(
            max_length=length, width=width, blocks=blocks, final=nn.LayerNorm(width), dropout=dropout
        )
        return TransformerEncoder(n_items=n_items, embedding_size=width, max_length=length, stack=stack)
