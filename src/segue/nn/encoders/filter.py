"""Learnable filters in the frequency domain, and an encoder of them."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.nn.encoders.dropout import Dropout
from segue.nn.encoders.sequence import SequenceEncoder
from segue.nn.encoders.transformer import FeedForward, Positions


class Filter(nn.Module):
    """A filter over the positions of a window, its own for each dimension: spectrum times a learnt complex weight.

    By the convolution theorem this is a circular convolution: each output depends on all positions, on later ones too.

    Args:
        length: positions L of a window.
        width: width D.
    """

    def __init__(self, *, length: int, width: int) -> None:
        super().__init__()
        self.length = length
        self.weight = nn.Parameter(torch.empty(length // 2 + 1, width, 2))  # real and imaginary parts
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
        mixer: the filter, the first sub-layer.
        feed_forward: the second one.
        width: width D.
        dropout: share of each sub-layer's output that training drops.
        epsilon: of the layer normalisations.
    """

    def __init__(
        self, *, mixer: Filter, feed_forward: FeedForward, width: int, dropout: float, epsilon: float = 1e-12
    ) -> None:
        super().__init__()
        self.filter = mixer
        self.feed_forward = feed_forward
        self.norms = nn.ModuleList(nn.LayerNorm(width, epsilon) for _ in range(2))
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
        n_items: number of items N.
        embedding_size: width D of the items and of the blocks.
        max_length: columns of every window.
        blocks: the blocks, at least one; of the last one only the last position is computed.
        dropout: share of the embedded input that training drops.
        epsilon: of the input's layer normalisation.
    """

    fixed_width = True

    def __init__(
        self,
        *,
        n_items: int,
        embedding_size: int,
        max_length: int,
        blocks: Iterable[FilterBlock],
        dropout: float,
        epsilon: float = 1e-12,
    ) -> None:
        super().__init__(n_items=n_items, embedding_size=embedding_size, max_length=max_length)
        self.positions = Positions(max_length=max_length, width=embedding_size)
        self.norm = nn.LayerNorm(embedding_size, epsilon)
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
