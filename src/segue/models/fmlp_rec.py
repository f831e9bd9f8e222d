"""FMLP-Rec: filters in the frequency domain in place of attention."""

from collections.abc import Iterable
from typing import Unpack

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.models.sequence import BEAUTY_PREFIXES, SESSIONS, SequenceConfig, SequenceModel
from segue.nn.encoders.base import SequenceEncoder, WindowSizes
from segue.nn.encoders.layers import Activation, Dropout, FeedForward, Positions
from segue.spaces import Choice, Range
from segue.training.config import SequenceTraining

_EPSILON = 1e-12
"""Of the layer normalisations."""


class FMLPRecConfig(SequenceConfig):
    """Parameters of FMLP-Rec."""

    max_length: int = Field(50, ge=1, le=100_000)
    """Number of most recent events of a session to use, and length of the filters; shorter sessions are padded."""
    layers: int = Field(2, ge=1, le=100)
    """Number of filter blocks."""
    inner_size: int = Field(256, ge=1)
    """Width of the feed-forward layers."""
    activation: Activation = "gelu"
    """Activation of the feed-forward layers."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout rate of the input and of the output of each layer."""
    training: SequenceTraining = SequenceTraining(batch_size=256)
    """Training parameters."""

    presets = {
        "beauty": {
            "max_length": 20,
            "dropout": 0.5,
            "similarity": "cosine",
            "training": {**BEAUTY_PREFIXES, "metric": "ndcg@10"},
        },
        "sessions": {
            "embedding_size": 100,
            "inner_size": 100,
            "max_length": 10,
            "dropout": 0.3,
            "training": {**SESSIONS, "batch_size": 128},
        },
        "authors": {
            "max_length": 50,
            "dropout": 0.5,
            "training": {
                "epochs": 200,
                "patience": 10,
                "batch_size": 256,
                "learning_rate": 1e-3,
                "loss": {"kind": "bce", "n_samples": 1, "alpha": 0.0},
                "metric": "mrr@10",
            },
        },
    }

    search = {
        **SequenceConfig.search,
        "layers": Range(1, 4),
        "inner_size": Choice((64, 128, 256, 512)),
        "dropout": Range(0.0, 0.7),
    }


class Filter(nn.Module):
    """A filter over the positions of a window, its own for each dimension: spectrum times a learnt complex weight.

    By the convolution theorem this is a circular convolution: each output depends on all positions, on later ones too.

    Args:
        length: positions L of a window.
        hidden_size: width D.
    """

    def __init__(self, *, length: int, hidden_size: int) -> None:
        super().__init__()
        self.length = length
        self.weight = nn.Parameter(torch.empty(length // 2 + 1, hidden_size, 2))  # real and imaginary parts
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, values: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Return the filtered values of all positions."""
        spectrum = torch.fft.rfft(values.float(), dim=1) * torch.view_as_complex(self.weight)
        filtered: Tensor = torch.fft.irfft(spectrum, n=self.length, dim=1)
        return filtered

    def last(self, values: Float[Tensor, "B L D"]) -> Float[Tensor, "B D"]:
        """Return the filtered values of the last position alone: one sum of the convolution, no transform."""
        kernel = torch.fft.irfft(torch.view_as_complex(self.weight), n=self.length, dim=0)
        filtered: Tensor = (values * kernel.flip(0)).sum(1)
        return filtered


class FilterBlock(nn.Module):
    """A filter and a feed-forward layer, each added to its input and normalised.

    Args:
        mixer: the filter.
        feed_forward: the feed-forward layer.
        hidden_size: width D.
        dropout: dropout rate of the output of each sub-layer.
    """

    def __init__(self, *, mixer: Filter, feed_forward: FeedForward, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.filter = mixer
        self.feed_forward = feed_forward
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size, _EPSILON) for _ in range(2))
        self.dropout = Dropout(dropout)

    def forward(self, values: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Return the output at all positions."""
        return self._output(values, self.filter(values))

    def last(self, values: Float[Tensor, "B L D"]) -> Float[Tensor, "B D"]:
        """Return the output at the last position."""
        return self._output(values[:, -1], self.filter.last(values))

    def _output(self, values: Float[Tensor, "*B D"], filtered: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        values = self.norms[0](values + self.dropout(filtered))
        output: Tensor = self.norms[1](values + self.dropout(self.feed_forward(values)))
        return output


class FilterEncoder(SequenceEncoder):
    """Filter blocks over embedded events and their positions; padding is part of the input.

    Args:
        blocks: the blocks, at least one; of the last one only the last position is computed.
        dropout: dropout rate of the embedded input.
        **sizes: see ``SequenceEncoder``.
    """

    fixed_width = True

    def __init__(self, *, blocks: Iterable[FilterBlock], dropout: float, **sizes: Unpack[WindowSizes]) -> None:
        super().__init__(**sizes)
        self.positions = Positions(max_length=self.max_length, hidden_size=self.input_size)
        self.norm = nn.LayerNorm(self.input_size, _EPSILON)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(blocks)

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each session."""
        values = self.dropout(self.norm(self.positions(self.embed(window))))
        for block in self.blocks[:-1]:
            values = block(values)
        final = self.blocks[-1]
        assert isinstance(final, FilterBlock)
        return final.last(values)


class FMLPRec(SequenceModel):
    """Learnable filters over the positions of the session, trained on every prefix with its last position.

    A filter is a circular convolution: its output at a position depends on later events, so training at all positions
    would leak the targets. Equal weights give the outputs of the authors' code. Where we differ: row 0
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
        config, size = self.config, self.config.embedding_size
        blocks = [
            FilterBlock(
                mixer=Filter(length=config.max_length, hidden_size=size),
                feed_forward=FeedForward(hidden_size=size, inner_size=config.inner_size, activation=config.activation),
                hidden_size=size,
                dropout=config.dropout,
            )
            for _ in range(config.layers)
        ]
        return FilterEncoder(**self.sizes(n_items), blocks=blocks, dropout=config.dropout)
