"""The transformer block, once: who is normalised, what is added and what is masked are its parts."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.windows import Window
from segue.data.vocabulary import PADDING
from segue.nn.encoders.dropout import Dropout
from segue.nn.encoders.sequence import CausalEncoder, PositionwiseEncoder

Arrangement = Literal["post", "pre", "query", "gated"]
"""Where a sub-layer ``f`` is normalised by ``n`` and how it is added to its input ``x``.

    post    n(x + f(x))                     Vaswani et al., 2017; BERT4Rec
    pre     x + f(n(x))                     Xiong et al., 2020
    query   n(x) + f(n(x)), where attention takes its queries from n(x), and keys and values from x: SASRec's code
    gated   x + sigmoid(W x) * f(n(x))      LiGR layers: eSASRec
"""

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "swish": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
Activation = Literal["relu", "gelu", "swish", "tanh", "sigmoid"]


def visible(items: Int64[Tensor, "B L"], *, causal: bool) -> Bool[Tensor, "B 1 L L"]:
    """Return which position (column) each position (row) may look at: real events and, if causal, no later ones.

    A position always sees itself, so that padding has something to look at.
    """
    length = items.shape[1]
    real = (items != PADDING)[:, None, None, :]
    seen = real.expand(-1, -1, length, -1)
    if causal:
        seen = seen & torch.ones(length, length, dtype=torch.bool, device=items.device).tril()
    return seen | torch.eye(length, dtype=torch.bool, device=items.device)


def split_heads(values: Float[Tensor, "B L D"], heads: int) -> Float[Tensor, "B H L K"]:
    """Return the share of each head, which is a run of neighbouring dimensions."""
    batch, length, width = values.shape
    return values.view(batch, length, heads, width // heads).transpose(1, 2)


class Attention(nn.Module):
    """Scaled dot-product attention of several heads.

    Args:
        width: width D of input and output.
        heads: number of heads; divides D.
        dropout: share of the attention weights that training drops.
        mixed: whether one more projection mixes the outputs of the heads.
    """

    def __init__(self, *, width: int, heads: int, dropout: float = 0.0, mixed: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Linear(width, width)
        self.keys_values = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width) if mixed else nn.Identity()
        self.dropout = Dropout(dropout)

    def forward(
        self, queries: Float[Tensor, "B L D"], memory: Float[Tensor, "B L D"], seen: Bool[Tensor, "B 1 L L"]
    ) -> Float[Tensor, "B L D"]:
        """Return what each position takes from the positions it sees."""
        asked, (known, values) = self.queries(queries), self.keys_values(memory).chunk(2, dim=-1)
        asked, known, values = (split_heads(part, self.heads) for part in (asked, known, values))
        if self.training and self.dropout.rate > 0:
            logits = (asked @ known.mT) / math.sqrt(asked.shape[-1])  # [B, heads, L, L]
            taken = self.dropout(logits.masked_fill(~seen, -torch.inf).softmax(dim=-1)) @ values
        else:
            taken = functional.scaled_dot_product_attention(asked, known, values, attn_mask=seen)
        mixed: Tensor = self.output(taken.transpose(1, 2).flatten(2))
        return mixed


class FeedForward(nn.Module):
    """Two layers at each position on its own.

    Args:
        width: width D of input and output.
        inner: width of the hidden layer.
        activation: what stands between the layers.
        dropout: share of the hidden values that training drops.
    """

    def __init__(self, *, width: int, inner: int, activation: Activation, dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = nn.Linear(width, inner)
        self.outer = nn.Linear(inner, width)
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout)

    def forward(self, values: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Return the output of each position."""
        output: Tensor = self.outer(self.dropout(self.activation(self.inner(values))))
        return output


