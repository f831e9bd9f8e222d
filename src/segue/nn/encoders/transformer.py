"""The transformer of the SASRec family: one block with four orders of normalisation, a stack, a causal encoder."""

from typing import Literal, Unpack

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.data.vocabulary import PADDING
from segue.nn.encoders.attention import Attention, attention_mask
from segue.nn.encoders.base import CausalEncoder, SequenceEncoder, WindowSizes
from segue.nn.encoders.layers import Activation, Dropout, FeedForward, Positions, SwiGLU

NormOrder = Literal["post", "pre", "query", "gated"]
"""Where a sub-layer ``f`` is normalised by ``n`` and how it is added to its input ``x``.

    post    n(x + f(x))                     Vaswani et al., 2017; BERT4Rec
    pre     x + f(n(x))                     Xiong et al., 2020
    query   n(x) + f(n(x)), where attention takes its queries from n(x), and keys and values from x: SASRec's code
    gated   x + sigmoid(W x) * f(n(x))      LiGR layers: eSASRec
"""


class TransformerBlock(nn.Module):
    """Attention and a feed-forward layer, each normalised and added in a given order.

    Args:
        attention: the first sub-layer.
        feed_forward: the second one.
        hidden_size: width D.
        norm_order: see ``NormOrder``.
        dropout: dropout rate of the output of each sub-layer.
        epsilon: epsilon of the layer normalisations.
    """

    def __init__(
        self,
        *,
        attention: Attention,
        feed_forward: nn.Module,
        hidden_size: int,
        norm_order: NormOrder,
        dropout: float,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__()
        self.norm_order = norm_order
        self.attention = attention
        self.feed_forward = feed_forward
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size, epsilon) for _ in range(2))
        n_gates = 2 if norm_order == "gated" else 0
        self.gates = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(n_gates))
        self.dropout = Dropout(dropout)

    def forward(self, values: Float[Tensor, "B L D"], mask: Bool[Tensor, "B 1 L L"]) -> Float[Tensor, "B L D"]:
        """Return the values after both sub-layers."""
        normalised = values if self.norm_order == "post" else self.norms[0](values)
        memory = values if self.norm_order == "query" else normalised
        values = self._add(0, values, normalised, self.attention(normalised, memory, mask))
        normalised = values if self.norm_order == "post" else self.norms[1](values)
        return self._add(1, values, normalised, self.feed_forward(normalised))

    def _add(self, layer: int, values: Tensor, normalised: Tensor, output: Tensor) -> Float[Tensor, "B L D"]:
        output = self.dropout(output)
        match self.norm_order:
            case "post":
                summed: Tensor = self.norms[layer](values + output)
                return summed
            case "pre":
                return values + output
            case "query":
                return normalised + output
            case "gated":
                return values + torch.sigmoid(self.gates[layer](values)) * output


class TransformerStack(nn.Module):
    """Blocks over embedded events and their positions.

    Args:
        max_length: number of positions.
        hidden_size: width D.
        layers: number of blocks.
        heads: attention heads; divides D.
        inner_size: width of the feed-forward layers.
        activation: activation of the feed-forward layers, or ``"swiglu"``.
        norm_order: see ``NormOrder``.
        dropout: dropout rate of the embedded events and of the layers' outputs.
        attention_dropout: dropout rate of the attention weights.
        inner_dropout: dropout rate inside of the feed-forward layers; None takes ``dropout``.
        epsilon: epsilon of the layer normalisations in the blocks.
        mix_heads: whether a projection mixes the attention heads.
        input_norm: epsilon of the layer normalisation before the first block; None for none.
        final_norm: epsilon of the layer normalisation after the last block; None for none.
    """

    def __init__(
        self,
        *,
        max_length: int,
        hidden_size: int,
        layers: int,
        heads: int,
        inner_size: int,
        activation: Activation | Literal["swiglu"],
        norm_order: NormOrder,
        dropout: float,
        attention_dropout: float,
        inner_dropout: float | None = None,
        epsilon: float = 1e-5,
        mix_heads: bool = True,
        input_norm: float | None = None,
        final_norm: float | None = None,
    ) -> None:
        super().__init__()
        inner = dropout if inner_dropout is None else inner_dropout

        def feed_forward() -> nn.Module:
            if activation == "swiglu":
                return SwiGLU(hidden_size=hidden_size, inner_size=inner_size, dropout=inner)
            return FeedForward(hidden_size=hidden_size, inner_size=inner_size, activation=activation, dropout=inner)

        blocks = [
            TransformerBlock(
                attention=Attention(
                    hidden_size=hidden_size, heads=heads, dropout=attention_dropout, mix_heads=mix_heads
                ),
                feed_forward=feed_forward(),
                hidden_size=hidden_size,
                norm_order=norm_order,
                dropout=dropout,
                epsilon=epsilon,
            )
            for _ in range(layers)
        ]
        self.positions = Positions(max_length=max_length, hidden_size=hidden_size)
        self.blocks = nn.ModuleList(blocks)
        self.initial = nn.Identity() if input_norm is None else nn.LayerNorm(hidden_size, input_norm)
        self.final = nn.Identity() if final_norm is None else nn.LayerNorm(hidden_size, final_norm)
        self.dropout = Dropout(dropout)

    def forward(self, embedded: Float[Tensor, "B L D"], mask: Bool[Tensor, "B 1 L L"]) -> Float[Tensor, "B L D"]:
        """Return the state at each position."""
        values = self.dropout(self.initial(self.positions(embedded)))
        for block in self.blocks:
            values = block(values, mask)
        states: Tensor = self.final(values)
        return states


class TransformerEncoder(CausalEncoder):
    """A transformer whose positions attend to no later event.

    Args:
        stack: turns embedded events into states.
        scale: factor of the item embeddings at the input.
        **sizes: see ``SequenceEncoder``.
    """

    def __init__(self, *, stack: TransformerStack, scale: float = 1.0, **sizes: Unpack[WindowSizes]) -> None:
        super().__init__(**sizes)
        self.stack = stack
        self.scale = scale

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state after each event."""
        states: Tensor = self.stack(self.scale * self.embed(window), attention_mask(window.items, causal=True))
        return states


def initialize_normal(network: SequenceEncoder, std: float) -> None:
    """Draw all weights of a transformer from ``N(0, std ** 2)``, as BERT does; biases and padding are zero.

    Layer normalisations and the embeddings of context features keep their values.
    """
    for module in network.modules():
        if not isinstance(module, nn.LayerNorm | nn.ParameterList):
            for name, parameter in module.named_parameters(recurse=False):
                if name == "bias":
                    nn.init.zeros_(parameter)
                else:
                    nn.init.normal_(parameter, std=std)
    nn.init.zeros_(network.items.data[PADDING])
