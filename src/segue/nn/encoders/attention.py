"""Attention: scaled dot products for transformers, additive and gated forms for session networks, and their masks."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from segue.data.vocabulary import PADDING
from segue.nn.encoders.layers import Dropout

_WEIGHTS_KEPT = 1 << 26
"""Attention weights of a step that a layer keeps for the gradient, in training with dropout: about 0.9 GB in fp32.
Where there are more, they are computed in parts, and again for the gradient, which takes up to 1.5 times as long."""
_WEIGHTS_AT_ONCE = 1 << 24
"""Attention weights of a part: 64 MB in fp32, and as much for each of a few temporaries."""


class Watched(NamedTuple):
    """Weights that a layer gave to the positions of a window.

    Attributes:
        name: what they are.
        weights: a row per head: the weight of each position (column) at the last position.
    """

    name: str
    weights: Float[Tensor, "B H L"]


_watched: ContextVar[list[Watched] | None] = ContextVar("watched attention", default=None)


@contextmanager
def watch_attention() -> Iterator[list[Watched]]:
    """Collect the attention weights of the forward passes of this thread, layer by layer; for prediction only."""
    found: list[Watched] = []
    token = _watched.set(found)
    try:
        yield found
    finally:
        _watched.reset(token)


def watched() -> list[Watched] | None:
    """Return where a layer adds its weights; None where nobody looks, so that none are computed for it."""
    return _watched.get()


def attention_mask(items: Int64[Tensor, "B L"], *, causal: bool) -> Bool[Tensor, "B 1 L L"]:
    """Return which position (column) each position (row) attends to: real events and, if causal, no later ones.

    A position always attends to itself, so that the softmax of a padding row is defined.
    """
    length = items.shape[1]
    mask = (items != PADDING)[:, None, None, :].expand(-1, -1, length, -1)
    if causal:
        mask = mask & torch.ones(length, length, dtype=torch.bool, device=items.device).tril()
    return mask | torch.eye(length, dtype=torch.bool, device=items.device)


def split_heads(values: Float[Tensor, "B L D"], heads: int) -> Float[Tensor, "B H L K"]:
    """Return the share of each head, which is a run of neighbouring dimensions."""
    batch, length, width = values.shape
    return values.view(batch, length, heads, width // heads).transpose(1, 2)


class Attention(nn.Module):
    """Scaled dot-product attention of several heads.

    Args:
        hidden_size: width D of input and output.
        heads: number of heads; divides D.
        dropout: dropout rate of the attention weights.
        mix_heads: whether one more projection mixes the outputs of the heads.
    """

    def __init__(self, *, hidden_size: int, heads: int, dropout: float = 0.0, mix_heads: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size) if mix_heads else nn.Identity()
        self.dropout = Dropout(dropout)

    def forward(
        self, queries: Float[Tensor, "B L D"], memory: Float[Tensor, "B L D"], mask: Bool[Tensor, "B 1 L L"]
    ) -> Float[Tensor, "B L D"]:
        """Return, for each position of ``queries``, the attended values of ``memory``."""
        projected = self.query(queries), *self.key_value(memory).chunk(2, dim=-1)
        query, key, value = (split_heads(part, self.heads) for part in projected)
        dropout = self.dropout.rate if self.training else 0.0
        if dropout > 0 and query.device.type == "cpu":
            pooled = self._in_parts(query, key, value, mask)
        else:
            pooled = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
            if (found := watched()) is not None:
                last = attention_weights(query[:, :, -1:], key, mask[:, :, -1:])
                found.append(Watched("attention", last.squeeze(2)))
        output: Tensor = self.output(pooled.transpose(1, 2).flatten(2))
        return output

    def _in_parts(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Float[Tensor, "B H L K"]:
        """Attend with dropout; where a step has many weights, for a few sessions at a time."""
        per_session = query.shape[1] * query.shape[2] ** 2
        if len(query) * per_session <= _WEIGHTS_KEPT:
            return self._attend(query, key, value, mask)
        sessions = max(1, _WEIGHTS_AT_ONCE // per_session)
        parts = zip(*(torch.split(one, sessions) for one in (query, key, value, mask)), strict=True)
        return torch.cat([checkpoint(self._attend, *part, use_reentrant=False) for part in parts])

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Float[Tensor, "B H L K"]:
        attended: Tensor = self.dropout(attention_weights(query, key, mask)) @ value
        return attended


def attention_weights(
    query: Float[Tensor, "B H Q K"], key: Float[Tensor, "B H L K"], mask: Bool[Tensor, "B 1 Q L"]
) -> Float[Tensor, "B H Q L"]:
    """Return the softmax of the scaled dot products, 0 where the mask is false."""
    logits = (query @ key.mT) / math.sqrt(query.shape[-1])
    return logits.masked_fill(~mask, -torch.inf).softmax(dim=-1)


class SessionAttention(nn.Module):
    """Additive attention to the events of a session: ``sum_i a_i x_i``, ``a_i = v . sigmoid(Q q + K x_i + b)``.

    The weights may have any size and sign. They do not sum to 1, so that a longer session may weigh more.

    Args:
        query_size: width of the queries.
        event_size: width D of the events.
        hidden_size: width of the layer that compares the two.
        bias: whether that layer has a bias.
        normalised: take the softmax of the weights, and a hard sigmoid (``x / 5 + 1 / 2`` between 0 and 1), as the
            code of NARM's authors does.
    """

    def __init__(
        self, *, query_size: int, event_size: int, hidden_size: int, bias: bool, normalised: bool = False
    ) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, hidden_size, bias=False)
        self.key = nn.Linear(event_size, hidden_size, bias=bias)
        self.weights = nn.Linear(hidden_size, 1, bias=False)
        self.normalised = normalised

    def forward(
        self, queries: Float[Tensor, "B Q E"], events: Float[Tensor, "B L D"], mask: Bool[Tensor, "B Q L"]
    ) -> Float[Tensor, "B Q D"]:
        """Return the weighted sum of the events that ``mask`` admits, for one or several queries per session."""
        compared = self.query(queries).unsqueeze(2) + self.key(events).unsqueeze(1)  # [B, Q, L, H]
        if not self.normalised:
            weights = self.weights(compared.sigmoid_()).squeeze(3).masked_fill(~mask, 0.0)
        else:
            compared = (0.2 * compared + 0.5).clamp(0.0, 1.0)
            weights = self.weights(compared).squeeze(3).masked_fill(~mask, -torch.inf).softmax(dim=2)
        if (found := watched()) is not None:
            found.append(Watched("attention", weights[:, -1:]))
        pooled: Tensor = weights @ events
        return pooled


GateInput = Literal["hidden", "embedding", "linear"]


class Gated(NamedTuple):
    """Events as a gate lets them through.

    Attributes:
        gates: the gate of each event, G = 1, or of each component of it, G = D.
        vectors: gated vector ``h`` of each event.
        attention: its attention before the softmax.
    """

    gates: Float[Tensor, "*B G"]
    vectors: Float[Tensor, "*B D"]
    attention: Float[Tensor, "*B"]


class GatedAttention(nn.Module):
    """A gated vector of each event, and its attention by a learnt importance vector ``w``.

    With ``u = tanh(W e + b)`` and the gate ``g``, the gated vector is ``h = g u``:

        hidden      g = sigma(u . w)      attention u . w
        embedding   g = sigma(e . w)      attention u . w
        linear      g = sigma(V e + c)    attention h . w  (Ilse et al. 2018, arXiv 1802.04712)

    Args:
        hidden_size: width D.
        gate_input: what the gate is computed from, see above; with ``linear`` each component has its own.
    """

    def __init__(self, *, hidden_size: int, gate_input: GateInput = "hidden") -> None:
        super().__init__()
        self.hidden = nn.Linear(hidden_size, hidden_size)
        self.importance = nn.Parameter(torch.empty(hidden_size))
        self.gate = nn.Linear(hidden_size, hidden_size) if gate_input == "linear" else None
        self.gate_input = gate_input
        nn.init.zeros_(self.hidden.bias)
        nn.init.normal_(self.importance, std=hidden_size**-0.5)
        if self.gate is not None:
            nn.init.zeros_(self.gate.bias)

    def forward(self, events: Float[Tensor, "*B D"]) -> Gated:
        """Return gate, gated vector and attention of each event."""
        hidden = torch.tanh(self.hidden(events))
        if self.gate is not None:
            gates = torch.sigmoid(self.gate(events))
            vectors = gates * hidden
            return Gated(gates, vectors, vectors @ self.importance)
        attention = hidden @ self.importance
        gate = torch.sigmoid(attention if self.gate_input == "hidden" else events @ self.importance).unsqueeze(-1)
        return Gated(gate, gate * hidden, attention)
