"""HSTU: a generative recommender's sequence encoder."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from segue.data.sessions import Sessions
from segue.models.sequence import Heads, SequenceConfig, SequenceModel
from segue.nn.encoders.hstu import HSTUBlock, HSTUEncoder, RelativeBias
from segue.spaces import Around, Choice, Range, Space
from segue.training.config import SequenceTraining

_BUCKETS = 129
"""Buckets of time, as in the authors' code; the last ones are longer than all of history."""


_AUTHORS: Mapping[str, Any] = {
    "windows": "recent",
    "epochs": 101,
    "loss": {"name": "sampled-softmax", "n_samples": 128, "alpha": 0.0, "logq": 0.0},
}
"""Training of the authors' code; ours shares the negatives in a step."""


class HSTUConfig(SequenceConfig):
    """Parameters of HSTU."""

    layers: int = Field(2, ge=1)
    """Sequential transduction units."""
    heads: Heads = 1
    """Attention heads; must divide embedding_size."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the input and of the gated values of each unit that is dropped in training."""
    similarity: Literal["cosine"] = "cosine"
    """Score of an item: the cosine of state and embedding."""
    temperature: float = Field(0.05, gt=0)
    """What the cosine of a state and an item is divided by."""
    training: SequenceTraining = SequenceTraining(epochs=30, metric="ndcg@10")
    """How it is trained."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "ml-1m": {
            "embedding_size": 128,
            "max_length": 100,
            "training": {
                "epochs": 20,
                "patience": None,
                "learning_rate": 2e-3,
                "schedule": "linear",
                "warmup": 0.05,
            },
        },
        "authors": {
            "embedding_size": 50,
            "max_length": 200,
            "training": _AUTHORS,
        },
        "authors-large": {
            "embedding_size": 50,
            "max_length": 200,
            "layers": 8,
            "heads": 2,
            "training": _AUTHORS,
        },
    }

    search: ClassVar[Mapping[str, Space | Around]] = {
        **SequenceConfig.search,
        "layers": Range(1, 4),
        "heads": Choice((1, 2, 4)),
        "dropout": Range(0.0, 0.6),
        "temperature": Range(0.02, 0.2, log=True),
    }


class HSTU(SequenceModel):
    """Gated attention without a softmax, biased by the positions of two events and by the time between them.

    Equal weights give the outputs of the authors' research code, told the same moments. Where we differ: their code
    compares the times of the past events with that of the event to be predicted, which a recommender is not told; ours
    compares them with that of the last event that it has seen. Positions count back from the end, and the default loss
    is the full cross-entropy. Without times, in training or in a session, the time bias is left out.
    """

    name = "hstu"
    paper = "Zhai et al. 2024, arXiv 2402.17152"
    Config = HSTUConfig
    Network = HSTUEncoder
    config: HSTUConfig

    def build(self, n_items: int) -> HSTUEncoder:
        """Return a network with fresh weights."""
        width, length, dropout = self.config.embedding_size, self.config.max_length, self.config.dropout
        blocks = [
            HSTUBlock(
                width=width,
                heads=self.config.heads,
                bias=RelativeBias(max_length=length, buckets=_BUCKETS),
                length=length,
                dropout=dropout,
            )
            for _ in range(self.config.layers)
        ]
        return HSTUEncoder(
            n_items=n_items,
            embedding_size=width,
            max_length=length,
            blocks=blocks,
            buckets=_BUCKETS,
            dropout=dropout,
            temperature=self.config.temperature,
        )

    def remarks(self, train: Sessions) -> Iterator[str]:
        """Say where the times were missing."""
        if train.times is None:
            yield "the log has no times, so the time bias was left out: not like for like with published results"