class SwiGLU(nn.Module):
    """A feed-forward layer that is gated by a swish of its input (Shazeer 2020, arXiv 2002.05202).

    Args:
        width: width D of input and output.
        inner: width of the hidden layer.
        dropout: share of the hidden values that training drops.
    """

    def __init__(self, *, width: int, inner: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = nn.Linear(width, 2 * inner, bias=False)
        self.outer = nn.Linear(inner, width, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, values: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Return the output of each position."""
        gate, value = self.inner(values).chunk(2, dim=-1)
        output: Tensor = self.outer(self.dropout(functional.silu(gate) * value))
        return output


class TransformerBlock(nn.Module):
    """Attention and a feed-forward layer, each normalised and added as the arrangement says.

    Args:
        attention: the first sub-layer.
        feed_forward: the second one.
        width: width D.
        arrangement: see ``Arrangement``.
        dropout: share of each sub-layer's output that training drops.
        epsilon: of the layer normalisations.
    """

    def __init__(
        self,
        *,
        attention: Attention,
        feed_forward: nn.Module,
        width: int,
        arrangement: Arrangement,
        dropout: float,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__()
        self.arrangement = arrangement
        self.attention = attention
        self.feed_forward = feed_forward
        self.norms = nn.ModuleList(nn.LayerNorm(width, epsilon) for _ in range(2))
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(2 if arrangement == "gated" else 0))
        self.dropout = Dropout(dropout)

    def forward(self, values: Float[Tensor, "B L D"], seen: Bool[Tensor, "B 1 L L"]) -> Float[Tensor, "B L D"]:
        """Return the values after both sub-layers."""
        normalised = values if self.arrangement == "post" else self.norms[0](values)
        memory = values if self.arrangement == "query" else normalised
        values = self._add(0, values, normalised, self.attention(normalised, memory, seen))
        normalised = values if self.arrangement == "post" else self.norms[1](values)
        return self._add(1, values, normalised, self.feed_forward(normalised))

    def _add(
        self,
        layer: int,
        values: Float[Tensor, "B L D"],
        normalised: Float[Tensor, "B L D"],
        output: Float[Tensor, "B L D"],
    ) -> Float[Tensor, "B L D"]:
        output = self.dropout(output)
        match self.arrangement:
            case "post":
                summed: Tensor = self.norms[layer](values + output)
                return summed
            case "pre":
                return values + output
            case "query":
                return normalised + output
            case "gated":
                return values + torch.sigmoid(self.gates[layer](values)) * output


class Positions(nn.Module):
    """A learned vector for each position, counted back from the last event, so that wider padding changes nothing.

    Args:
        max_length: number of positions.
        width: width D.
    """

    def __init__(self, *, max_length: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(max_length, width))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, embedded: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Return the events with their positions added; row 0 belongs to the last event."""
        return embedded + self.weight[: embedded.shape[1]].flip(0)


class TransformerStack(nn.Module):
    """Blocks over embedded events and their positions.

    Args:
        max_length: number of positions.
        width: width D.
        blocks: the blocks.
        final: what is applied to the output of the last block.
        dropout: share of the embedded events that training drops.
    """

    def __init__(
        self, *, max_length: int, width: int, blocks: Iterable[TransformerBlock], final: nn.Module, dropout: float
    ) -> None:
        super().__init__()
        self.positions = Positions(max_length=max_length, width=width)
        self.blocks = nn.ModuleList(blocks)
        self.final = final
        self.dropout = Dropout(dropout)

    def forward(self, embedded: Float[Tensor, "B L D"], seen: Bool[Tensor, "B 1 L L"]) -> Float[Tensor, "B L D"]:
        """Return the state at each position."""
        values = self.dropout(self.positions(embedded))
        for block in self.blocks:
            values = block(values, seen)
        states: Tensor = self.final(values)
        return states


class TransformerEncoder(CausalEncoder):
    """A transformer whose positions look at no later event.

    Args:
        n_items: number of items N.
        embedding_size: width D of the items and of the stack.
        max_length: events of a session that are read.
        stack: what turns embedded events into states.
        scale: factor of the item embeddings at the input.
    """

    def __init__(
        self, *, n_items: int, embedding_size: int, max_length: int, stack: TransformerStack, scale: float = 1.0
    ) -> None:
        super().__init__(n_items=n_items, embedding_size=embedding_size, max_length=max_length)
        self.stack = stack
        self.scale = scale

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state after each event."""
        states: Tensor = self.stack(self.scale * self.embed(window), visible(window.items, causal=True))
        return states


class ClozeEncoder(PositionwiseEncoder):
    """A transformer whose positions look at all events, and which fills in masked ones; BERT4Rec's network.

    In a window, the index N + 1 stands for an event that is masked. What it looks like is a vector of its own and no
    row of the item table.

    Args:
        n_items: number of items N.
        embedding_size: width D of the items and of the stack.
        max_length: events of a session that are read, the mask that stands for the next one among them; 2 or more.
        stack: what turns embedded events into states.
    """

    def __init__(self, *, n_items: int, embedding_size: int, max_length: int, stack: TransformerStack) -> None:
        super().__init__(n_items=n_items, embedding_size=embedding_size, max_length=max_length)
        self.mask = nn.Parameter(torch.empty(embedding_size))
        nn.init.normal_(self.mask, std=0.02)
        self.stack = stack

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state at each position; where an event is masked, it says which item is likely there."""
        masked = window.items == len(self.items)
        embedded = self.embed(replace(window, items=window.items.masked_fill(masked, PADDING)))
        embedded = torch.where(masked.unsqueeze(2), self.mask, embedded)
        states: Tensor = self.stack(embedded, visible(window.items, causal=False))
        return states

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state at a mask after the last event of each session.

        The oldest event makes room for the mask only in a session that fills the window.
        """
        window = window.map(lambda numbers: functional.pad(numbers[:, -(self.max_length - 1) :], (0, 1)))
        window.items[:, -1] = len(self.items)
        return self.states(window)[:, -1]
