"""FMLP-Rec: filters in the frequency domain in place of attention."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.filter import Filter, FilterBlock, FilterEncoder
from segue.nn.encoders.transformer import Activation, FeedForward
from segue.spaces import Around, Choice, Range, Space
from segue.training.config import SequenceTraining


class FMLPRecConfig(SequenceConfig):
    """Parameters of FMLP-Rec."""

    max_length: int = Field(50, ge=1)
    """Events of a session that are read, and length of the filters; a shorter session is padded to it."""
    layers: int = Field(2, ge=1)
    """Filter blocks."""
    inner_size: int = Field(256, ge=1)
    """Width of the feed-forward layer."""
    activation: Activation = "gelu"
    """Activation of the feed-forward layer."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of the input and of each layer's output that is dropped in training."""
    training: SequenceTraining = SequenceTraining(batch_size=256)
    """How it is trained."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "sessions": {
            "embedding_size": 100,
            "inner_size": 100,
            "max_length": 10,
            "dropout": 0.3,
            "training": {
                "epochs": 4,
                "batch_size": 128,
                "schedule": "linear",
                "optimizer": "mixed",
                "loss": {"name": "sampled-softmax", "n_samples": 2048},
            },
        },
        "authors": {
            "max_length": 50,
            "dropout": 0.5,
            "training": {
                "epochs": 200,
                "patience": 10,
                "batch_size": 256,
                "learning_rate": 1e-3,
                "loss": {"name": "bce", "n_samples": 1, "alpha": 0.0},
                "metric": "mrr@10",
            },
        },
    }

    search: ClassVar[Mapping[str, Space | Around]] = {
        **SequenceConfig.search,
        "layers": Range(1, 4),
        "inner_size": Choice((64, 128, 256, 512)),
        "dropout": Range(0.0, 0.7),
    }


class FMLPRec(SequenceModel):
    """Learnable filters over the positions of the session, trained on every prefix with its last position.

    A filter is a circular convolution: what it says at a position depends on later events, so training at all
    positions would show it its targets. Equal weights give the outputs of the authors' code. Where we differ: row 0
    of the item table is zero, theirs starts random and stays so; the default loss is the full cross-entropy. Their
    paper's one-negative pairwise loss is ``training.loss="bpr"``; what their code minimises in its place is the
    preset ``authors``, but for its negative, which is shared by a step and may be an item of the session.
    """

    name = "fmlp-rec"
    paper = "Zhou et al. 2022, arXiv 2202.13556"
    Config = FMLPRecConfig
    Network = FilterEncoder
    config: FMLPRecConfig

    def build(self, n_items: int) -> FilterEncoder:
        """Return a network with fresh weights."""
        width, length, dropout = self.config.embedding_size, self.config.max_length, self.config.dropout
        blocks = [
            FilterBlock(
                mixer=Filter(length=length, width=width),
                feed_forward=FeedForward(width=width, inner=self.config.inner_size, activation=self.config.activation),
                width=width,
                dropout=dropout,
            )
            for _ in range(self.config.layers)
        ]
        return FilterEncoder(n_items=n_items, embedding_size=width, max_length=length, blocks=blocks, dropout=dropout)
