"""HSTU: attention without a softmax, gated, and biased by how far apart two events are in position and in time."""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.windows import Window
from segue.nn.encoders.dropout import Dropout
from segue.nn.encoders.sequence import CausalEncoder
from segue.nn.encoders.transformer import Positions, split_heads, visible

_EPSILON = 1e-6


class RelativeBias(nn.Module):
    """A learnt number for each distance between two positions, and one for each bucket of seconds between two events.

    Args:
        max_length: distances, from 0 on.
        buckets: buckets of time; see ``time_buckets``.
    """

    def __init__(self, *, max_length: int, buckets: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(max_length))
        self.times = nn.Parameter(torch.empty(buckets))
        for weights in self.parameters():
            nn.init.normal_(weights, std=0.02)

    def forward(
        self, distances: Int64[Tensor, "L L"], buckets: Int64[Tensor, "B L L"] | None
    ) -> Float[Tensor, "*B L L"]:
        """Return the bias of each pair of positions."""
        bias = self.positions[distances]
        return bias if buckets is None else bias + functional.embedding(buckets, self.times.unsqueeze(1)).squeeze(3)


def time_buckets(asked: Int64[Tensor, "B L"], known: Int64[Tensor, "B L"], buckets: int) -> Int64[Tensor, "B L L"]:
    """Return the bucket of the seconds between each moment asked about (row) and each event (column).

    A bucket is 1.35 times as long as the one before it: ``floor(ln(seconds) / 0.301)``, as in the authors' code.
    """
    seconds = (asked.unsqueeze(2) - known.unsqueeze(1)).abs().clamp_(min=1)
    return (seconds.float().log_() / 0.301).long().clamp_(max=buckets - 1)


class HSTUBlock(nn.Module):
    """A sequential transduction unit: ``x + W (norm(A v) * u)`` with ``A = silu(q k + bias) / length``.

    Args:
        width: width D of input and output.
        heads: number of heads; divides D.
        bias: what is added to the attention before its activation.
        length: what the attention is divided by, whatever the length of a window.
        dropout: share of the gated values that training drops.
    """

    def __init__(self, *, width: int, heads: int, bias: RelativeBias, length: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.length = length
        self.bias = bias
        self.norm_input = nn.LayerNorm(width, _EPSILON, elementwise_affine=False)
        self.norm_output = nn.LayerNorm(width, _EPSILON, elementwise_affine=False)
        self.gate_values_queries_keys = nn.Linear(width, 4 * width, bias=False)
        nn.init.normal_(self.gate_values_queries_keys.weight, std=0.02)
        self.output = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.output.weight)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        values: Float[Tensor, "B L D"],
        seen: Bool[Tensor, "B 1 L L"],
        distances: Int64[Tensor, "L L"],
        buckets: Int64[Tensor, "B L L"] | None,
    ) -> Float[Tensor, "B L D"]:
        """Return the values with what the unit adds to them."""
        parts = functional.silu(self.gate_values_queries_keys(self.norm_input(values)))
        gate, *rest = parts.chunk(4, dim=-1)
        taken, asked, known = (split_heads(part, self.heads) for part in rest)
        bias = self.bias(distances, buckets).unsqueeze(-3)
        weights = functional.silu(asked @ known.mT + bias) * (seen / self.length)  # [B, heads, L, L]
        pooled = (weights @ taken).transpose(1, 2).flatten(2)
        added: Tensor = self.output(self.dropout(gate * self.norm_output(pooled)))
        return values + added


class HSTUEncoder(CausalEncoder):
    """Units over embedded events; the score of an item is the cosine of its embedding and the state.

    Args:
        n_items: number of items N.
        embedding_size: width D of the items and of the units.
        max_length: events of a session that are read.
        blocks: the units.
        buckets: buckets of time that their biases know.
        dropout: share of the embedded events that training drops.
        temperature: what the cosines are divided by.
    """

    def __init__(
        self,
        *,
        n_items: int,
        embedding_size: int,
        max_length: int,
        blocks: Iterable[HSTUBlock],
        buckets: int,
        dropout: float,
        temperature: float,
    ) -> None:
        super().__init__(n_items=n_items, embedding_size=embedding_size, max_length=max_length)
        self.positions = Positions(max_length=max_length, width=embedding_size)
        self.blocks = nn.ModuleList(blocks)
        self.buckets = buckets
        self.dropout = Dropout(dropout)
        self.temperature = temperature

    def table(self) -> Float[Tensor, "M D"]:
        """Return the direction of every item."""
        return functional.normalize(self.items, dim=1, eps=_EPSILON)

    def rows(self, ids: Int64[Tensor, "K"]) -> Float[Tensor, "K D"]:
        """Return the direction of some items."""
        return functional.normalize(self._look_up(ids), dim=1, eps=_EPSILON)

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state after each event."""
        return self.states_at(window, window.times)

    def states_at(self, window: Window, moments: Int64[Tensor, "B L"] | None) -> Float[Tensor, "B L D"]:
        """Return the state after each event, asked about a moment.

        Args:
            window: the events.
            moments: what the times of the events are compared with at each position, in seconds since 1970; None
                leaves the time bias out.
        """
        values = self.positions(math.sqrt(self.items.shape[1]) * self.embed(window))
        values, seen = self.dropout(values), visible(window.items, causal=True)
        places = torch.arange(window.items.shape[1], device=values.device)
        distances = (places.unsqueeze(1) - places).clamp_(min=0)  # those of later events are never seen
        buckets = None
        if moments is not None and window.times is not None:
            buckets = time_buckets(moments, window.times, self.buckets)
        for block in self.blocks:
            values = block(values, seen, distances, buckets)
        return functional.normalize(values, dim=-1, eps=_EPSILON) / self.temperature
